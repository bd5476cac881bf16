"""Programs of these tests in processes of their own."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]

from rescind.actors.rpc.drivers import Call

from .ports import Notes

SOURCE = Path(__file__).resolve().parents[2] / "src"


def start(program: str, *arguments: object) -> Any:
    """Start a program of this folder with pipes; its complaints are ours."""
    command = [sys.executable, str(Path(__file__).with_name(program)), *map(str, arguments)]
    paths = filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")])
    return subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "GRPC_VERBOSITY": "NONE"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,  # or a reader would wait for more than there is
    )


class RemoteListener:
    """The listener of ``listener_child.py``: what it reports goes to ``server``."""

    def __init__(self, server: Notes) -> None:
        self.process = start("listener_child.py")
        assert self.process.stdout is not None
        said = msgpack.Unpacker(self.process.stdout, use_list=False)
        (self.address,) = next(said)
        self.label = f"grpc {self.address}"
        self._thread = threading.Thread(target=self._hear, args=(said, server))
        self._thread.start()

    def _hear(self, said, server):
        for what, key, *rest in said:
            report = [Call(*rest[0])] if what == "called" else rest
            server.said.put((what, key, *report))

    def _tell(self, *what):
        assert self.process.stdin is not None
        self.process.stdin.write(msgpack.packb(what))
        self.process.stdin.flush()

    def reply(self, *what):
        self._tell("reply", *what)

    def close(self):
        self._tell("close")

    def kill(self):
        self.process.kill()

    def end(self):
        """Let the process end by itself, and see that it did so well."""
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()
            self._thread.join()

"""Example programs that are run: under a pseudo-terminal, or between pipes."""

import fcntl
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

from .test_pages import ROOT, SRC

EXAMPLES = ROOT / "docs" / "examples"


class Running:
    """A program of docs/examples that runs, and what it has shown so far."""

    def __init__(self, folder: Path, program: str, *arguments: str, **streams: Any) -> None:
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / program), *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(SRC), "PYTHONDEVMODE": "1"},
            **streams,
        )

    def read_until(self, text: str) -> None:
        """Read what it shows; the test's own time-out ends a wait for what never comes."""
        while text not in self.shown:
            some = os.read(self._out, 4096)
            assert some, f"it ended without {text!r}: {self.shown!r}"
            self.shown += some.decode()

    def wait(self) -> int:
        """Return its exit code, once it has ended by itself."""
        return self.process.wait()

    @property
    def _out(self) -> int:
        raise NotImplementedError

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Terminal(Running):
    """A program under a pseudo-terminal, which is its controlling one: Ctrl-C interrupts it."""

    def __init__(self, folder: Path, program: str, *arguments: str) -> None:
        self._ours, self._theirs = pty.openpty()
        self.settings = termios.tcgetattr(self._theirs)
        super().__init__(
            folder, program, *arguments,
            stdin=self._theirs, stdout=self._theirs, stderr=self._theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip

    @property
    def _out(self) -> int:
        return self._ours

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    @property
    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._theirs) == self.settings

    def close(self) -> None:
        super().close()
        os.close(self._ours)
        os.close(self._theirs)


class Piped(Running):
    """A program between pipes."""

    def __init__(self, folder: Path, program: str, *arguments: str) -> None:
        pipe = subprocess.PIPE
        streams = {"stdin": pipe, "stdout": pipe, "stderr": subprocess.STDOUT}
        super().__init__(folder, program, *arguments, **streams)

    @property
    def _out(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def type(self, text: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def read_all(self) -> str:
        """Return all that it has shown, once it has shown its last."""
        assert self.process.stdout is not None
        self.shown += self.process.stdout.read().decode()
        return self.shown

    def close(self) -> None:
        super().close()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

"""A child process: its standard input and output are the stream, its end is the hang-up."""

import codecs
import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from rescind.actors.newton._codes import Code
from rescind.actors.newton._errors import CommError

from ._files import Descriptor
from ._medium import Medium, MediumError
from ._options import Setting
from ._poller import READ, WRITE, Poller
from ._receiver import RECEIVE_BYTES
from ._stream import StreamTool

GRACE_S = 2.0
STDERR_BYTES_MAX = 64 * 1024
"""How much of what a child says on its standard error is passed on; the rest is read and lost."""
_STDERR_BYTES = 4096


class Process:
    """One child from its start until it was waited for; it outlives its connection if it must.

    It keeps the poller going until then, so that no zombie is left.
    """

    def __init__(self, started: "subprocess.Popen[bytes]", ended: Any) -> None:
        """Watch over a process that was just started; ``ended()`` is called at its end."""
        self._process = started
        self._ended = ended
        self.pid = started.pid
        self.exit_status: int | None = None
        try:
            self._pidfd = os.pidfd_open(started.pid)
        except OSError:  # no file descriptor is to be had
            started.kill()
            started.wait()
            raise
        self._poller = Poller.acquire()
        self._poller.watch(self._pidfd, READ, self._reap)

    def _reap(self, _events: int) -> None:
        self._poller.unwatch(self._pidfd)
        os.close(self._pidfd)
        self.exit_status = self._process.wait()  # it has ended: this returns at once
        self._ended(self)
        Poller.release()

    def terminate(self, grace_s: float) -> None:
        """Ask it to end, and end it when the grace is over."""
        self._signal(signal.SIGTERM)
        self._poller.call_later(grace_s, self._signal, signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.exit_status is None:
            self._process.send_signal(number)


class ChildMedium(Medium):
    """Starts a child at Connect and speaks with it."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: str | None,
        env: Mapping[str, str] | None,
        grace_s: float,
    ) -> None:
        """Remember what to start."""
        self._argv = list(argv)
        self._cwd = cwd
        self._env = env
        self._grace_s = grace_s
        self._process: Process | None = None
        self._last: Process | None = None
        self._stdin: Descriptor | None = None
        self._stdout: Descriptor | None = None
        self._stderr: Descriptor | None = None
        self._is_releasing = False
        self._settings = {
            "pid": Setting(lambda: None if self._last is None else self._last.pid),
            "exit_status": Setting(lambda: None if self._last is None else self._last.exit_status),
        }
        self.label = f"child {self._argv[0]}"

    @property
    def address(self) -> list[str]:
        """The program and its arguments."""
        return self._argv

    @property
    def settings(self) -> Mapping[str, Setting]:
        """What there is to know of the child that was started last."""
        return self._settings

    # --- life ------------------------------------------------------------------------------------

    def connect(self, address: Any) -> None:
        """Start the child, never by way of a shell."""
        try:
            process = subprocess.Popen(  # noqa: S603  # what the application says
                address,
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        except (TypeError, ValueError) as error:
            raise MediumError(Code.TBADADDR, str(error)) from error
        self._process = self._last = Process(process, self._exited)
        self._stdin, self._stdout, self._stderr = (
            Descriptor(stream, self.poller)
            for stream in (process.stdin, process.stdout, process.stderr)
            if stream is not None
        )
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stderr_left = STDERR_BYTES_MAX
        self._stderr.watch(READ, self._hear_stderr)
        self.host.done(None)

    def _exited(self, process: Process) -> None:
        if process is not self._process:
            return  # its connection has ended before it
        if self._is_releasing:
            self.host.done(None)
        else:
            self.host.lost({"exit_status": process.exit_status})

    def abandon(self) -> None:
        """Wait for the child's end no longer."""
        self._is_releasing = False

    def release(self) -> None:
        """Close the child's standard input, and wait for it to end."""
        self._is_releasing = True
        if self._stdin is not None:
            self._stdin.close()
            self._stdin = None

    def close(self) -> None:
        """Let go of the child; it is terminated unless it has ended."""
        if self._process is None:
            return
        for _ in range(STDERR_BYTES_MAX // _STDERR_BYTES):
            self._hear_stderr(0)
        for each in (self._stdin, self._stdout, self._stderr):
            if each is not None:
                each.close()
        self._stdin = self._stdout = self._stderr = None
        if self._process.exit_status is None:
            self._process.terminate(self._grace_s)
        self._process = None
        self._is_releasing = False

    # --- data ------------------------------------------------------------------------------------

    def watch(self, mask: int | None) -> None:
        """Have ``host.ready`` called for either stream; an end shows when it is read or written."""
        mask = mask or 0
        if self._stdout is not None:
            if self._is_releasing and not mask & READ:
                # A child that is to end must not hang because nobody listens.
                self._stdout.watch(0, self._readable)
                self._stdout.watch(READ, self._discard)
            else:
                self._stdout.watch(mask & READ, self._readable)
        if self._stdin is not None:
            self._stdin.watch(mask & WRITE, self._writable)

    def _readable(self, _events: int) -> None:
        self.host.ready(READ)

    def _discard(self, _events: int) -> None:
        if self._stdout is not None and not os.read(self._stdout.fd, RECEIVE_BYTES):
            self._stdout.close()
            self._stdout = None

    def _writable(self, _events: int) -> None:
        self.host.ready(WRITE)

    def send(self, data: memoryview) -> int:
        """Send what the pipe takes now."""
        if self._stdin is None:
            raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))
        return os.write(self._stdin.fd, data)

    def outlives(self, error: OSError) -> bool:
        """A child that reads no more may still write; its end tells when all is over."""
        return error.errno == errno.EPIPE

    def receive(self, count_max: int) -> bytes:
        """Receive what is there."""
        if self._stdout is None:
            raise BlockingIOError
        return os.read(self._stdout.fd, count_max)

    def receive_into(self, buffer: memoryview) -> int:
        """Receive what is there into ``buffer``."""
        if self._stdout is None:
            raise BlockingIOError
        return os.readv(self._stdout.fd, [buffer])

    def _hear_stderr(self, _events: int) -> None:
        """Pass on what the child says beside its output, up to a limit."""
        if self._stderr is None:
            return
        try:
            data = os.read(self._stderr.fd, _STDERR_BYTES)
        except BlockingIOError:
            return
        kept = data[: self._stderr_left]
        self._stderr_left -= len(kept)
        self._say(self._decoder.decode(kept, final=not data))
        if not data:
            self._stderr.close()
            self._stderr = None

    def _say(self, text: str) -> None:
        if text:
            self.host.event({"stderr": text})


def child(
    argv: Sequence[str],
    *,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    grace_s: float = GRACE_S,
) -> StreamTool:
    """Return a tool that talks with a child process over its standard input and output.

    Connect starts it, never by way of a shell.  What it writes on its standard error comes as event
    1, ``{"stderr": text}``; the end of its output is event 3; its own end is event 2,
    ``{"exit_status": n}``, negative for a signal.  Release closes its input and waits for its end;
    Disconnect terminates it.  Options to be read: pid, exit_status.

    Args:
        argv: the program and its arguments.
        cwd: the folder to start it in.
        env: its environment; None is ours.
        grace_s: how many seconds it has between SIGTERM and SIGKILL.

    Raises:
        CommError: -16006, ``argv`` is empty or a string.
    """
    if isinstance(argv, str | bytes) or not argv:
        raise CommError(Code.BAD_PARAMETER, detail="argv is a list: a program and its arguments")
    folder = None if cwd is None else os.fspath(cwd)
    return StreamTool(ChildMedium(argv, cwd=folder, env=env, grace_s=grace_s))

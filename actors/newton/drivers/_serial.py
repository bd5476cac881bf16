"""A serial line, by pyserial."""

import contextlib
import errno
import os
from collections.abc import Generator, Mapping
from importlib import import_module
from typing import Any

from rescind.actors.newton._codes import Code
from rescind.actors.newton._errors import CommError

from ._files import Descriptor
from ._medium import Medium, MediumError
from ._options import Setting
from ._poller import GONE, READ, WRITE, Timer
from ._stream import StreamTool

PARITIES = {"none": "N", "even": "E", "odd": "O", "mark": "M", "space": "S"}
FLOW_CONTROLS = {None: None, "rts_cts": "rtscts", "dsr_dtr": "dsrdtr", "xon_xoff": "xonxoff"}
_DRAINED_S = 0.01
_BREAK_S_MAX = 10.0


@contextlib.contextmanager
def _system_errors() -> Generator[None]:
    """Have what the terminal driver refuses raise OSError: its own error is none."""
    try:
        yield
    except import_module("termios").error as error:
        raise OSError(*error.args) from error


class SerialMedium(Medium):
    """One serial line; Connect opens it."""

    def __init__(self, path: str, wanted: dict[str, Any], flow_control: str | None) -> None:
        """Remember which line, and how it is to be set: pyserial's names and values."""
        self._path = path
        self._wanted = wanted
        self._flow_control = flow_control
        self._serial: Any = None
        self._line: Descriptor | None = None
        self._timer: Timer | None = None
        self._is_drained = False
        """Whether the line has sent all, as a release has it."""
        self._settings = {
            "baud_rate": self._setting("baudrate", {}),
            "data_bits": self._setting("bytesize", {}),
            "parity": self._setting("parity", PARITIES),
            "stop_bits": self._setting("stopbits", {}),
            "bytes_available": Setting(lambda: self._standing().in_waiting),
            "dtr": self._setting("dtr", {}),
            "rts": self._setting("rts", {}),
            "send_break": Setting(write=self._send_break, default=0.25),
        }
        self.label = f"serial {path}"

    @property
    def address(self) -> str:
        """The line's path."""
        return self._path

    # --- options ---------------------------------------------------------------------------------

    @property
    def settings(self) -> Mapping[str, Setting]:
        """The options of a line; what is set while it is closed holds when it is opened."""
        return self._settings

    def _setting(self, name: str, values: dict[Any, Any]) -> Setting:
        names = {value: label for label, value in values.items()}

        def read() -> Any:
            with _system_errors():
                now = getattr(self._serial, name, self._wanted.get(name))
            return names.get(now, now)

        def write(value: Any) -> None:
            if values and value not in values:
                raise ValueError(f"{value!r} is none of {', '.join(values)}")
            now = values.get(value, value)
            if self._serial is not None:
                with _system_errors():
                    setattr(self._serial, name, now)
            self._wanted[name] = now

        first = self._wanted.get(name)
        return Setting(read, write, names.get(first, first))

    def _standing(self) -> Any:
        if self._serial is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._serial

    def _send_break(self, duration_s: Any) -> None:
        """Hold the line for so long; pyserial's own way would hold the poller, too."""
        if not 0 < duration_s <= _BREAK_S_MAX:
            raise ValueError(f"a break of {duration_s!r} s")
        line = self._standing()
        with _system_errors():
            line.break_condition = True
        self.poller.call_later(duration_s, self._end_break, line)

    def _end_break(self, line: Any) -> None:
        if line.is_open:
            with contextlib.suppress(OSError), _system_errors():
                line.break_condition = False

    # --- life ------------------------------------------------------------------------------------

    def connect(self, address: Any) -> None:
        """Open the line."""
        try:
            pyserial: Any = import_module("serial")
        except ImportError as error:
            text = "pyserial is missing; install rescind[serial]"
            raise MediumError(Code.RESOURCE_NOT_AVAILABLE, text) from error
        wanted = {name: self._wanted[name] for name in self._wanted if name not in _LINES}
        if self._flow_control is not None:
            wanted[self._flow_control] = True
        try:
            with _system_errors():
                line = pyserial.Serial(
                    address, timeout=0, write_timeout=0, exclusive=True, **wanted
                )
        except (TypeError, ValueError) as error:
            raise MediumError(Code.BAD_PARAMETER, str(error)) from error
        for name in _LINES & self._wanted.keys():
            with contextlib.suppress(OSError), _system_errors():  # a line without modem signals
                setattr(line, name, self._wanted[name])
        self._serial = line
        self._is_drained = False
        self._line = Descriptor(line, self.poller)
        self.host.done(None)

    def abandon(self) -> None:
        """Stop waiting for the line to be drained."""
        if self._timer is not None:
            self._timer.cancel()

    def release(self) -> None:
        """Wait until the line has sent what the kernel took."""
        try:
            with _system_errors():
                is_drained = self._standing().out_waiting == 0
        except OSError:
            is_drained = True  # by a hang-up
        if is_drained:
            self._is_drained = True
            self.host.done(None)
        else:
            self._timer = self.poller.call_later(_DRAINED_S, self.release)

    def close(self) -> None:
        """Close the line; what it has not sent is dropped, or closing would wait for it.

        Not after a release: of a pseudo-terminal that would drop what its other end has not read.
        """
        if self._line is None:
            return
        if not self._is_drained:
            with contextlib.suppress(OSError), _system_errors():
                self._serial.reset_output_buffer()
        self._line.close()
        self._serial = self._line = None

    # --- data ------------------------------------------------------------------------------------

    def watch(self, mask: int | None) -> None:
        """Have ``host.ready`` called; a hang-up shows when the line is read or written."""
        if self._line is not None:
            self._line.watch(mask or 0, self._ready)

    def _ready(self, events: int) -> None:
        self.host.ready(READ | WRITE if events & GONE else events)

    def send(self, data: memoryview) -> int:
        """Send what the kernel takes now."""
        return os.write(self._descriptor, data)

    def receive(self, count_max: int) -> bytes:
        """Receive what is there; nothing at all is a hang-up."""
        data = os.read(self._descriptor, count_max)
        if not data:
            raise OSError(errno.EIO, "the line was hung up")
        return data

    def receive_into(self, buffer: memoryview) -> int:
        """Receive what is there into ``buffer``."""
        count = os.readv(self._descriptor, [buffer])
        if not count:
            raise OSError(errno.EIO, "the line was hung up")
        return count

    @property
    def _descriptor(self) -> int:
        if self._line is None:
            raise BlockingIOError
        return self._line.fd


_LINES = {"dtr", "rts"}
"""Set one by one after opening: a line may lack them."""


def serial(
    path: str | os.PathLike[str],
    baud_rate: int = 9600,
    *,
    data_bits: int = 8,
    parity: str = "none",
    stop_bits: float = 1,
    flow_control: str | None = None,
) -> StreamTool:
    """Return a tool that talks over a serial line; needs the extra ``serial``.

    Connect opens the line, for this process alone; a hang-up is event 2.  Its options: baud_rate,
    data_bits, parity, stop_bits, dtr, rts; to be read, bytes_available; to be set, send_break (its
    length in seconds).

    Args:
        path: the device.
        baud_rate: bits per second.
        data_bits: 5 to 8 in a character.
        parity: ``none``, ``even``, ``odd``, ``mark`` or ``space``.
        stop_bits: 1, 1.5 or 2.
        flow_control: ``rts_cts``, ``dsr_dtr``, ``xon_xoff`` or None.

    Raises:
        CommError: -16006, there is no such parity or flow control.
    """
    if parity not in PARITIES or flow_control not in FLOW_CONTROLS:
        raise CommError(Code.BAD_PARAMETER, detail=f"parity {parity!r}, flow {flow_control!r}")
    wanted: dict[str, Any] = {
        "baudrate": baud_rate,
        "bytesize": data_bits,
        "parity": PARITIES[parity],
        "stopbits": stop_bits,
    }
    return StreamTool(SerialMedium(os.fspath(path), wanted, FLOW_CONTROLS[flow_control]))

"""How a log's facts are written for people: text, times, durations, values.

Whatever comes out of a log is somebody else's text.  `plain` is the one place that makes it fit for
a terminal; every screen sends every piece through it.
"""

import unicodedata
from collections.abc import Mapping, Sequence, Sized
from datetime import UTC, datetime
from math import isfinite
from typing import Any, NamedTuple, TypeAlias, cast

from rescind.events import By, Opaque, Reference, Withheld

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that move the cursor, reorder the line or show nothing."""

_VIRTUAL_NS_MAX = 10**16
"""Times below (about four months after the epoch's start) are a stepped clock's, not a date."""

_ITEMS_MAX = 100

MARGIN = 100
"""Screens are written for this many columns."""


class Span(NamedTuple):
    """A piece of a line and the style it is shown in, where styles are shown at all."""

    text: str
    style: str = ""


Line: TypeAlias = Sequence[Span]
"""One line of a screen; its text has no line break."""


def plain(text: str) -> str:
    """Return text in which nothing acts on a terminal: controls become visible escapes."""
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def line(*parts: str | Span) -> Line:
    """Build a line from pieces; a bare string has no style."""
    return [Span(plain(p)) if isinstance(p, str) else Span(plain(p.text), p.style) for p in parts]


def as_text(lines: Sequence[Line]) -> str:
    """Return lines without their styles, as a test or a pipe wants them."""
    return "\n".join("".join(span.text for span in one).rstrip() for one in lines)


def clip(text: str, width: int) -> str:
    """Return text made plain, cut to a width with a mark where it was cut."""
    shown = plain(text[: width + 1])  # no character becomes none: the rest can't be seen
    return shown if len(shown) <= width else shown[: max(width - 1, 0)] + "…"


def clip_left(text: str, width: int) -> str:
    """Return text made plain, cut at its beginning: the end of a path says more."""
    shown = plain(text)
    return shown if len(shown) <= width else "…" + shown[len(shown) - width + 1 :]


def count(number: int, noun: str) -> str:
    """Return a number with its noun, which forms its plural with an s.

    >>> count(1, "victim"), count(1200, "turn")
    ('1 victim', '1,200 turns')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def turns_text(first: int, last: int) -> str:
    """Return a range of turns.

    >>> turns_text(7, 7), turns_text(7, 1200)
    ('turn 7', 'turns 7..1200')
    """
    return f"turn {first}" if first == last else f"turns {first}..{last}"


def duration(ns: int) -> str:
    """Return a time span in the unit in which it is easiest to read.

    >>> duration(4_100_000), duration(203_000_000), duration(750), duration(61_000_000_000)
    ('4.1 ms', '203 ms', '750 ns', '61 s')
    """
    if ns < 0:
        return "-" + duration(-ns)
    for unit, size in (("s", 10**9), ("ms", 10**6), ("µs", 10**3)):
        if ns >= size - size // 2000:  # what rounds up to 1000 is 1 of the next unit
            return f"{_three_digits(ns / size)} {unit}"
    return "0" if ns == 0 else f"{ns} ns"


def _three_digits(value: float) -> str:
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def offset(ns: int) -> str:
    """Return a time relative to a moment that the reader has before the eyes."""
    return duration(ns) if ns < 0 else "+" + duration(ns)


class Clock:
    """Writes a log's times: the time of day, or seconds since the beginning in virtual time."""

    __slots__ = ("begin_ns", "is_virtual")

    def __init__(self, begin_ns: int) -> None:
        """Take the log's first time, which tells what sort of clock wrote it."""
        self.begin_ns = begin_ns
        self.is_virtual = abs(begin_ns) < _VIRTUAL_NS_MAX

    def moment(self, time_ns: int) -> str:
        """Return when something happened, to the millisecond, in UTC."""
        if self.is_virtual:
            return f"{(time_ns - self.begin_ns) / 1e9:.6f} s"
        return _utc(time_ns).strftime("%H:%M:%S.") + f"{time_ns // 10**6 % 1000:03d}"

    def date(self, time_ns: int) -> str:
        """Return when something happened, with its date."""
        if self.is_virtual:
            return f"{self.moment(time_ns)} (virtual time)"
        return f"{_utc(time_ns):%Y-%m-%d} {self.moment(time_ns)} UTC"


def _utc(time_ns: int) -> datetime:
    seconds = min(max(time_ns // 10**9, 0), 253_402_300_799)  # the last second of the year 9999
    return datetime.fromtimestamp(seconds, UTC)


def site(by: By | None, width: int = 48) -> str:
    """Return who called and where: thread, file, line, function; the file's last part at least."""
    if by is None:
        return "nobody recorded"
    return f"{plain(by.who)}  {place(by, width)}"


def place(by: By, width: int = 48) -> str:
    """Return the code line of a call."""
    tail = f":{by.line} in {plain(by.function)}" if by.function else f":{by.line}"
    return clip(clip_left(_short_path(by.file), max(width - len(tail), 12)) + tail, width)


def _short_path(file: str) -> str:
    """Keep a path's last two parts: who reads knows the project, the machine may be another."""
    parts = file.replace("\\", "/").rsplit("/", 2)
    return "/".join(parts[1:]) if len(parts) == 3 else file


def value_text(value: Any, width: int) -> str:
    """Return a payload in Python's spelling, cut to a width."""
    if isinstance(value, Opaque):
        return clip(f"<{value.type}, not recorded>", width)
    if isinstance(value, Reference):
        return f"<a{value.number}>"
    if isinstance(value, Withheld):
        return clip(_withheld_text(value), width)
    size = len(value) if isinstance(value, Sized) else 0
    if isinstance(value, bytes | str) and size > width:
        return _head(value[:12], size)
    if size > _ITEMS_MAX and not isinstance(value, bytes | str):
        return f"<{value.__class__.__name__} of {size:,}>"  # else all of it is spelt to be cut
    return clip(repr(value), width)


def error_text(value: Any) -> str:
    """Return an exception's text, or what stands in its place."""
    return plain(value) if isinstance(value, str) else value_text(value, MARGIN)


def _withheld_text(value: Withheld) -> str:
    if value.length is None or value.digest is None:
        return "withheld"
    # Columns are narrow, and values are told apart by their digests: that comes first.
    return f"withheld(sha256 {value.digest.hex()[:4]}.., {value.length:,} bytes)"


def _head(start: bytes | str, length: int) -> str:
    return f"{plain(repr(start))}… ({length:,})"


def by_json(by: By | None) -> dict[str, Any] | None:
    """Return a caller as JSON."""
    if by is None:
        return None
    return {"who": by.who, "file": by.file, "line": by.line, "function": by.function}


def jsonable(value: Any) -> Any:
    """Return a payload as JSON can carry it; what JSON lacks is marked with a ``$`` key."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else {"$float": str(value)}
        case _:
            return _json_structure(value)


def _json_structure(value: Any) -> Any:
    if _is_mapping(value):
        return _json_map(value)
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in cast("Sequence[Any]", value)]
    return _json_mark(value)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _json_mark(value: Any) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, Reference):
        return {"$actor": f"a{value.number}", "$log": value.log.hex()}
    if isinstance(value, Withheld):
        return {"$withheld": _withheld_json(value)}
    return {"$opaque": value.type} if isinstance(value, Opaque) else {"$repr": repr(value)}


def _withheld_json(value: Withheld) -> dict[str, Any] | None:
    if value.length is None or value.digest is None:
        return None
    return {"length": value.length, "sha256": value.digest.hex()}


def _json_map(value: Mapping[Any, Any]) -> Any:
    if all(isinstance(key, str) for key in value):
        return {key: jsonable(item) for key, item in value.items()}
    return {"$map": [[jsonable(key), jsonable(item)] for key, item in value.items()]}

"""What people type on a command line: sizes, ages, turns, times and chain heads, read strictly."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from rescind.events import UsageError

_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?(B|[kKMGT]B|[KMGT]iB)?", re.ASCII)
_UNITS = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}  # fmt: skip
_NUMBER = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,9})?", re.ASCII)
_TURN = re.compile(r"[0-9]{1,18}", re.ASCII)
_HEAD = re.compile(r"[0-9a-f]{16,64}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_NS = 86_400 * 10**9
_DAYS_MAX = 1_000_000


def parse_size(text: str) -> int:
    """Return a size in bytes.

    >>> parse_size("500MB"), parse_size("2GiB"), parse_size("1.5 kB"), parse_size("0")
    (500000000, 2147483648, 1500, 0)

    Raises:
        UsageError: It is no size, or its unit could mean two things.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no size; write it like 800000, 500MB or 2GiB")
    return int(Decimal(found[1]) * _UNITS[found[2] or "B"])


def parse_days(text: str) -> int:
    """Return a number of days in nanoseconds.

    >>> parse_days("30"), parse_days("0.5")
    (2592000000000000, 43200000000000)

    Raises:
        UsageError: It is no such number.
    """
    if _NUMBER.fullmatch(text) is None or Decimal(text) > _DAYS_MAX:
        raise UsageError(f"{text!r} is no number of days; write it like 30 or 0.5")
    return int(Decimal(text) * _DAY_NS)


def parse_time(text: str) -> int:
    """Return a moment in nanoseconds since 1970; without a zone it is UTC, as on all screens.

    >>> parse_time("1970-01-02"), parse_time("1970-01-01T00:00:01.5+00:00"), parse_time("2.5")
    (86400000000000, 1500000000, 2500000000)

    Raises:
        UsageError: It is neither ISO 8601 nor seconds.
    """
    if _NUMBER.fullmatch(text):
        return int(Decimal(text) * 10**9)
    try:
        moment = datetime.fromisoformat(text)
        since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError) as error:
        shown = "2026-05-04, 2026-05-04T12:30:00 or 1777897800.0 (seconds since 1970)"
        raise UsageError(f"{text!r} is no time; write it like {shown}") from error
    return since // timedelta(microseconds=1) * 1000


class Bound(NamedTuple):
    """Where a range of turns begins or ends: at a turn, or else at a moment."""

    turn: int | None = None
    time_ns: int | None = None


def parse_bound(text: str) -> Bound:
    """Return a turn or a moment; a whole number is a turn.

    >>> parse_bound("1234"), parse_bound("2.5")
    (Bound(turn=1234, time_ns=None), Bound(turn=None, time_ns=2500000000))

    Raises:
        UsageError: It is neither.
    """
    if _TURN.fullmatch(text):
        return Bound(turn=int(text))
    try:
        return Bound(time_ns=parse_time(text))
    except UsageError as error:
        raise UsageError(f"{error}, or a turn like 1234") from error


def parse_head(text: str) -> str:
    """Return a chain head, or the beginning of one, in lower case.

    Raises:
        UsageError: It is too short to tell heads apart, or no hexadecimal number.
    """
    head = text.lower()
    if _HEAD.fullmatch(head) is None:
        wanted = "16 to 64 hexadecimal digits, as `rescind info` shows them"
        raise UsageError(f"{text!r} is no chain head, which is {wanted}")
    return head

"""Selectors: the one way to say what a question is about, the same in every command and screen.

``1234`` a turn, ``r17`` a request, ``c3`` a cancel, ``a5`` an actor, ``code=-36003`` the request
that ended so, ``last`` the last outcome that was not a plain success.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from itertools import islice

from rescind.events import KINDS, Completed, How, LogReader, Rejected, Turn, UsageError
from rescind.replay._ledger.sound import sound

from .archive import Archive

FORMS = "1234 (a turn), r17 (a request), c3 (a cancel), a5 (an actor), code=-36003, last"
_NEAREST_MAX = 8


class TargetKind(StrEnum):
    """What a selector can mean."""

    TURN = "turn"
    REQUEST = "request"
    CANCEL = "cancel"
    ACTOR = "actor"


@dataclass(frozen=True, slots=True)
class Target:
    """What a selector means in a given log."""

    kind: TargetKind
    number: int

    def __str__(self) -> str:
        """Return the selector."""
        return f"{_LETTER[self.kind]}{self.number}"


_LETTER = {
    TargetKind.TURN: "",
    TargetKind.REQUEST: "r",
    TargetKind.CANCEL: "c",
    TargetKind.ACTOR: "a",
}
_KIND = {letter: kind for kind, letter in _LETTER.items()}


class SelectorError(UsageError):
    """A selector means nothing in this log, or more than one thing.

    Attributes:
        selector: What was asked for.
        nearest: Selectors that would have meant something.
    """

    def __init__(self, selector: str, text: str, nearest: Iterable[str] = ()) -> None:
        """Say what is the matter and what is near."""
        self.selector = selector
        self.nearest = tuple(nearest)
        hint = f"; did you mean {', '.join(self.nearest)}?" if self.nearest else ""
        super().__init__(text + hint)


def parse(text: str) -> tuple[TargetKind, int] | None:
    """Return kind and number of a selector that carries a number, None for another form.

    >>> parse("r17"), parse("1234"), parse("last")
    ((<TargetKind.REQUEST: 'request'>, 17), (<TargetKind.TURN: 'turn'>, 1234), None)
    """
    found = re.fullmatch(r"([rca]?)([0-9]{1,18})", text, re.ASCII)
    return (_KIND[found[1]], int(found[2])) if found else None


def resolve(text: str, archive: Archive) -> Target:
    """Return what a selector means in a log.

    Raises:
        SelectorError: It means nothing here, or several things; its ``nearest`` say what would do.
    """
    if text == "last":
        return _last(archive)
    code = re.fullmatch(r"code=([+-]?[0-9]{1,18})", text, re.ASCII)
    if code:
        return _by_code(text, int(code[1]), archive)
    numbered = parse(text)
    if numbered is None:
        raise SelectorError(text, f"{text!r} is no selector; the forms are: {FORMS}")
    kind, number = numbered
    if kind is TargetKind.TURN:
        return _turn(number, archive)
    if kind is TargetKind.CANCEL and number not in archive.cancels and _tried(number, archive):
        return Target(TargetKind.REQUEST, number)  # a cancel that was refused never became one
    if not _knows(kind, number, archive):
        raise SelectorError(
            text, f"the log knows no {kind} {text}", _nearest(kind, number, archive)
        )
    return Target(kind, number)


def check_kind(name: str, reader: LogReader) -> None:
    """Refuse the name of a message or event that neither we nor what was read of a log know.

    Raises:
        SelectorError: It is none; its ``nearest`` are the names that are near it.
    """
    bound = (kind for epoch in reader.epochs for kind in reader.bindings(epoch).kinds.values())
    names = {kind.__name__ for kind in KINDS} | {kind.name for kind in bound}
    by_short: dict[str, list[str]] = {}
    for known in sorted(names):
        if known.lower() == name.lower():
            return
        # An application's kinds are called as their modules are; people leave that away.
        by_short.setdefault(known.lower().rpartition(".")[2], []).append(known)
    near = get_close_matches(name.lower().rpartition(".")[2], by_short, _NEAREST_MAX // 2)
    nearest = (known for short in near for known in by_short[short])
    text = f"no message or event in the log is called {name}"
    raise SelectorError(name, text, islice(nearest, _NEAREST_MAX))


def _knows(kind: TargetKind, number: int, archive: Archive) -> bool:
    match kind:
        case TargetKind.REQUEST:
            return number in archive.requests
        case TargetKind.CANCEL:
            return number in archive.cancels
        case _:
            return number in archive.requests or archive.is_lasting(number)


def _tried(number: int, archive: Archive) -> bool:
    request = archive.requests.get(number)
    return request is not None and request.operation in _CANCELLING


_CANCELLING = frozenset({"Cancel", "Disconnect"})


def _nearest(kind: TargetKind, number: int, archive: Archive) -> list[str]:
    """Return what the number would mean as another kind, and its nearest neighbours of this one."""
    others = (each for each in _KIND.values() if each not in (kind, TargetKind.TURN))
    nearest = [str(Target(each, number)) for each in others if _knows(each, number, archive)][:1]
    if kind is TargetKind.ACTOR and number in archive.cancels:
        nearest = [f"c{number}"]
    near = [n for n in archive.lookup.nearest(number, _NEAR_MAX) if _knows(kind, n, archive)]
    near = sorted(near, key=lambda n: (abs(n - number), n))[: _NEAREST_MAX // 2]
    return nearest + [str(Target(kind, n)) for n in sorted(near)]


_NEAR_MAX = 64
"""So many numbers around one that means nothing are looked at."""


def _turn(number: int, archive: Archive) -> Target:
    first, last = archive.lookup.first, archive.lookup.last
    if not last:
        raise SelectorError(str(number), "the log has no turns")
    if not first <= number <= last:
        text = f"turn {number} is not in the log, which holds turns {first}..{last}"
        raise SelectorError(str(number), text, [str(first if number < first else last)])
    for lost, end in archive.gaps:
        if lost <= number <= end:
            text = f"turn {number} is missing: the log lost turns {lost}..{end}"
            raise SelectorError(str(number), text, [str(lost - 1), str(end + 1)])
    return Target(TargetKind.TURN, number)


def _ended(turn: Turn) -> Iterator[Completed | Rejected]:
    return (event for event in turn.events if isinstance(event, Completed | Rejected))


def _by_code(text: str, code: int, archive: Archive) -> Target:
    fitting: dict[int, None] = {}
    for turn in sound(archive.lookup.with_code(code)):
        fitting.update((end.request, None) for end in _ended(turn) if end.code == code)
        if len(fitting) > _COUNTED_MAX:
            break
    if len(fitting) <= _NEAREST_MAX:
        fitting = {number: None for number in fitting if number in archive.requests}
    if len(fitting) == 1:
        return Target(TargetKind.REQUEST, next(iter(fitting)))
    if fitting:
        shown = [f"r{n}" for n in islice(fitting, _NEAREST_MAX)]
        many = f"more than {_COUNTED_MAX:,}" if len(fitting) > _COUNTED_MAX else f"{len(fitting):,}"
        found = f"{text} fits {many} requests, and only one can be asked about"
        raise SelectorError(text, found, shown)
    codes = sorted(archive.lookup.codes(), key=lambda c: (abs(c - code), c))
    near = [each for each in codes if _is_end(each, archive)][:_NEAREST_MAX]
    raise SelectorError(text, f"nothing in the log ended with {code}", [f"code={c}" for c in near])


_COUNTED_MAX = 1000
"""Nobody wants to know more precisely how many fit."""


def _is_end(code: int, archive: Archive) -> bool:
    """Whether something ended with a code; drivers and event handlers have codes too."""
    turns = islice(sound(archive.lookup.with_code(code)), _COUNTED_MAX)
    return any(end.code == code for turn in turns for end in _ended(turn))


def _last(archive: Archive) -> Target:
    """Return the latest outcome that was no plain success, or else the latest success."""
    result = 0
    for turn in sound(archive.lookup.backwards()):
        for end in reversed(list(_ended(turn))):
            if end.request not in archive.requests:
                continue  # a later version, or a damaged log, may end what is no request here
            if isinstance(end, Rejected) or end.code is not None or end.how != How.RESULT:
                return Target(TargetKind.REQUEST, end.request)
            result = result or end.request
        if result and turn.number < archive.lookup.last - _LAST_MAX:
            break
    if not result:
        raise SelectorError("last", "the log has no outcome yet")
    return Target(TargetKind.REQUEST, result)


_LAST_MAX = 200_000
"""How many turns without any failure or cancel are read for `last`; then success is the answer."""

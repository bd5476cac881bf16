"""Selectors: the one way to say what a question is about, the same in every command and screen.

``1234`` a turn, ``r17`` a request, ``c3`` a cancel, ``a5`` an actor, ``code=-36003`` the request
that ended so, ``last`` the last outcome that was not a plain success.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rescind.events import UsageError

from ._lives import Request
from ._model import Ledger

FORMS = "1234 (a turn), r17 (a request), c3 (a cancel), a5 (an actor), code=-36003, last"
_NEAREST_MAX = 8


class Kind(StrEnum):
    """What a selector can mean."""

    TURN = "turn"
    REQUEST = "request"
    CANCEL = "cancel"
    ACTOR = "actor"


@dataclass(frozen=True, slots=True)
class Target:
    """What a selector means in a given log."""

    kind: Kind
    number: int

    def __str__(self) -> str:
        """Return the selector."""
        return f"{_LETTER[self.kind]}{self.number}"


_LETTER = {Kind.TURN: "", Kind.REQUEST: "r", Kind.CANCEL: "c", Kind.ACTOR: "a"}
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


def parse(text: str) -> tuple[Kind, int] | None:
    """Return kind and number of a selector that carries a number, None for another form.

    >>> parse("r17"), parse("1234"), parse("last")
    ((<Kind.REQUEST: 'request'>, 17), (<Kind.TURN: 'turn'>, 1234), None)
    """
    found = re.fullmatch(r"([rca]?)([0-9]{1,18})", text, re.ASCII)
    return (_KIND[found[1]], int(found[2])) if found else None


def resolve(text: str, ledger: Ledger) -> Target:
    """Return what a selector means in a log.

    Raises:
        SelectorError: It means nothing here, or several things; its ``nearest`` say what would do.
    """
    if text == "last":
        return _last(ledger)
    code = re.fullmatch(r"code=([+-]?[0-9]{1,18})", text, re.ASCII)
    if code:
        return _by_code(text, int(code[1]), ledger)
    numbered = parse(text)
    if numbered is None:
        raise SelectorError(text, f"{text!r} is no selector; the forms are: {FORMS}")
    kind, number = numbered
    match kind:
        case Kind.TURN:
            return _turn(number, ledger)
        case Kind.REQUEST:
            return _numbered(text, kind, number, ledger.requests, ledger)
        case Kind.CANCEL:
            return _cancel(text, number, ledger)
        case Kind.ACTOR:
            known = ledger.classes.keys() | ledger.endpoints.keys() | ledger.requests.keys()
            return _numbered(text, kind, number, known, ledger)


def _turn(number: int, ledger: Ledger) -> Target:
    if ledger.first is None or ledger.last is None:
        raise SelectorError(str(number), "the log has no turns")
    first, last = ledger.first.turn, ledger.last.turn
    if not first <= number <= last:
        text = f"turn {number} is not in the log, which holds turns {first}..{last}"
        raise SelectorError(str(number), text, [str(first if number < first else last)])
    for gap in ledger.gaps:
        if gap.first <= number <= gap.last:
            text = f"turn {number} is missing: the log lost turns {gap.first}..{gap.last}"
            raise SelectorError(str(number), text, [str(gap.first - 1), str(gap.last + 1)])
    return Target(Kind.TURN, number)


def _cancel(text: str, number: int, ledger: Ledger) -> Target:
    attempt = ledger.requests.get(number)
    if number not in ledger.cancels and attempt and attempt.operation in _CANCELLING:
        return Target(Kind.REQUEST, number)  # a cancel that was refused never became one
    return _numbered(text, Kind.CANCEL, number, ledger.cancels, ledger)


_CANCELLING = frozenset({"Cancel", "Disconnect"})


def _numbered(text: str, kind: Kind, number: int, known: Iterable[int], ledger: Ledger) -> Target:
    numbers = list(known)
    if number in numbers:
        return Target(kind, number)
    other = _other(number, ledger)
    near = sorted(numbers, key=lambda n: (abs(n - number), n))[: _NEAREST_MAX // 2]
    nearest = [other] if other else []
    nearest += [f"{_LETTER[kind]}{n}" for n in sorted(near)]
    raise SelectorError(text, f"the log knows no {kind} {text}", nearest)


def _other(number: int, ledger: Ledger) -> str | None:
    if number in ledger.requests:
        return f"r{number}"
    if number in ledger.cancels:
        return f"c{number}"
    return f"a{number}" if number in ledger.endpoints or number in ledger.classes else None


def _ends(request: Request) -> set[int]:
    found = {end.code for end in (request.rejected, request.completed) if end is not None}
    return {code for code in found if code is not None}


def _by_code(text: str, code: int, ledger: Ledger) -> Target:
    fitting = [n for n, request in ledger.requests.items() if code in _ends(request)]
    if len(fitting) == 1:
        return Target(Kind.REQUEST, fitting[0])
    if fitting:
        shown = [f"r{n}" for n in fitting[:_NEAREST_MAX]]
        text_found = f"{text} fits {len(fitting):,} requests, and only one can be asked about"
        raise SelectorError(text, text_found, shown)
    codes = {c for request in ledger.requests.values() for c in _ends(request)}
    near = sorted(codes, key=lambda c: (abs(c - code), c))[:_NEAREST_MAX]
    raise SelectorError(text, f"nothing in the log ended with {code}", [f"code={c}" for c in near])


def _last(ledger: Ledger) -> Target:
    number = ledger.last_outcome or ledger.last_result
    if not number:
        raise SelectorError("last", "the log has no outcome yet")
    return Target(Kind.REQUEST, number)

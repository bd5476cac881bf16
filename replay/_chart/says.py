"""Each turn of a chart in words: who said what to whom.

A place is a lane before the lanes are counted: its kind and number.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeAlias

from rescind.events import (
    Accepted,
    Answer,
    AnswerIgnored,
    Cancel,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Closed,
    Complete,
    Completed,
    CompletionScript,
    Discarded,
    Drop,
    EventHandler,
    Failed,
    How,
    InputScript,
    Killed,
    Manner,
    Opened,
    Origin,
    PartialScript,
    Rejected,
    Returned,
    ScriptRaised,
    Serve,
    Start,
    StateChanged,
    Stopped,
    Submit,
    TimedOut,
    Turn,
)
from rescind.replay._archive.archive import Archive
from rescind.replay._ledger.dialects import end_text, state_text
from rescind.replay._ledger.lives import Ending
from rescind.replay._ledger.numbers import Numbers
from rescind.replay._words.describe import event_text, message_text, rules_of, said, taken_text
from rescind.replay._words.text import clip, count, duration, error_text, plain
from rescind.replay._words.turns import kind_name

from .chart import ArrowLook, LaneKind

_DETAILS_MAX = 3
_TEXT_MAX, _NAME_MAX = 60, 24
_COMPLETED_MAX = 100_000
_LOOKED_AT_MAX = 32
"""So many requests of a run are asked for the code that they bring."""

Place: TypeAlias = tuple[LaneKind, int]
APPLICATION: Place = (LaneKind.APPLICATION, 0)
_OTHERS: Place = (LaneKind.OTHERS, 0)


@dataclass(frozen=True, slots=True)
class Remark:
    """An arrow between places; ``kind`` tells alike remarks from others, beside look and words."""

    source: Place
    target: Place
    look: ArrowLook
    kind: str
    before: str = ""
    numbers: tuple[int, ...] = ()
    after: str = ""
    letter: str = "r"
    details: tuple[str, ...] = ()
    is_onward: bool = False


class Speaker:
    """Puts turns into words; what it needs to know of others it asks the log."""

    def __init__(self, archive: Archive) -> None:
        """Take the log, for its names, and for who took the turn that brought one about."""
        self.names = archive
        self.completed: dict[int, Completed] = {}
        """Ends that were told already, so that their deliveries need not look them up."""

    def remarks(self, turn: Turn) -> list[Remark]:
        """Return what a turn says, what came in first."""
        if len(self.completed) < _COMPLETED_MAX:
            self.completed.update((e.request, e) for e in turn.events if isinstance(e, Completed))
        tell = _MESSAGES.get(turn.message.__class__, _anything)
        first = tell(self, turn)
        told: list[Remark] = [first]
        if self._reaches_driver(turn):
            outside = self.outside(first.target)
            told.append(replace(first, source=first.target, target=outside, is_onward=True))
        told += self._facts(turn, first)
        details = [text for text in (self._detail(event) for event in turn.events) if text]
        if len(details) > _DETAILS_MAX:
            details[_DETAILS_MAX:] = [f"and {len(details) - _DETAILS_MAX:,} more"]
        told[0] = replace(first, details=(*first.details, *details))
        return told

    def end_of(self, number: int) -> Completed | Ending | None:
        """Return how a request ended, as it was told or as the log knows."""
        if number in self.completed:
            return self.completed[number]
        request = self.names.requests.get(number)
        return request.completed if request else None

    # --- places ----------------------------------------------------------------------------------

    def place(self, number: int) -> Place:
        """Return whose lane something about a number belongs to: a request's is its endpoint's."""
        cancel = self.names.cancels.get(number)
        is_own = number in self.names.requests
        owner = cancel.endpoint if cancel and not is_own else self.names.owner_of(number)
        return (LaneKind.ACTOR, owner) if owner or not number else _OTHERS

    def outside(self, place: Place) -> Place:
        """Return what stands behind an endpoint; without a driver's name it is one for all."""
        endpoint = self.names.endpoints.get(place[1])
        return (LaneKind.OUTSIDE, endpoint.number if endpoint and endpoint.driver else 0)

    def _source(self, turn: Turn, target: Place) -> Place:
        match turn.origin:
            case Origin.APP:
                return APPLICATION
            case Origin.IO:
                return self.outside(target)
            case Origin.ACTOR if turn.cause is not None and turn.cause.log is None:
                because = self.names.turn(turn.cause.number)
                return target if because is None else self.place(because.actor)
            case _:
                return target

    def ends(self, turn: Turn) -> tuple[Place, Place]:
        """Return where a turn's message came from and where it was taken."""
        target = self.place(turn.actor)
        return self._source(turn, target), target

    # --- what else the turn decided --------------------------------------------------------------

    def _reaches_driver(self, turn: Turn) -> bool:
        accepted = _first(turn, Accepted)
        endpoint = self.names.endpoints.get(accepted.endpoint) if accepted else None
        return bool(accepted and accepted.started and endpoint and endpoint.driver)

    def _facts(self, turn: Turn, first: Remark) -> Iterator[Remark]:
        """Yield what is a row's own line: ends, windows and attempts that the message said not."""
        losses: dict[str, list[int]] = {}
        for event in turn.events:
            match event:
                case CancelOutcome():
                    other = f" c{event.other}" if event.other else ""
                    words = f"c{event.cancel} {plain(event.outcome)}{other} at "
                    losses.setdefault(words, []).append(event.target)
                case Completed() if _one(event.request) != first.numbers or first.kind == "Submit":
                    place = self.place(event.request)
                    yield _completion(self, event, place, place, "Completed")
                case CancelBegan():
                    yield self._began(event)
                case CancelEnded():
                    place = self.place(event.cancel)
                    code = said(event.code, self.names, event.cancel)
                    yield Remark(
                        place, place, ArrowLook.CANCEL, "CancelEnded", "", _one(event.cancel),
                        f" ended: {code}", "c",
                    )  # fmt: skip
                case Discarded():
                    place = self.place(event.requests[0] if event.requests else turn.actor)
                    yield Remark(
                        place, APPLICATION, ArrowLook.LOST, "Discarded", "nobody hears of ",
                        tuple(event.requests), f": {clip(event.reason, _TEXT_MAX)}",
                    )  # fmt: skip
                case _:
                    pass
        for words, targets in losses.items():
            place, numbers = first.target, tuple(_ranges(targets))
            yield Remark(place, place, ArrowLook.LOST, "CancelOutcome", words, numbers)

    def _began(self, event: CancelBegan) -> Remark:
        place = self.place(event.cancel)
        victims = len(Numbers(event.victims))
        words = f"{count(victims, 'victim')}: " if victims else "no victims: nothing is outstanding"
        return Remark(place, place, ArrowLook.CANCEL, "CancelBegan", words, tuple(event.victims))

    def _detail(self, event: Any) -> str:
        match event:
            case StateChanged():
                rules = rules_of(self.names, event.subject)
                return f"{state_text(rules, event.old)} to {state_text(rules, event.new)}"
            case ScriptRaised():
                return clip(f"raised {error_text(event.error)}", _TEXT_MAX)
            case Opened() | Closed() | Failed() | Stopped():
                return clip(event_text(event, self.names), _TEXT_MAX)
            case _ if "." in kind_name(event):  # an application's own word
                return clip(event_text(event, self.names), _TEXT_MAX)
            case _:
                return ""


# --- messages -------------------------------------------------------------------------------------


def _anything(speaker: Speaker, turn: Turn) -> Remark:
    source, target = speaker.ends(turn)
    name = kind_name(turn.message) if turn.message is not None else "nothing"
    words = clip(message_text(turn.message, speaker.names), _TEXT_MAX)
    return Remark(source, target, ArrowLook.PLAIN, name, words)


def _start(speaker: Speaker, turn: Turn) -> Remark:
    return Remark(*speaker.ends(turn), ArrowLook.PLAIN, "Start", "Start")


def _submit(speaker: Speaker, turn: Turn) -> Remark:
    source, target = speaker.ends(turn)
    message: Submit = turn.message
    said_so = Remark(source, target, ArrowLook.PLAIN, "Submit", _name(message.operation))
    asked = _first(turn, CancelRequested)
    refused = _first(turn, Rejected)
    accepted = _first(turn, Accepted)
    if refused is not None:
        code = said(refused.code, speaker.names, refused.endpoint)
        return replace(
            said_so, look=ArrowLook.REFUSED, numbers=_one(refused.request),
            after=f" refused: {code}", details=(plain(refused.rule),),
        )  # fmt: skip
    if asked is not None:
        reason = (clip(asked.reason, _TEXT_MAX),) if asked.reason else ()
        numbers = _one(asked.cancel)
        look = _look_of_cancel(turn)
        return replace(said_so, look=look, numbers=numbers, letter="c", details=reason)
    if accepted is None:
        return said_so
    limit = "" if accepted.timeout_ns is None else f", at most {duration(accepted.timeout_ns)}"
    blocks = "" if accepted.asynchronous else ", blocking"
    return replace(said_so, numbers=_one(accepted.request), after=blocks + limit)


def _look_of_cancel(turn: Turn) -> ArrowLook:
    """A cancel that got nobody and was too late for somebody has lost."""
    began = _first(turn, CancelBegan)
    has_lost = _first(turn, CancelOutcome) is not None and not (began and began.victims)
    return ArrowLook.LOST if has_lost else ArrowLook.CANCEL


def _answer(speaker: Speaker, turn: Turn) -> Remark:
    source, target = speaker.ends(turn)
    message: Answer = turn.message
    ended = _first(turn, Completed)
    if ended is not None:
        return _completion(speaker, ended, source, target, "Answer")
    code = said(message.code, speaker.names, message.request)
    answered = Remark(
        source, target, ArrowLook.PLAIN, "Answer", "", _one(message.request), f" answered: {code}"
    )
    if _first(turn, AnswerIgnored) is None:
        return answered
    return replace(answered, look=ArrowLook.LOST, after=f" answered {code} too late, ignored")


def _cancel(speaker: Speaker, turn: Turn) -> Remark:
    source, target = speaker.ends(turn)
    number = turn.message.cancel
    ended = _first(turn, Completed)
    asked = _first(turn, CancelRequested)
    if ended is not None:
        return _completion(speaker, ended, source, target, "Cancel")
    if asked is not None:
        look = _look_of_cancel(turn)
        words = _name(asked.trigger)
        return Remark(source, target, look, "Cancel", words, _one(asked.cancel), letter="c")
    words = f"told of c{number}: " if turn.actor != number else ""
    return Remark(source, target, ArrowLook.QUIET, "told", words, _one(turn.actor))


def _result(speaker: Speaker, turn: Turn) -> Remark:
    source, target = speaker.ends(turn)
    ended = _first(turn, Completed)
    if ended is None:
        return _anything(speaker, turn)
    return _completion(speaker, ended, source, target, kind_name(turn.message))


def _completion(
    speaker: Speaker, ended: Completed, source: Place, target: Place, kind: str
) -> Remark:
    """Tell an end; the ends of different operations fold together where codes are the same."""
    code = end_text(rules_of(speaker.names, ended.request), ended.code, ended.how)
    is_cancel = ended.request in speaker.names.cancels
    letter, look = ("c", ArrowLook.CANCEL) if is_cancel else ("r", _look(ended))
    request = speaker.names.requests.get(ended.request)
    words = _name(request.operation) if request else ""
    return Remark(source, target, look, kind, words, _one(ended.request), f": {code}", letter)


def _script(speaker: Speaker, turn: Turn) -> Remark:
    message: CompletionScript = turn.message
    place = speaker.place(turn.actor)
    target = place if message.manner == Manner.HANDLER else APPLICATION
    before, after = _VERBS.get(message.manner, (f"{plain(message.manner)} ", ""))
    look, code = _brought(speaker, message.requests)
    kind = "script, running" if message.running else "script"
    ranges = tuple(message.requests)
    return Remark(place, target, look, kind, before, ranges, after + code)


def _brought(speaker: Speaker, ranges: list[int]) -> tuple[ArrowLook, str]:
    """Return what a run of deliveries brings, if it is the same in all."""
    found: set[tuple[ArrowLook, str]] = set()
    for number in islice(Numbers(ranges), _LOOKED_AT_MAX):
        done = speaker.end_of(number)
        if done is None:
            return ArrowLook.PLAIN, ""
        code = end_text(rules_of(speaker.names, number), done.code, done.how)
        own = number in speaker.names.cancels
        found.add((ArrowLook.CANCEL if own else _look(done), f": {code}"))
    return found.pop() if len(found) == 1 else (ArrowLook.PLAIN, "")


def _to_application(speaker: Speaker, turn: Turn) -> Remark:
    place = speaker.place(turn.actor)
    words = message_text(turn.message, speaker.names)
    return Remark(place, APPLICATION, ArrowLook.PLAIN, kind_name(turn.message), words)


def _returned(speaker: Speaker, turn: Turn) -> Remark:
    source, target = speaker.ends(turn)
    message: Returned = turn.message
    words, numbers = "script of ", _one(message.request)
    if message.error is None:
        return Remark(source, target, ArrowLook.QUIET, "Returned", words, numbers, " returns")
    error = clip(error_text(message.error), _TEXT_MAX)
    return Remark(
        source, target, ArrowLook.FAILED, "Returned", words, numbers, " raised", details=(error,)
    )


def _serve(speaker: Speaker, turn: Turn) -> Remark:
    source, target = speaker.ends(turn)
    numbers = _one(turn.message.request)
    return Remark(source, target, ArrowLook.PLAIN, "Serve", "takes up ", numbers)


def _killed(speaker: Speaker, turn: Turn) -> Remark:
    source, target = speaker.ends(turn)
    message: Killed = turn.message
    code = "" if message.code is None else f": {said(message.code, speaker.names, turn.actor)}"
    taken = taken_text(message).removeprefix(", ")
    details = (clip(taken, _TEXT_MAX),) if taken else ()
    return Remark(
        source, target, ArrowLook.CANCEL, "Killed", "work of ", _one(message.cancel),
        f" has stopped{code}", "c", details,
    )  # fmt: skip


def _timed_out(speaker: Speaker, turn: Turn) -> Remark:
    place = speaker.place(turn.actor)
    request = speaker.names.requests.get(turn.message.request)
    limit = request.timeout_ns if request else None
    after = " ran out" + (f" ({duration(limit)})" if limit else "")
    ended = request.completed if request else None
    is_late = ended is not None and ended.turn < turn.number
    look = ArrowLook.LOST if is_late else ArrowLook.CANCEL
    numbers = _one(turn.message.request)
    return Remark(place, place, look, "TimedOut", "deadline of ", numbers, after)


_VERBS: dict[str, tuple[str, str]] = {
    Manner.SCRIPT: ("script of ", ""),
    Manner.RAISED: ("", " raises"),
    Manner.RETURNED: ("", " returns"),
    Manner.FUTURE: ("future of ", ""),
    Manner.HANDLER: ("handler of ", ""),
}
"""The words before and behind what is delivered; the dialects' other manners are words already."""

_MESSAGES: dict[type, Callable[[Speaker, Turn], Remark]] = {
    Start: _start,
    Submit: _submit,
    Answer: _answer,
    Cancel: _cancel,
    Complete: _result,
    Drop: _result,
    CompletionScript: _script,
    InputScript: _to_application,
    PartialScript: _to_application,
    EventHandler: _to_application,
    Returned: _returned,
    Killed: _killed,
    Serve: _serve,
    TimedOut: _timed_out,
}


def _look(ended: Completed | Ending) -> ArrowLook:
    """Return how an end looks, from a completion or from what a ledger keeps of one."""
    if ended.how in (How.CANCELLED, How.TIMED_OUT):
        return ArrowLook.CANCELLED
    if ended.how in (How.ABANDONED, How.RECOVERED):
        return ArrowLook.FAILED
    return ArrowLook.WELL if ended.code is None and ended.how == How.RESULT else ArrowLook.FAILED


def _name(operation: str) -> str:
    """Return an operation to stand before a number; a name of any length must not hide that."""
    return f"{clip(operation, _NAME_MAX)} " if operation else ""


def _first(turn: Turn, kind: type) -> Any:
    return next((event for event in turn.events if event.__class__ is kind), None)


def _one(number: int) -> tuple[int, int]:
    return number, number


def _ranges(numbers: list[int]) -> Iterator[int]:
    for number in numbers:
        yield from _one(number)

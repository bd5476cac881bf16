"""One turn on the way back, as it concerns the outcome."""

from collections.abc import Callable

from rescind.events import (
    Accepted,
    Answer,
    Cancel,
    CancelBegan,
    CancelRequested,
    Complete,
    Completed,
    CompletionScript,
    Discarded,
    EventHandler,
    InputScript,
    Killed,
    Notified,
    PartialScript,
    Received,
    Rejected,
    Returned,
    Submit,
    TimedOut,
    ToolEvent,
    Turn,
)
from rescind.replay._archive.archive import Archive
from rescind.replay._ledger.dialects import SERVE, code_text, end_text
from rescind.replay._ledger.numbers import Numbers
from rescind.replay._words.describe import event_text, message_text, rules_of, said
from rescind.replay._words.text import count, duration, error_text, plain


def says(turn: Turn, focus: int, archive: Archive) -> str:
    """Return what happened in a turn; ``focus`` is the request that it is looked at for, or 0."""
    if focus and isinstance(turn.message, CompletionScript):
        return f"its script for r{focus} was called with {code_of(archive, focus)}"
    phrase = _SAYS.get(turn.message.__class__)
    return message_text(turn.message, archive) if phrase is None else phrase(turn, archive)


def _says_time_out(turn: Turn, archive: Archive) -> str:
    number = turn.message.request
    if number in archive.cancels:
        return f"nobody had answered c{number} in time"
    request = archive.requests.get(number)
    limit = request.timeout_ns if request else None
    return f"the deadline of r{number} ran out" + (f" ({duration(limit)})" if limit else "")


def _says_news(turn: Turn) -> str:
    if turn.message.request:
        return f"the subscriber of r{turn.message.request} was told: {_says_event(turn)}"
    return f"the EventHandler of a{turn.actor} was called"


def _says_returned(turn: Turn) -> str:
    error = turn.message.error
    raised = "returned" if error is None else f"raised {error_text(error)}"
    return f"the script of r{turn.message.request} {raised}"


def _says_complete(turn: Turn, archive: Archive) -> str:
    """Return what a request completed with; a time-out's own request not with its cancel's code."""
    if any(isinstance(event, Completed) for event in turn.events):
        return f"told its result: {code_of(archive, turn.actor)}"
    return f"told its result: {said(turn.message.code, archive, turn.actor)}"


def _says_event(turn: Turn) -> str:
    """Return what a driver reported unasked, by its dialect's word where it has one."""
    words = [plain(event.what) for event in turn.events if isinstance(event, Notified)]
    words += [plain(event.trigger) for event in turn.events if isinstance(event, CancelRequested)]
    return (words[0] if words else f"event {turn.message.code}") + _began(turn)


def _began(turn: Turn) -> str:
    """Return which cancel began in a turn, and whom it concerns."""
    for event in turn.events:
        if isinstance(event, CancelBegan):
            return f": c{event.cancel}, {count(len(Numbers(event.victims)), 'victim')}"
    return ""


def _says_answer(turn: Turn, archive: Archive) -> str:
    number = turn.message.request
    request = archive.requests.get(number)
    who = "its function" if request and request.operation == SERVE else "the outside"
    return f"{who} answered {said(turn.message.code, archive, number)}"


def _says_submit(turn: Turn, archive: Archive) -> str:
    submit = turn.message
    for event in turn.events:
        if isinstance(event, Rejected):
            code = code_text(rules_of(archive, event.endpoint), event.code)
            return f"{plain(submit.operation)} refused: {code}, rule {plain(event.rule)}"
    called = rules_of(archive, turn.actor).called
    accepted = any(isinstance(event, Accepted) for event in turn.events)
    of = called(submit)[:1] if accepted and called is not None else []
    return (
        f"{plain(submit.operation)} called"
        + "".join(f": {plain(each)}" for each in of)
        + (_began(turn))
    )


def _says_cancel(turn: Turn, archive: Archive) -> str:
    number = turn.message.cancel
    request = archive.requests.get(turn.actor)
    if request is not None and request.completed and request.completed.turn == turn.number:
        return f"told to end by c{number}: completed {code_of(archive, turn.actor)}"
    began = [event for event in turn.events if isinstance(event, CancelBegan)]
    if began:
        number = began[0].cancel  # a time-out's message names its request
        victims = len(Numbers(began[0].victims))
        trigger = plain(archive.cancels[number].trigger) if number in archive.cancels else "cancel"
        return f"c{number} ({trigger}) began with {count(victims, 'victim')}"
    told = [event_text(event, archive) for event in turn.events if not isinstance(event, Discarded)]
    return "; ".join([f"told of c{number}", *told])


def code_of(archive: Archive, number: int) -> str:
    """Return the code that a request ended with, in words."""
    request = archive.requests.get(number)
    if request is None or request.completed is None:
        return "a code that the log lost"
    return end_text(rules_of(archive, number), request.completed.code, request.completed.how)


_SAYS: dict[type, Callable[[Turn, Archive], str]] = {
    Submit: _says_submit,
    Cancel: _says_cancel,
    TimedOut: _says_time_out,
    InputScript: lambda turn, _: f"the InputScript of r{turn.message.request} was called",
    PartialScript: lambda turn, _: f"the PartialScript of r{turn.message.request} was called",
    EventHandler: lambda turn, _: _says_news(turn),
    Received: lambda turn, _: f"data arrived for r{turn.message.request}",
    ToolEvent: lambda turn, _: f"the driver reported {_says_event(turn)}",
    Killed: lambda turn, _: (
        f"the driver reports that its work for c{turn.message.cancel} has stopped"
    ),
    Answer: _says_answer,
    Complete: _says_complete,
    Returned: lambda turn, _: _says_returned(turn),
}
"""How a turn is told by its message; others are told as everywhere."""

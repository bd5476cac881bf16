"""Messages and events in words: one phrase each, the same on every screen."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

from rescind.events import (
    Accepted,
    Answer,
    AnswerIgnored,
    Born,
    Cancel,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Closed,
    Complete,
    Completed,
    CompletionScript,
    Delivered,
    Discarded,
    Drop,
    EventHandler,
    Fail,
    Fetched,
    InputScript,
    Killed,
    Opened,
    PartialDue,
    PartialScript,
    Recover,
    Rejected,
    Restarted,
    Returned,
    Routed,
    ScriptReturned,
    ScriptRunning,
    StateChanged,
    Submit,
    Supervised,
    TimedOut,
    Unknown,
    WorkStopped,
)
from rescind.events._mentions import pairs_of
from rescind.replay._ledger.dialects import Tables, code_text, end_text, state_text, tables
from rescind.replay._ledger.lives import CancelLife, EndpointLife, RequestLife

from .text import count, duration, error_text, plain, value_text

Life_co = TypeVar("Life_co", covariant=True)


class Lives(Protocol[Life_co]):
    """Lives by their numbers: a dictionary, or a shelf that looks them up."""

    def get(self, number: int, /) -> Life_co | None:
        """Return a life; None if nothing is known of it."""
        ...

    def __contains__(self, number: object, /) -> bool:
        """Whether something is known of it."""
        ...


class Names(Protocol):
    """Whoever knows who is who: a ledger, or an archive."""

    @property
    def requests(self) -> Lives[RequestLife]:
        """Requests."""
        ...

    @property
    def cancels(self) -> Lives[CancelLife]:
        """Cancels."""
        ...

    @property
    def endpoints(self) -> Lives[EndpointLife]:
        """Endpoints."""
        ...

    def owner_of(self, number: int) -> int:
        """Return the endpoint of a request or call."""
        ...

    def label(self, number: int) -> str:
        """Return what to call an actor."""
        ...


RANGES_MAX = 6
_VALUE_WIDTH = 40


def numbers_text(ranges: list[int], letter: str = "r") -> str:
    """Return ranges as selectors, folded when there are many.

    >>> numbers_text([9, 9, 3, 8])
    'r9 r3..r8'
    """
    pairs = pairs_of(ranges)
    shown = [
        f"{letter}{first}" if first == last else f"{letter}{first}..{letter}{last}"
        for first, last in pairs[:RANGES_MAX]
    ]
    rest = sum(last - first + 1 for first, last in pairs[RANGES_MAX:])
    return " ".join(shown) + (f" and {rest:,} more" if rest else "")


def outcome_text(outcome: str, other: int) -> str:
    """Return what a cancel achieved that did not win, and which other one decided that.

    >>> outcome_text("superseded by", 7), outcome_text("superseded by", 0)
    ('superseded by c7', 'superseded')
    """
    return f"{plain(outcome)} c{other}" if other else plain(outcome).removesuffix(" by")


def rules_of(names: Names, number: int) -> Tables:
    """Return the tables for an endpoint, or for the endpoint of a request or cancel."""
    request, cancel = names.requests.get(number), names.cancels.get(number)
    owner = cancel.endpoint if cancel and not request else names.owner_of(number)
    endpoint = names.endpoints.get(owner)
    return tables(endpoint.dialect, endpoint.profile) if endpoint else tables("")


def message_text(message: Any, names: Names) -> str:
    """Return what an actor took, in a few words."""
    if message is None:
        return "nothing"
    phrase = _PHRASES.get(message.__class__)
    return kind_text(message) if phrase is None else phrase(message, names)


def event_text(event: Any, names: Names) -> str:
    """Return what a turn decided, in a few words."""
    phrase = _PHRASES.get(event.__class__)
    return kind_text(event) if phrase is None else phrase(event, names)


def said(code: int | None, names: Names, number: int) -> str:
    """Return a code that was said about a request, cancel or endpoint."""
    return code_text(rules_of(names, number), code)


def _submit(message: Submit) -> str:
    mode = "asynchronous" if message.asynchronous else "synchronous"
    limit = "" if message.timeout_ns is None else f", at most {duration(message.timeout_ns)}"
    return f"Submit {plain(message.operation)} ({mode}{limit})"


def _cancel(message: Cancel, names: Names) -> str:
    """Return whose cancel it is; a deadline asks for one in the name of its request."""
    is_deadline = message.cancel in names.requests and message.cancel not in names.cancels
    return (
        f"Cancel for the deadline of r{message.cancel}"
        if is_deadline
        else f"Cancel c{message.cancel}"
    )


def _answer(message: Answer, names: Names) -> str:
    extra = "" if message.value is None else f", {value_text(message.value, _VALUE_WIDTH)}"
    return f"Answer {said(message.code, names, message.request)}{extra}"


def _returned(message: Returned) -> str:
    raised = "" if message.error is None else f", raised {error_text(message.error)}"
    return f"Returned r{message.request}{raised}"


def _rejected(event: Rejected, names: Names) -> str:
    code = said(event.code, names, event.endpoint)
    return f"Rejected r{event.request} {plain(event.operation)}: {code} ({plain(event.rule)})"


def _state_changed(event: StateChanged, names: Names) -> str:
    rules = rules_of(names, event.subject)
    return f"StateChanged {state_text(rules, event.old)} -> {state_text(rules, event.new)}"


def _supervised(event: Supervised) -> str:
    wait = f" in {duration(event.delay_ns)}" if event.delay_ns else ""
    return f"Supervised a{event.actor}: {plain(event.decision)}{wait}"


def _completed(event: Completed, names: Names) -> str:
    code = end_text(rules_of(names, event.request), event.code, event.how)
    by = f" by c{event.by}" if event.by in names.cancels else ""
    return f"Completed r{event.request}: {code}{by}"


def kind_text(kind: Any) -> str:
    """Return any kind of the vocabulary with its fields, also one that this program is too old for.

    >>> kind_text(TimedOut(4))
    'TimedOut request=4'
    """
    if isinstance(kind, Unknown):
        name, names, values = kind.name, kind.fields, kind.values
    else:
        name, names, values = type(kind).__name__, getattr(kind, "_fields", ()), tuple(kind)
    fields = " ".join(
        f"{plain(field)}={value_text(value, _VALUE_WIDTH)}"
        for field, value in zip(names, values, strict=False)
    )
    return f"{plain(name)} {fields}".rstrip()


def taken_text(killed: Killed) -> str:
    """Return what of the cut requests had been taken, to stand behind a sentence.

    >>> taken_text(Killed(7, None, {5: 4096}))
    ', r5 cut after 4,096 bytes'
    """
    cut = sorted(killed.taken.items())
    return "".join(f", r{request} cut after {count(taken, 'byte')}" for request, taken in cut)


Phrase: TypeAlias = Callable[[Any, Names], str]

_PHRASES: dict[type, Phrase] = {
    Submit: lambda m, _: _submit(m),
    Answer: _answer,
    Cancel: _cancel,
    Killed: lambda m, names: (
        f"Killed for c{m.cancel}: {said(m.code, names, m.cancel)}{taken_text(m)}"
    ),
    CompletionScript: lambda m, _: (
        f"CompletionScript {numbers_text(m.requests)}" + " (still running)" * m.running
    ),
    InputScript: lambda m, _: f"InputScript r{m.request}" + " (asked for)" * m.asked,
    PartialDue: lambda m, _: f"PartialDue r{m.request}",
    PartialScript: lambda m, _: f"PartialScript r{m.request}",
    EventHandler: lambda m, _: f"EventHandler {m.code}" + (f" r{m.request}" if m.request else ""),
    Returned: lambda m, _: _returned(m),
    TimedOut: lambda m, names: f"TimedOut {'c' if m.request in names.cancels else 'r'}{m.request}",
    Complete: lambda m, _: f"Complete {'ok' if m.code is None else m.code}",
    Recover: lambda _m, _l: "Recover",
    Drop: lambda m, _: f"Drop by {m.by}: {plain(m.reason)}",
    Accepted: lambda e, _: f"Accepted r{e.request} {plain(e.operation)}",
    Rejected: _rejected,
    Completed: _completed,
    Routed: lambda e, _: f"Routed r{e.request} to the sink {plain(e.sink)}",
    Delivered: lambda e, _: f"Delivered {numbers_text(e.requests)} ({plain(e.manner)})",
    Fetched: lambda e, _: f"Fetched r{e.request}",
    Discarded: lambda e, _: f"Discarded {numbers_text(e.requests)}: {plain(e.reason)}",
    AnswerIgnored: lambda e, names: f"AnswerIgnored r{e.request}: {said(e.code, names, e.request)}",
    CancelRequested: lambda e, _: f"CancelRequested c{e.cancel} by {plain(e.trigger)}",
    CancelBegan: lambda e, _: f"CancelBegan c{e.cancel}: {numbers_text(e.victims) or 'no victims'}",
    CancelOutcome: lambda e, _: f"CancelOutcome c{e.cancel} at r{e.target}: {plain(e.outcome)}",
    CancelEnded: lambda e, names: f"CancelEnded c{e.cancel}: {said(e.code, names, e.cancel)}",
    StateChanged: _state_changed,
    Opened: lambda e, _: f"Opened a{e.endpoint} {plain(e.dialect)} ({plain(e.driver)})",
    Closed: lambda e, _: f"Closed a{e.subject}: {plain(e.reason)}",
    Born: lambda e, _: f"Born a{e.actor}",
    Fail: lambda m, _: f"Fail of a{m.child}: {error_text(m.error)}",
    Restarted: lambda e, _: f"Restarted a{e.actor}, incarnation {e.incarnation}",
    Supervised: lambda e, _: _supervised(e),
    WorkStopped: lambda e, names: f"WorkStopped for c{e.cancel}: {said(e.code, names, e.cancel)}",
    ScriptRunning: lambda e, _: f"ScriptRunning r{e.request}",
    ScriptReturned: lambda e, _: f"ScriptReturned r{e.request}",
}
"""One phrase per kind; a kind without one shows its name and fields."""

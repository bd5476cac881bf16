"""What can happen: every kind of message and event that the log knows, as data.

A kind is a ``NamedTuple``: its field order is its wire order, its class name its name in the log.
The log binds small numbers to (name, version, field names) in-band, so nothing here fixes a number.
Rules for change (see ``docs/reference/log-format.md``): append fields with a default and raise the
version; never reorder, reuse or retype one; a kind that goes stays here for the readers.

Identity: actors, requests, calls and cancels share one number space, so ``r17``, ``a17`` and
``c17`` name the same thing or nothing; the letter only says what the reader expects.  A cancel that
is an operation of its own (Newton's Cancel) has its request's number.

``Ranges`` is a flat list of inclusive pairs ``[first, last, first, last, ...]`` **in order of
happening**, not sorted: ``[4, 6, 2, 2]`` is 4, 5, 6, 2.
"""

# over 600 lines because it is one table: every kind that the log knows, and nothing else

from enum import IntEnum, StrEnum
from typing import Any, NamedTuple, TypeAlias

Ranges: TypeAlias = list[int]


class Origin(IntEnum):
    """Who brought a turn's message into the runtime."""

    ACTOR = 0
    """Another actor's turn; the cause is that turn."""
    APP = 1
    """The application called; the record says which thread or task, file and line."""
    IO = 2
    """A driver reports what the outside said; the cause is the turn that asked for the work."""
    TIMER = 3
    """A deadline passed; the cause is the turn that set the timer."""
    RECOVERY = 4
    """The log was reopened and what the last epoch left open is ended."""


class How(IntEnum):
    """How a request completed."""

    RESULT = 0
    FAILED = 1
    CANCELLED = 2
    TIMED_OUT = 3
    ABANDONED = 4
    RECOVERED = 5


class Outcome(StrEnum):
    """What a cancel achieved at one target."""

    WON = "won"
    TOO_LATE = "too late"
    IGNORED = "ignored"
    NOT_FOUND = "not found"
    DUPLICATE = "duplicate of"
    SUPERSEDED = "superseded by"
    REFUSED = "refused"


class Manner(StrEnum):
    """How a completion reached the application."""

    SCRIPT = "script"
    """The dialect's callback (CompletionScript, LINE_REPLY, a notification routine)."""
    RAISED = "raised"
    """An exception at the blocked caller."""
    RETURNED = "returned"
    """The blocked caller's return value."""
    HANDLER = "handler"
    """The endpoint's ExceptionHandler, for want of a callback."""
    FUTURE = "future"
    """Only the handle that the call returned; nobody else listens."""
    POSTED = "posted"
    """A message was put into the application's queue and can't be withdrawn."""
    TAKEN = "taken"
    """The application took the message out of its queue."""


class Decision(StrEnum):
    """What is done about an actor that failed; escalated, its supervisor fails in its place."""

    STOP = "stop"
    RESTART = "restart"
    RESUME = "resume"
    ESCALATE = "escalate"


# --- messages: what an actor takes -----------------------------------------------------------


class Start(NamedTuple):
    """An actor begins its life with its constructor's arguments."""

    cls: int
    args: list[Any]
    kwargs: dict[str, Any]


class Stop(NamedTuple):
    """An actor ends: in band (after its backlog) or urgently (on the control lane)."""

    urgent: bool


class Tell(NamedTuple):
    """A message nobody waits for."""

    value: Any


class Ask(NamedTuple):
    """A message whose sender gets the handler's return value."""

    value: Any


class Proxy(NamedTuple):
    """A call, a reading or a setting of an attribute through one of Pykka's proxies."""

    verb: str
    path: list[str]
    args: list[Any]
    kwargs: dict[str, Any]
    asked: bool


class Watch(NamedTuple):
    """Somebody wants to be told when this actor stops."""

    watcher: Any


class Resume(NamedTuple):
    """The answer an actor waited for inside turn ``part`` has come."""

    part: int
    value: Any
    error: str | None


class Submit(NamedTuple):
    """The application calls one of a dialect's operations."""

    operation: str
    arguments: tuple[Any, ...]
    asynchronous: bool
    timeout_ns: int | None


class Cancel(NamedTuple):
    """A request is told that ``cancel`` wants it to end."""

    cancel: int


class Drop(NamedTuple):
    """A request or call is given up without an answer; ``by`` is the operation that dropped it."""

    by: int
    reason: str = "dropped"


class CompletionScript(NamedTuple):
    """Completions leave for the application, in this order and all in the same ``Manner``.

    Every script of the run has returned, except the last one's when ``running``: then its
    ``Returned`` follows as a turn of its own.
    """

    requests: Ranges
    running: bool
    manner: str = Manner.SCRIPT


class Returned(NamedTuple):
    """A script that was left running came back; ``error`` is what it raised, as text."""

    request: int
    error: str | None


class InputScript(NamedTuple):
    """Received data leaves for the application; its ``Returned`` follows.

    ``asked``: the application called for what there was, and the receive stays posted.
    """

    request: int
    asked: bool = False


class Taken(NamedTuple):
    """The application takes completions out of a queue that it pulls."""

    requests: Ranges


class CallReturned(NamedTuple):
    """A function of the other side returned, which is a fact of its own where rules speak of it."""

    of: int
    function: str
    code: int | None


class Answer(NamedTuple):
    """The outside answers a request: a code (None is success) and a value."""

    request: int
    code: int | None
    value: Any


class Received(NamedTuple):
    """The outside delivered data for an armed receive; framing is the driver's work.

    ``terminator`` is None where the application called for what there was; ``options`` are those of
    the receive, as the driver processed them.
    """

    request: int
    data: Any
    terminator: Any
    options: Any = None


class Killed(NamedTuple):
    """The driver stopped its work for ``cancel``; ``taken`` maps a cut request to bytes taken.

    ``spared``: requests that it cannot stop; they run on, and this cancel does not end them.
    """

    cancel: int
    code: int | None
    taken: dict[int, int]
    spared: tuple[int, ...] = ()


class ToolEvent(NamedTuple):
    """The driver reports something nobody asked for (remote close, release, ...)."""

    code: int
    data: Any


class TimedOut(NamedTuple):
    """A request's own deadline passed."""

    request: int


class Complete(NamedTuple):
    """An operation's request is told its result by the actor that carried it out."""

    code: int | None


class Serve(NamedTuple):
    """An actor takes up a request that it was asked earlier."""

    request: int


class Recover(NamedTuple):
    """What outlived the process that held it goes on in this one, or is ended; origin recovery.

    ``cls`` is the class binding of an actor that goes on; 0 where there is none.
    """

    cls: int


class Notice(NamedTuple):
    """A subscriber is told of an event that stands in the causing turn."""

    event: str
    values: tuple[Any, ...]


class Restart(NamedTuple):
    """An actor that failed begins again."""

    incarnation: int


class Fail(NamedTuple):
    """A supervisor is told a failure that it has to take for its own."""

    child: int
    error: str


# --- events: what a turn decided ---------------------------------------------------------------


class Born(NamedTuple):
    """An actor exists from here on; ``cls`` is a class binding."""

    actor: int
    cls: int
    parent: int


class Stopped(NamedTuple):
    """An actor took its last message; ``error`` is set when a failure stopped it."""

    actor: int
    error: str | None


class Failed(NamedTuple):
    """A handler raised; nothing that it had decided was applied."""

    error: str


class Replied(NamedTuple):
    """The turn's answer to an Ask."""

    value: Any


class Raised(NamedTuple):
    """The turn's answer to an Ask is an exception."""

    error: str


class Suspended(NamedTuple):
    """The turn waits; ``on`` is the actor or request whose answer it waits for."""

    on: int


class SlowTurn(NamedTuple):
    """The handler, or this part of it, took so long; says nothing of what was decided."""

    took_ns: int


class DeadLetter(NamedTuple):
    """A message found its actor stopped."""

    actor: int


class TimerSet(NamedTuple):
    """The actor will be told something after this long."""

    delay_ns: int


class Opened(NamedTuple):
    """An endpoint exists; ``driver`` is a label like ``tcp 127.0.0.1:4000``."""

    endpoint: int
    dialect: str
    profile: str
    driver: str


class StateChanged(NamedTuple):
    """An endpoint, call or request moved between two of its dialect's states."""

    subject: int
    old: int
    new: int


class Closed(NamedTuple):
    """An endpoint or call is gone; nothing is said of it afterwards."""

    subject: int
    reason: str


class CallOpened(NamedTuple):
    """A call exists; ``by`` is the request that makes it, or 0 when the other side does."""

    call: int
    endpoint: int
    by: int


class PrivilegeChanged(NamedTuple):
    """A holder's rights to a call changed; 0 is no right.  A handoff is two of these."""

    call: int
    holder: int
    old: int
    new: int


class Notified(NamedTuple):
    """News that completes nothing reached a holder: a call's state, an event nobody asked for."""

    subject: int
    holder: int
    what: str
    value: Any
    manner: str


class Accepted(NamedTuple):
    """A request was submitted, admitted and born in one; ``started`` when a driver got it too."""

    request: int
    endpoint: int
    operation: str
    asynchronous: bool
    timeout_ns: int | None
    started: bool
    call: int = 0
    handle: int = 0
    """The dialect's own name for the request, where it has one and may use it again."""


class Rejected(NamedTuple):
    """A request was submitted and refused by the table row ``rule``; it never lived."""

    request: int
    endpoint: int
    operation: str
    code: int
    rule: str


class Started(NamedTuple):
    """A driver got a request that had been accepted earlier."""

    request: int


class Completed(NamedTuple):
    """A request ended, once.

    ``code`` is None for a success, and also where the dialect's victims hear no code: ``how`` tells
    the two apart.  ``by`` is the cancel that won it, or what dropped it, or 0.
    """

    request: int
    code: int | None
    how: int
    by: int
    value: Any = None


class Delivered(NamedTuple):
    """Completions reached the application."""

    requests: Ranges
    manner: str


class Discarded(NamedTuple):
    """Completions will reach nobody; ``by`` is the turn or operation that closed the way, or 0."""

    requests: Ranges
    reason: str
    by: int


class AnswerIgnored(NamedTuple):
    """The outside answered a request that had ended."""

    request: int
    code: int | None


class CancelRequested(NamedTuple):
    """A cancel was accepted as an operation.

    ``scope`` is the endpoint, call or request that it covers; ``by`` the request that asked, or
    that timed out, or 0; ``reason`` what the application said.
    """

    cancel: int
    scope: int
    trigger: str
    by: int
    reason: str = ""


class CancelBegan(NamedTuple):
    """The cancel starts to act: a window opens where the dialect has one.

    ``victims`` are what it means to end, in the order in which they will hear of it.
    """

    cancel: int
    victims: Ranges


class CancelOutcome(NamedTuple):
    """What the cancel achieved at a target where it did not win.

    ``other`` is the cancel that this one duplicates or is superseded by; ``rule`` the table's row.
    """

    cancel: int
    target: int
    outcome: str
    other: int = 0
    rule: str = ""


class CancelEnded(NamedTuple):
    """The cancel's own result is known; where the dialect has a window, it closes here."""

    cancel: int
    code: int | None


class InputArrived(NamedTuple):
    """Data ended a posted receive; nothing is received until the next one is posted."""

    request: int
    terminator: Any


class InputDelivered(NamedTuple):
    """Received data reached the application, whose script runs."""

    request: int


class InputPosted(NamedTuple):
    """A receive is posted again for the same spec."""

    request: int


class ScriptRaised(NamedTuple):
    """A callback of the application raised; the deliveries behind it go on."""

    request: int
    error: str


class ScriptRunning(NamedTuple):
    """A delivered completion's script called the runtime and has not returned yet."""

    request: int


class ScriptReturned(NamedTuple):
    """That script has returned."""

    request: int


class WorkStopped(NamedTuple):
    """The driver does nothing any more for the victims of ``cancel``."""

    cancel: int
    code: int | None


class Violation(NamedTuple):
    """A side broke its protocol: a driver, a peer, or the application; ``rule`` names the row."""

    subject: int
    rule: str
    text: str
    side: str = "driver"


class Asked(NamedTuple):
    """A handler made a request, or gave work away: for whose sake, and with what.

    ``parent`` is the request that was being served, or 0; a cancel of it takes this one too, unless
    it is ``shielded``.
    """

    request: int
    parent: int
    arguments: tuple[Any, ...]
    shielded: bool = False


class Routed(NamedTuple):
    """A request's completion goes to the sink of this name, if need be in a later process."""

    request: int
    sink: str


class Dropped(NamedTuple):
    """A full mailbox gave up this message, its oldest, for a newer one.

    ``by`` is the turn that sent the newer one; 0 when that came from outside.
    """

    actor: int
    by: int


class Overflowed(NamedTuple):
    """A full mailbox took no more: the actor's, or with 0 the runtime's.

    ``tried`` is 0 where the sender was outside: then this record shows the first of so many
    ``messages`` that were refused.  Else it says which message of this turn, counted from 1 among
    those for bounded mailboxes, was refused.
    """

    actor: int
    messages: int
    tried: int


class Stashed(NamedTuple):
    """The actor put this message aside, unanswered; so many are ``aside`` now."""

    aside: int


class Unstashed(NamedTuple):
    """The actor takes up again what it put aside in these turns, before everything else."""

    turns: list[int]


class Supervised(NamedTuple):
    """What becomes of an actor that failed, or whose children stop first; what a restart waits."""

    actor: int
    decision: str
    delay_ns: int


class Restarted(NamedTuple):
    """An actor goes on as another incarnation; the first one is 1."""

    actor: int
    incarnation: int


class PartialDue(NamedTuple):
    """It is time to look at what a posted receive has got so far."""

    request: int


class PartialScript(NamedTuple):
    """What a posted receive has got so far is shown to the application; ``Returned`` follows."""

    request: int


class EventHandler(NamedTuple):
    """The application hears of what the driver reported unasked; its ``Returned`` follows.

    ``request`` is what the news is about, or 0 for the endpoint.
    """

    code: int
    request: int = 0


class Fetched(NamedTuple):
    """The application fetched the result of a request that it had been notified of; once."""

    request: int


MESSAGES: tuple[type[tuple[Any, ...]], ...] = (
    Start, Stop, Tell, Ask, Proxy, Watch, Resume, Submit, Cancel, Drop, CompletionScript, Returned,
    InputScript, Taken, CallReturned, Answer, Received, Killed, ToolEvent, TimedOut, Complete,
    Serve, Recover, Notice, Restart, Fail, PartialDue, PartialScript, EventHandler,
)  # fmt: skip
EVENTS: tuple[type[tuple[Any, ...]], ...] = (
    Born, Stopped, Failed, Replied, Raised, Suspended, DeadLetter, TimerSet, Opened, StateChanged,
    Closed, CallOpened, PrivilegeChanged, Notified, Accepted, Rejected, Started, Completed,
    Delivered, Discarded, AnswerIgnored, CancelRequested, CancelBegan, CancelOutcome, CancelEnded,
    InputArrived, InputDelivered, InputPosted, ScriptRaised, ScriptRunning, ScriptReturned,
    WorkStopped, Violation, Asked, SlowTurn, Routed, Dropped, Overflowed, Stashed, Unstashed,
    Supervised, Restarted, Fetched,
)  # fmt: skip
KINDS = MESSAGES + EVENTS

LEDGER_VERSION: dict[str, int] = {
    "EventHandler": 2, "InputScript": 2, "Killed": 2, "Received": 2,
}  # fmt: skip
"""Kinds whose version is not 1."""

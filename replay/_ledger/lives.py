"""What a ledger holds: the lives of requests, cancels, endpoints and calls, as a log tells them."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rescind.events import By

from .numbers import Numbers, NumberSet


class Moment(NamedTuple):
    """When something happened: the turn is the authority, the time is data."""

    turn: int
    time_ns: int


class Delivery(NamedTuple):
    """How a completion reached the application; ``place`` is its rank in the whole log."""

    turn: int
    time_ns: int
    manner: str
    place: int


class Discard(NamedTuple):
    """Why a completion reached nobody."""

    turn: int
    time_ns: int
    reason: str
    by: int


class Ending(NamedTuple):
    """A request's completion."""

    turn: int
    time_ns: int
    code: int | None
    how: int
    by: int


class Before(NamedTuple):
    """A completion that only a keyframe tells of; its turn is gone, and with it the time."""

    turn: int
    code: int | None
    how: int


class Refused(NamedTuple):
    """A request's rejection."""

    turn: int
    time_ns: int
    code: int
    rule: str


class Attempt(NamedTuple):
    """What a cancel achieved at one target, where the log says so in an event of its own."""

    turn: int
    time_ns: int
    cancel: int
    target: int
    outcome: str
    other: int
    rule: str = ""


class Context(NamedTuple):
    """What a call was made inside of: a turn of the log and the request whose script it ran."""

    turn: int
    request: int


@dataclass(slots=True)
class RequestLife:
    """One request's life, as far as the log tells it.

    ``submitted`` is None when the log begins after the submission.
    """

    number: int
    endpoint: int = 0
    operation: str = ""
    asynchronous: bool = True
    timeout_ns: int | None = None
    submitted: Moment | None = None
    by: By | None = None
    inside: Context | None = None
    rejected: Refused | None = None
    completed: Ending | None = None
    before: Before | None = None
    """Its completion, when it lies before what the log holds."""
    delivered: Delivery | None = None
    discarded: Discard | None = None
    fetched: Moment | None = None
    """When the application asked for what it had been notified of."""
    timed_out: Moment | None = None
    claims: tuple[int, ...] = ()
    """The cancels that named it a victim."""
    winner: int = 0
    """The cancel that the log first named as the one that won it."""
    taken: int = 0
    """The bytes that had been taken of it when a cancel stopped the driver in the middle."""
    late_answer: Ending | None = None
    """What the outside said after the request had ended."""
    script_error: Any = None
    """What its script raised, as text or as what stands in the text's place."""

    is_lost: bool = False
    """Whether the log said something of it that is not looked up any more."""

    @property
    def is_pending(self) -> bool:
        """Accepted and not completed."""
        return self.rejected is None and not self.has_completed

    @property
    def is_outstanding(self) -> bool:
        """Nothing is known of its end."""
        ends = (self.delivered, self.discarded, self.late_answer)
        return self.is_pending and not any(ends)

    @property
    def has_completed(self) -> bool:
        """Whether it has ended, in what the log holds or before."""
        return self.completed is not None or self.before is not None

    @property
    def is_settled(self) -> bool:
        """Nothing more is owed to the application."""
        ended = self.has_completed and (self.delivered or self.discarded)
        return self.rejected is not None or bool(ended)


@dataclass(slots=True)
class CancelLife:
    """One cancel's life: a window beside an endpoint, and what it did to whom."""

    number: int
    endpoint: int = 0
    scope: int = 0
    """The endpoint, call or request that it covers."""
    reason: str = ""
    """What the application said."""
    trigger: str = ""
    asked_by: int = 0
    """The request that asked, or whose time ran out."""
    requested: Moment | None = None
    by: By | None = None
    inside: Context | None = None
    handler: int = 0
    """The turn whose handler asked, or 0."""
    began: Moment | None = None
    victims: Numbers = field(default_factory=Numbers)
    owed: int = field(default=0, compare=False)
    """Victims that are not settled."""
    attempts: list[Attempt] = field(default_factory=list["Attempt"])
    told: set[int] = field(default_factory=set[int])
    """The targets of these attempts."""
    refused: Numbers = field(default_factory=Numbers)
    """Requests rejected while the window was open."""
    killed: Ending | None = None
    ended: Ending | None = None

    @property
    def is_open(self) -> bool:
        """Whether the window is open."""
        return self.began is not None and self.ended is None


@dataclass(slots=True)
class EndpointLife:
    """An endpoint: what it is, how it stands, which cancel windows are open beside it."""

    number: int
    dialect: str = ""
    profile: str = ""
    driver: str = ""
    opened: Moment | None = None
    closed: Moment | None = None
    reason: str = ""
    state: int | None = None
    changed: Moment | None = None
    windows: list[int] = field(default_factory=list[int])
    pending: NumberSet = field(default_factory=NumberSet.exact)
    """Accepted and not settled."""


@dataclass(slots=True)
class CallLife:
    """A call: groups requests of one endpoint."""

    number: int
    endpoint: int = 0
    opened: Moment | None = None
    closed: Moment | None = None
    reason: str = ""
    state: int | None = None
    changed: Moment | None = None


class Gap(NamedTuple):
    """Turns that the log should have and has not."""

    first: int
    last: int

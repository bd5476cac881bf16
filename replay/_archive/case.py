"""A case: the turns that mention a few numbers, folded as a whole log would be."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rescind.events import (
    CancelBegan,
    Completed,
    CompletionScript,
    Delivered,
    Discarded,
    Killed,
    Turn,
)
from rescind.events._mentions import pairs_of
from rescind.replay._ledger.from_keyframe import LedgerFromKeyframe
from rescind.replay._ledger.lives import CancelLife, Context, EndpointLife, Moment, RequestLife
from rescind.replay._ledger.model import Ledger
from rescind.replay._ledger.numbers import Numbers, NumberSet

if TYPE_CHECKING:
    from .archive import Archive

_RUNS = frozenset({CancelBegan, Delivered, Discarded})
"""Events that name many at once."""


class Case(LedgerFromKeyframe):
    """The ledger of the turns that mention a few numbers; nothing is missing between them.

    What it says of others is only what these turns say of them.
    """

    KEEPS_CAUSES = False

    def __init__(self, archive: "Archive", members: Iterable[int] | None) -> None:
        """Begin a case.

        Args:
            archive: Where the log is, and who else is in it.
            members: Whose case it is; of long ranges no others are taken.  None takes all.
        """
        Ledger.__init__(self, archive.class_name)
        self._archive = archive
        self._members = None if members is None else NumberSet.of(members)
        self._turn: Turn | None = None

    def begin(self, turn: Turn) -> None:
        """Take a turn's frame."""
        self._turn = turn
        super().begin(turn)
        if self.blind_before > 1 and turn.actor in self._archive.endpoints:
            self.endpoint(turn.actor)  # what an endpoint says of a number tells whose that is

    def narrowed(self, turn: Turn) -> Turn:
        """Return a turn as far as it concerns the members: of long runs only their part."""
        message = turn.message
        if self._members is None or not (
            isinstance(message, CompletionScript) or _RUNS.intersection(map(type, turn.events))
        ):
            return turn
        if isinstance(message, CompletionScript) and message.requests:
            kept = self._narrow(message.requests)
            is_last = kept[-1:] == [message.requests[-1]]
            message = message._replace(requests=kept, running=message.running and is_last)
        return replace(turn, message=message, events=tuple(map(self._narrowed, turn.events)))

    def _narrowed(self, event: Any) -> Any:
        match event:
            case CancelBegan(victims=ranges):
                return event._replace(victims=self._narrow(ranges))
            case Delivered(requests=ranges) | Discarded(requests=ranges):
                return event._replace(requests=self._narrow(ranges))
            case _:
                return event

    def _narrow(self, ranges: list[int]) -> list[int]:
        members = self._members or NumberSet()
        pairs = (pair for low, high in pairs_of(ranges) for pair in members.within(low, high))
        return [number for pair in pairs for number in pair]

    def is_brief(self, number: int) -> bool:
        """Whether a number is a request or a cancel, of which all is read."""
        return number in self.requests or number in self.cancels

    def is_lasting(self, number: int) -> bool:
        """Whether a number is an endpoint, a call or an ordinary actor, whose life is long."""
        lasting: list[dict[int, Any]] = [self.endpoints, self.calls, self.classes]
        lasting += self._told_of(number)[2:]
        return not self.is_brief(number) and any(number in known for known in lasting)

    def is_told(self, number: int) -> bool:
        """Whether a keyframe tells of a number."""
        return any(number in told for told in self._told_of(number))

    def _told_of(self, number: int) -> tuple[dict[int, Any], ...]:
        names = self._archive.names
        if names is None:
            return ()
        names.meet(number)
        return (names.requests, names.cancels, names.endpoints, names.calls, names.classes)

    def meet(self, number: int) -> None:
        """Take over what a keyframe tells of a number."""
        for told, take in zip(
            self._told_of(number), (self.request, self.cancel, self.endpoint), strict=False
        ):
            if number in told:
                take(number)
        names = self._archive.names
        if names is not None and number in names.classes:
            self.classes.setdefault(number, names.classes[number])
        if names is not None and number in names.calls:
            self.calls.setdefault(number, names.calls[number])

    def end(self) -> None:
        """Hear that no turn follows; a keyframe's others are nobody's here."""

    def request(self, number: int) -> RequestLife:
        """Return a request; where its submission is gone, as a keyframe tells of it."""
        is_new = number not in self.requests
        found = Ledger.request(self, number)
        if is_new and self._archive.names and self.is_told(number):
            named = self._archive.names.requests.get(number)
            if named is not None:
                found.endpoint, found.operation = named.endpoint, named.operation
                found.asynchronous, found.timeout_ns = named.asynchronous, named.timeout_ns
                found.before = named.before
                self.endpoint(found.endpoint).pending.add(number)
        return found

    def cancel(self, number: int) -> CancelLife:
        """Return a cancel, likewise."""
        is_new = number not in self.cancels
        found = super().cancel(number)
        if is_new and self._archive.names and self.is_told(number):
            named = self._archive.names.cancels.get(number)
            if named is not None:
                found.endpoint, found.scope = named.endpoint, named.scope
                found.asked_by, found.trigger = named.asked_by, named.trigger
        return found

    def endpoint(self, number: int) -> EndpointLife:
        """Return an endpoint, introduced by the archive: few turns say who theirs is."""
        is_new = number not in self.endpoints
        found = super().endpoint(number)
        if is_new:
            known = None if self._is_about(number) else self._archive.endpoints.get(number)
            if known is None and self.is_told(number) and self._archive.names:
                known = self._archive.names.endpoints.get(number)
            if known is not None:
                found.dialect, found.profile = known.dialect, known.profile
                found.driver, found.opened = known.driver, known.opened
                found.state = known.state
        return found

    def owner_of(self, number: int) -> int:
        """Return the endpoint of a request or call."""
        if number in self.requests or number in self.calls or self._is_about(number):
            return super().owner_of(number)
        return self._archive.owner_of(number)

    def cause_of(self, number: int) -> int:
        """Return the turn that brought a turn about."""
        return self._archive.cause_of(number)

    def context_of(self, number: int) -> Context | None:
        """Return the script in which a turn was asked for."""
        turn = self._turn
        if turn is None or turn.number != number:
            turn = self._archive.turn(number)
        return self._archive.context_of(turn) if turn else None

    def _is_about(self, number: int) -> bool:
        return self._members is not None and number in self._members

    def context_in(self, turn: Turn) -> Context | None:
        """Return the script in which a turn was asked for."""
        return self._archive.context_of(turn)

    def _jump(self, turn: Turn) -> None:
        self.blind_before = self._archive.blind_before(turn.number)
        if self.first is None:
            self.first = Moment(turn.number, turn.time_ns)


class OneCase(Case):
    """The case of one number: of others that are requests nothing is kept.

    In the turns about a cancel there may be a million of them.
    """

    def __init__(self, archive: "Archive", number: int) -> None:
        """Begin the case of a number."""
        super().__init__(archive, {number})
        self._number = number

    def request(self, number: int) -> RequestLife:
        """Return the request whose case this is; another is for nobody to keep."""
        return super().request(number) if number == self._number else RequestLife(number)


class OneCancel(OneCase):
    """The case of one cancel; of its victims the numbers are kept.

    Attributes:
        won: The requests that it ended.
        taken: By request that it cut in the middle, how many bytes had been taken.
    """

    def __init__(self, archive: "Archive", number: int) -> None:
        """Begin the case of a cancel, which is known from the start."""
        super().__init__(archive, number)
        self.won = NumberSet.exact()
        self.taken: Mapping[int, int] = {}
        self.cancel(number)

    def begin(self, turn: Turn) -> None:
        """Take a turn's frame, and what was cut."""
        super().begin(turn)
        if isinstance(turn.message, Killed) and turn.message.cancel == self._number:
            self.taken = turn.message.taken

    def apply(self, event: Any, turn: Turn) -> None:
        """Take an event, and whom the cancel ended."""
        super().apply(event, turn)
        if isinstance(event, Completed) and event.by == self._number:
            self.won.add(event.request)

    def among(self, ranges: list[int]) -> Iterable[int]:
        """Return the cancel's own number, if it is in the ranges."""
        return [self._number] if self._number in Numbers(ranges) else []

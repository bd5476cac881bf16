"""A recorded turn as re-execution reads it: as it is on the wire, decoded where somebody asks.

What today's code makes is compared on the wire too, so that of most turns hardly anything has to be
decoded: re-execution shall not take longer than the recording did.
"""

from collections.abc import Iterator
from typing import Any

from rescind.events import (
    KINDS,
    RECORD_ELEMENTS,
    Accepted,
    DeadLetter,
    Dropped,
    LogReader,
    Origin,
    Overflowed,
    Stopped,
    Suspended,
    Turn,
    Unknown,
    declared_as,
)
from rescind.events._codec import Bindings, decode_turn

_VOCABULARY: dict[str, type] = {kind.__name__: kind for kind in KINDS}
_ORIGINS: dict[int, Origin] = {origin.value: origin for origin in Origin}
_CANNOT_DECODE = (TypeError, ValueError, IndexError, KeyError)


class UndecodableError(Exception):
    """A record is not shaped like one, whatever its checksum says."""


class Kinds(dict[type, Any]):
    """What an epoch's records call the kinds: a class to its number, as far as it has one.

    One without is called by its class, which is like nothing that was recorded.
    """

    def __init__(self, bindings: Bindings) -> None:
        """Look kinds up in an epoch's bindings, which grow while it is read."""
        super().__init__()
        self.bindings = bindings
        self._classes: dict[int, type] = {}
        self.losses = self.numbers(DeadLetter, Dropped, Overflowed)
        """Events of messages that a mailbox dropped or did not take, or that nobody took."""
        self.waits = self.numbers(Suspended)
        self.lives = self.numbers(Accepted, Stopped)
        """Events by which requests and actors come and go."""

    def __missing__(self, kind: type) -> Any:
        declared = declared_as(kind)
        name = kind.__name__ if declared is None else declared.name
        for number, bound in self.bindings.kinds.items():
            if bound.name == name:
                self[kind] = number
                self._classes[number] = kind
                return number
        return kind

    def numbers(self, *kinds: type) -> frozenset[Any]:
        """Return what records call these kinds."""
        return frozenset(self[kind] for kind in kinds)

    def class_of(self, number: Any) -> type:
        """Return the kind that a record calls so; ``Unknown`` for one that is nobody's."""
        found = self._classes.get(number)
        if found is None:
            if isinstance(number, type):
                return number
            bound = self.bindings.kinds.get(number)
            found = Unknown if bound is None else _VOCABULARY.get(bound.name, Unknown)
            if found is not Unknown:
                self._classes[number] = found
        return found

    def with_classes(self, made: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a record that was made with classes in the place of their numbers."""
        actor, time_ns, origin, cause, message, events, by = made
        return (
            actor,
            time_ns,
            origin,
            cause,
            (self.class_of(message[0]), *message[1:]),
            [(self.class_of(event[0]), *event[1:]) for event in events],
            by,
        )


class Recorded:
    """One recorded turn.  What it holds is decoded when it is asked for.

    Attributes:
        number: Its number.
        epoch: The writer's life.
        wire: The record as it is on the wire.
        kinds: What it calls the kinds.
        actor: Who took the message.
        time_ns: The turn's time.
        kind: The message's kind; ``Unknown`` for one that is not the vocabulary's.
        origin: Who brought it.
        replayable: Whether all its values are in the log.
    """

    __slots__ = (
        "_message", "_turn", "actor", "epoch", "kind", "kinds", "number", "origin", "replayable",
        "time_ns", "wire",
    )  # fmt: skip

    def __init__(self, number: int, epoch: int, wire: tuple[Any, ...], kinds: Kinds) -> None:
        """Be a record of that epoch."""
        self.number = number
        self.epoch = epoch
        self.wire = wire
        self.kinds = kinds
        self.actor: int = wire[0]
        self.time_ns: int = wire[1]
        self.origin: Any = _ORIGINS.get(wire[2], wire[2])
        self.kind = kinds.class_of(wire[4][0])
        self._message: Any = None
        self._turn: Turn | None = None
        self.replayable = len(wire) == RECORD_ELEMENTS or self.turn.replayable

    @property
    def turn(self) -> Turn:
        """All of it, decoded.

        Raises:
            UndecodableError: It is not shaped like a turn.
        """
        if self._turn is None:
            try:
                self._turn = decode_turn(self.number, self.epoch, self.wire, self.kinds.bindings)
            except _CANNOT_DECODE as error:
                raise UndecodableError(f"turn {self.number} cannot be decoded") from error
        return self._turn

    @property
    def message(self) -> Any:
        """What the actor took; raises what ``turn`` does."""
        if self._message is None:
            try:
                self._message = self.kinds.bindings.decode(self.wire[4])
            except _CANNOT_DECODE as error:
                raise UndecodableError(f"turn {self.number} cannot be decoded") from error
        return self._message

    @property
    def events(self) -> tuple[Any, ...]:
        """What the turn decided; raises what ``turn`` does."""
        return self.turn.events

    @property
    def cause(self) -> int:
        """The causing turn of this log, or 0."""
        wire = self.wire[3]
        if wire.__class__ is int:
            return int(wire)
        return 0 if isinstance(wire[0], bytes) else int(wire[0])

    def holds(self, numbers: frozenset[Any]) -> bool:
        """Tell whether one of its events is of these kinds (``Kinds.numbers``)."""
        for event in self.wire[5]:  # noqa: SIM110  # every turn is asked, and any() costs more
            if event[0] in numbers:
                return True
        return False


def recorded(reader: LogReader) -> Iterator[Recorded]:
    """Yield a log's records in order; one that cannot be decoded is reported and left out."""
    epoch, kinds = 0, Kinds(Bindings())
    for batch in reader.batches():
        if batch.epoch != epoch:
            epoch, kinds = batch.epoch, Kinds(batch.bindings)
        for number, wire in zip(batch.numbers, batch.records, strict=True):
            try:
                turn = Recorded(number, epoch, wire, kinds)
            except (*_CANNOT_DECODE, UndecodableError):
                reader.report_undecodable(batch, number)
                continue
            yield turn

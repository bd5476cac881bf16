"""What a reader yields: turns and damage, as plain values."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ._vocabulary import Origin


@dataclass(frozen=True, slots=True)
class Opaque:
    """Stands for a value that MessagePack could not carry; only its type's name was kept."""

    type: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """Stands for a value that a payload policy kept out of the log.

    Attributes:
        length: The length of the value's MessagePack encoding; None when not even that was kept.
        digest: The encoding's SHA-256; None likewise.
    """

    length: int | None
    digest: bytes | None

    def __repr__(self) -> str:
        """How screens show it, also deep inside other values."""
        if self.length is None or self.digest is None:
            return "withheld"
        return f"withheld(sha256 {self.digest.hex()}, {self.length:,} bytes)"


@dataclass(frozen=True, slots=True)
class Reference:
    """Names an actor, wherever a value may stand.

    Attributes:
        log: The id of the log that the number belongs to, 16 bytes.
        number: The actor's number there.
    """

    log: bytes
    number: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message or event of a kind that this program does not know, kept as it was written.

    Attributes:
        name: The kind's name in the log; ``kind 7`` when the log's own binding of 7 was lost.
        version: The kind's version in the log; 0 when the binding was lost.
        fields: The field names in the log.
        values: The values, in wire order; there may be more or fewer than ``fields``.
    """

    name: str
    version: int
    fields: tuple[str, ...]
    values: tuple[Any, ...]

    def __repr__(self) -> str:
        """How screens show it, also deep inside other values: as its class would write it."""
        named = map("{}={!r}".format, self.fields, self.values)
        more = map(repr, self.values[len(self.fields) :])
        return f"{self.name}({', '.join((*named, *more))})"


@dataclass(frozen=True, slots=True)
class By:
    """Who in the application called: thread or task, and the line; ``?`` where damage took it."""

    who: str
    file: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class Cause:
    """The turn that brought another about.

    Attributes:
        number: The causing turn.
        request: The one delivery among several in that turn; 0 when the turn as a whole is meant.
        log: The log id (16 bytes) when the turn is in another log; None for this log.
    """

    number: int
    request: int = 0
    log: bytes | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One actor took one message: a record of the log, decoded.

    Attributes:
        number: The place in the log's one order; dense, from 1.
        time_ns: The turn's one time; the number is the authority, the time is data.
        epoch: The writer's life in which it happened.
        actor: The actor that took the message; 0 is the runtime itself.
        origin: Who brought the message; a plain int when a later version knows more origins.
        cause: The turn that brought this one about, if any.
        message: What the actor took: a kind of the vocabulary or ``Unknown``.
        events: What the turn decided, in order.
        by: Who in the application called, if the application did.
        replayable: False when a value was opaque or withheld, so that re-execution stops here.
    """

    number: int
    time_ns: int
    epoch: int
    actor: int
    origin: Origin | int
    cause: Cause | None
    message: Any
    events: tuple[Any, ...]
    by: By | None
    replayable: bool

    @property
    def withheld(self) -> bool:
        """Whether a payload policy kept something of this turn out of the log."""
        return not self.replayable and holds_withheld((self.message, self.events))


def holds_withheld(value: Any) -> bool:
    """Whether the value is, or holds, something withheld."""
    match value:
        case Withheld():
            return True
        case Unknown():
            return holds_withheld(value.values)
        case dict():
            return any(map(holds_withheld, _items(value.values())))
        case tuple() | list():
            return any(map(holds_withheld, _items(value)))
        case _:
            return False


def _items(values: Any) -> Iterable[Any]:
    """Values of unknown content, which the checkers want named."""
    items: Iterable[Any] = values
    return items


@dataclass(frozen=True, slots=True)
class Damage:
    """One place where the log is not what its writer wrote, or never was finished.

    Attributes:
        row: The row of the decision table in ``_recovery``, such as ``torn-body``.
        segment: The segment's number.
        offset: Where the damage begins in the segment.
        length: How many bytes it spans.
        first: The first record number that is lost; None when none is.
        last: The last one; None with ``first`` set means that how many is not known.
        text: One sentence for people.
    """

    row: str
    segment: int
    offset: int
    length: int
    first: int | None
    last: int | None
    text: str

    @property
    def torn(self) -> bool:
        """Whether this is an unfinished end, which loses nothing that was acknowledged."""
        return self.row.startswith("torn")

    @property
    def is_rot(self) -> bool:
        """Whether something that was whole is not so any more, as far as this log knows.

        Not a tear, and not a loss that a recovery noted: around that one the log is whole.
        """
        return not self.torn and self.row != "lost"

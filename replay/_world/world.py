"""The world behind a turn, folded from a log or from a keyframe.

A `World` holds what is there at one moment and nothing of what has been: a request leaves it with
its delivery, an actor with its stop.  So it begins at a keyframe as well as at a log's first turn,
and its size is that of what lives.
"""

from bisect import bisect_right
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from rescind.events import (
    Accepted,
    Bindings,
    Completed,
    Entry,
    Origin,
    ReadBatch,
    Record,
    Turn,
    Unknown,
)
from rescind.events._msgpack import CANNOT_PACK
from rescind.replay._ledger.lives import Moment
from rescind.replay._ledger.model import SENSELESS
from rescind.replay._ledger.sound import is_sound

from .changes import BY_NAME, CHANGES, timer_fired
from .entries import thing_of, windows_of
from .living import Fact, Held, Life, Living, OpenCall, Place, packed

_TIMER = Origin.TIMER.value


class World(Living):
    """What lives behind a turn; feed it turns in order."""

    __slots__ = ()

    # --- turns -----------------------------------------------------------------------------------

    def feed(self, turn: Turn) -> None:
        """Take the next turn."""
        self.begin(turn)
        for event in turn.events:
            self.apply(event, turn)

    def begin(self, turn: Turn) -> None:
        """Take a turn's frame and message; its events follow by `apply`."""
        self._expect(turn.number)
        self.number, self.time_ns, self.epoch = turn.number, turn.time_ns, turn.epoch
        if turn.origin == Origin.TIMER and turn.cause is not None:
            timer_fired(self, turn.actor, turn.cause.number, Moment(turn.number, turn.time_ns))
        self.apply(turn.message, turn)

    def apply(self, kind: Any, turn: Turn) -> None:
        """Take a turn's message or one of its events; kinds that change no state pass by."""
        if kind.__class__ in CHANGES:
            self._change(kind, turn.actor, Moment(turn.number, turn.time_ns))

    def _change(self, kind: Any, actor: int, at: Moment) -> None:
        if is_sound(kind):
            # Numbers that cannot be mean as little as types that cannot, which `is_sound` finds.
            with suppress(*SENSELESS):
                CHANGES[kind.__class__](self, kind, actor, at)

    def feed_batch(self, batch: ReadBatch, last: int) -> None:
        """Take a batch's records up to ``last``.

        The same as `feed`, for records as they are on the wire.  What changes no state is not
        decoded, and neither is what a request begins and ends with before somebody looks at it:
        hundreds of thousands of turns lie between two keyframes, and shall cost half a second.
        """
        self.epoch = batch.epoch
        kinds = _Kinds(batch.bindings, batch.epoch)
        self.decoders[batch.epoch] = kinds.decode
        first = bisect_right(batch.numbers, self.number)
        behind = bisect_right(batch.numbers, last)
        numbers, records = batch.numbers, batch.records
        if behind - first < len(numbers):
            numbers, records = numbers[first:behind], records[first:behind]
        if numbers:
            self._expect(numbers[0])
        for number, record in zip(numbers, records, strict=True):
            try:
                self._take(number, record, kinds)
            except (TypeError, ValueError, IndexError, KeyError):
                continue  # no record: the reader of turns reports it as undecodable
        if numbers:
            self.number, self.time_ns = numbers[-1], _time_of(records[-1])

    def _expect(self, number: int) -> None:
        """Note that turns are missing before the next one."""
        if number != self.number + 1:
            self.is_whole = False

    def _take(self, number: int, record: Record, kinds: "_Kinds") -> None:
        actor, time_ns, origin, cause, message, events = record[:6]
        if origin == _TIMER and cause.__class__ is int:
            timer_fired(self, actor, cause, Moment(number, time_ns))
        if message is not None and kinds[message[0]] is not None:
            self._change(kinds.decode(message), actor, Moment(number, time_ns))
        for wire in events:
            kind = kinds[wire[0]]
            if kind is None:
                continue
            if kind is Accepted and wire[1].__class__ is int:
                self.accepted[wire[1]] = kinds.fact(number, time_ns, wire)
            elif kind is Completed and wire[1] in self.accepted:
                self.done[wire[1]] = kinds.fact(number, time_ns, wire)
            else:
                self._change(kinds.decode(wire), actor, Moment(number, time_ns))

    # --- a keyframe ------------------------------------------------------------------------------

    def begin_at(self, keyframe: int, epoch: int, entries: Iterable[tuple[int, Entry]]) -> None:
        """Know what a keyframe tells, which was written in ``epoch``; feed what follows it."""
        self.number, self.epoch, self.is_whole = keyframe, epoch, False
        for as_of, entry in entries:
            self.take_entry(entry, as_of, epoch)

    def take_entry(self, entry: Entry, as_of: int, epoch: int) -> None:
        """Know what one entry tells, as of a turn."""
        told = thing_of(entry, as_of, epoch)
        match told:
            case Held():
                self._begin_request(entry.actor, told)
            case Place():
                self.places[entry.actor] = told
                self.cancels.update(windows_of(entry))
            case OpenCall():
                self.calls[entry.actor] = told
            case Life():
                self.lives[entry.actor] = told
            case bool():
                self.is_whole = told
            case None:
                pass

    def _begin_request(self, number: int, told: Held) -> None:
        event = Accepted(number, *told[:4], started=True, call=told.asked)
        self.accepted[number] = (told.accepted.turn, told.accepted.time_ns, event, None)
        if told.done is not None:
            code, how, by, at = told.done
            self.done[number] = (at.turn, at.time_ns, Completed(number, code, how, by), None)
        if told.marks:
            self.marks[number] = told.marks


class _Kinds(dict[int, type | None]):
    """Which kind ids of an epoch change anything: the kind, or None."""

    __slots__ = ("_bindings", "_epoch", "decode")

    def __init__(self, bindings: Bindings, epoch: int) -> None:
        super().__init__()
        self._bindings = bindings
        self._epoch = epoch
        self.decode = bindings.decode

    def fact(self, number: int, time_ns: int, wire: Any) -> Fact:
        """Return that an event was in a turn, packed if it can be."""
        try:
            return packed(number, time_ns, wire, self._epoch)
        except CANNOT_PACK:
            return number, time_ns, wire, self.decode

    def __missing__(self, number: int) -> type | None:
        kind = self._bindings.kinds.get(number)
        name = "" if kind is None else kind.name
        found = self[number] = Unknown if "." in name else BY_NAME.get(name)
        return found


def _time_of(record: Record) -> int:
    time_ns = record[1]
    return time_ns if type(time_ns) is int else 0

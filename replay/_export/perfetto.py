"""`rescind export --to perfetto`: a log as a trace that Perfetto's UI and trace processor open.

Each endpoint and each actor is a group of tracks: its state, the windows of its cancels, the lives
of its requests, and what happens in a moment.  Slices that overlap lie on tracks of one name, which
the UI shows as one with as many rows as it needs.

Written packet by packet.  Of a log no more is kept than which row each request lies in.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice
from typing import Any, TypeAlias

from rescind.events import (
    Accepted,
    AnswerIgnored,
    Ask,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Closed,
    Completed,
    DeadLetter,
    Delivered,
    Discarded,
    Dropped,
    Fail,
    Failed,
    Opened,
    Overflowed,
    Proxy,
    Rejected,
    Restart,
    SlowTurn,
    Start,
    Started,
    StateChanged,
    Stop,
    Stopped,
    Tell,
    TimedOut,
    Turn,
    Violation,
)
from rescind.replay._ledger.dialects import (
    TIMES,
    Tables,
    code_text,
    end_text,
    state_text,
    tables,
)
from rescind.replay._ledger.model import SENSELESS, each, senseless
from rescind.replay._ledger.pages import Pages
from rescind.replay._ledger.sound import sound
from rescind.replay._words.describe import kind_text
from rescind.replay._words.names import Names
from rescind.replay._words.text import clip, plain, site
from rescind.replay._words.turns import TurnFilter

from . import wire
from .wire import EventType, Value

SLICES_MAX = 1 << 15
"""So many lives, and so many windows, may be open at once; further ones are only counted."""

FLOWS_MAX = 64
"""So many victims of one cancel have an arrow: dense arrows hang the UI."""

_TEXT_MAX = 200
_PROCESS = 1
_STATE, _WINDOWS, _REQUESTS, _MOMENTS, _SLOW = range(5)
_TRACKS = ("state", "cancel windows", "requests", "moments", "slow turns")
_OWN = (Start, Stop, Tell, Ask, Proxy, Restart, Fail)
"""Messages that are an actor's own and no part of a request's life."""

_ALL = TurnFilter()

Args: TypeAlias = list[tuple[str, Value]]


def perfetto_trace(
    log: Iterable[Turn], name: str, wanted: TurnFilter = _ALL, *, limit: int | None = None
) -> Iterator[bytes]:
    """Yield a trace in pieces, which stand one behind the other in the file.

    Of a log in which no turn is wanted there is none.

    Args:
        log: The log; all of it is read up to the last turn that is wanted.
        name: What the trace calls it.
        wanted: Which turns are drawn; what began in one of them is drawn to its end.
        limit: At most so many.

    Raises:
        LogDamagedError: A turn is well framed and its fields make no sense.
    """
    drawing = Drawing(log, name)
    drawn, is_empty = 0, True
    for turn in sound(log):
        is_empty = False
        if wanted.ends_before(turn) or drawn == limit:
            break
        try:
            if wanted.wants(turn):
                drawn += 1
                yield drawing.take(turn)
            else:
                yield drawing.pass_by(turn)
        except SENSELESS as error:
            raise senseless(turn, error) from error
    if drawn or is_empty:
        yield drawing.end()


class _Rows:
    """Tracks of one name: a slice takes the lowest one on which none is open."""

    __slots__ = ("free", "made")

    def __init__(self) -> None:
        self.free: list[int] = []
        self.made = 0


@dataclass(slots=True)
class _Slice:
    """A slice that is open, and where; ``inner`` when another one is open in it."""

    owner: int
    sort: int
    row: int
    track: int
    rules: Tables
    inner: bool = False
    arrow: int = 0
    """The arrow that ends where this request does."""


class Drawing:
    """A log as it is drawn, turn by turn.

    Times in a log may go backwards; here they stand still until they are caught up with, because
    a slice can't end before it begins.

    Attributes:
        undrawn: Requests and cancels for which there was no row.
    """

    def __init__(self, log: Iterable[Turn], name: str) -> None:
        """Draw nothing yet."""
        self.undrawn = 0
        self._name = name
        self._names = Names(log)
        self._now = -1
        self._packets: list[bytes] = []
        self._described = Pages("B")
        self._rows: dict[tuple[int, int], _Rows] = {}
        self._rules: dict[int, Tables] = {}
        self._states: set[int] = set()
        self._lives: dict[int, _Slice] = {}
        self._windows: dict[int, _Slice] = {}

    def take(self, turn: Turn) -> bytes:
        """Return what the log's next turn adds to the trace."""
        self._names.take(turn)
        self._begin(turn.time_ns)
        self._now = max(self._now, turn.time_ns)
        if isinstance(turn.message, _OWN):
            self._moment(turn.actor, kind_text(turn.message), _args(turn))
        if isinstance(turn.message, TimedOut):
            self._timed_out(turn.message.request, turn)
        for event in turn.events:
            draw = _DRAW.get(event.__class__)
            if draw is not None:
                draw(self, event, turn)
        return self._flush()

    def pass_by(self, turn: Turn) -> bytes:
        """Return what a turn that is not drawn ends, and learn from it who is who."""
        self._names.take(turn)
        if self._now >= 0:
            self._now = max(self._now, turn.time_ns)
        for event in turn.events:
            match event:
                case Opened():
                    self._rules[event.endpoint] = tables(event.dialect, event.profile)
                case StateChanged() | Closed():
                    if event.subject in self._states:
                        self._end_state(event.subject, self._track(event.subject, _STATE))
                    if isinstance(event, Closed):
                        self._rules.pop(event.subject, None)
                case Completed() | Delivered() | Discarded() | CancelEnded():
                    _DRAW[type(event)](self, event, turn)
                case _:
                    pass
        return self._flush()

    def end(self) -> bytes:
        """Return what is left to be written; what is open stays so."""
        self._begin(0)
        if self.undrawn:
            self._moment(0, f"{self.undrawn:,} more were open at once than are drawn", [])
        return self._flush()

    def _begin(self, time_ns: int) -> None:
        if self._now < 0:
            self._now = wire.moment(time_ns)
            self._packets += [
                wire.begin(self._now),
                wire.track(self._now, _PROCESS, plain(self._name), is_process=True),
            ]

    def _flush(self) -> bytes:
        piece = b"".join(self._packets)
        self._packets.clear()
        return piece

    # --- tracks ----------------------------------------------------------------------------------

    def _group(self, owner: int) -> int:
        """Return the track of an actor, below which its others lie."""
        uuid = (owner & _OWNERS) + 1 << 20
        if not self._described[owner] & 1:
            self._described[owner] |= 1
            self._describe(uuid, self._names.label(owner), _PROCESS, min(owner, _RANK_MAX))
        return uuid

    def _track(self, owner: int, sort: int, row: int = 0) -> int:
        """Return one of an actor's tracks."""
        group = self._group(owner)
        uuid = group + 1 + sort + row * len(_TRACKS)
        if row or not self._described[owner] & 2 << sort:
            self._described[owner] |= 2 << sort
            self._describe(uuid, _TRACKS[sort], group, sort)
        return uuid

    def _describe(self, uuid: int, name: str, parent: int, rank: int) -> None:
        shown = clip(name, _TEXT_MAX)
        self._packets.append(wire.track(self._now, uuid, shown, parent, rank=rank))

    def _open(self, owner: int, sort: int, slices: int) -> tuple[int, int] | None:
        """Return a row and its track; None when too many slices are open."""
        if slices >= SLICES_MAX:
            self.undrawn += 1
            return None
        rows = self._rows.setdefault((owner, sort), _Rows())
        if rows.free:
            row = heappop(rows.free)
        else:
            row, rows.made = rows.made, rows.made + 1
        return row, self._track(owner, sort, row)

    def _close(self, slice_: _Slice, args: Args) -> None:
        if slice_.inner:
            self._draw(EventType.END, slice_.track)
        self._draw(EventType.END, slice_.track, args=args)
        key = (slice_.owner, slice_.sort)
        rows = self._rows[key]
        heappush(rows.free, slice_.row)
        if len(rows.free) == rows.made:
            del self._rows[key]

    def _draw(
        self, kind: EventType, track: int, name: str = "", *, args: Args | None = None,
        flows: Iterable[int] = (), ends: Iterable[int] = (),
    ) -> None:  # fmt: skip
        shown = clip(name, _TEXT_MAX)
        self._packets.append(
            wire.event(self._now, kind, track, shown, args=args or (), flows=flows, ends=ends)
        )

    def _moment(self, owner: int, name: str, args: Args) -> None:
        self._draw(EventType.INSTANT, self._track(owner, _MOMENTS), name, args=args)

    def _owner_of(self, number: int) -> int:
        life = self._lives.get(number) or self._windows.get(number)
        return life.owner if life else number

    # --- requests --------------------------------------------------------------------------------

    def accepted(self, event: Accepted, turn: Turn) -> None:
        """A request's life begins."""
        owner = turn.actor
        if event.request in self._lives:
            return
        place = self._open(owner, _REQUESTS, len(self._lives))
        if place is None:
            return
        rules = self._rules.get(event.endpoint) or tables("")
        life = _Slice(owner, _REQUESTS, *place, rules)
        self._lives[event.request] = life
        cancels = [e.cancel for e in turn.events if isinstance(e, CancelRequested)]
        args = _args(turn, request=f"r{event.request}", operation=plain(event.operation))
        if event.timeout_ns is not None:
            args.append(("timeout_ns", event.timeout_ns))
        name = f"r{event.request} {event.operation}"
        flows = map(_asks, cancels)
        self._draw(EventType.BEGIN, life.track, name, args=args, flows=flows)
        if event.started:
            self._work(life, turn)

    def started(self, event: Started, turn: Turn) -> None:
        """A driver got the request."""
        life = self._lives.get(event.request)
        if life is not None:
            self._work(life, turn)

    def _work(self, life: _Slice, turn: Turn) -> None:
        if not life.inner:
            self._draw(EventType.BEGIN, life.track, "started", args=[("turn", turn.number)])
            life.inner = True

    def _timed_out(self, request: int, turn: Turn) -> None:
        life = self._lives.get(request)
        if life is not None:
            flows = [_runs_out(request)]
            self._draw(EventType.INSTANT, life.track, "timed out", args=_args(turn), flows=flows)

    def completed(self, event: Completed, turn: Turn) -> None:
        """A request ends, and waits for its delivery."""
        life = self._lives.get(event.request)
        if life is None:
            return
        if life.inner:
            self._draw(EventType.END, life.track)
        args = _args(turn, how=_how(event.how), **_code(event.code, life.rules))
        ends: list[int] = []
        if event.by:
            args.append(("cancel", f"c{event.by}"))
        if life.arrow:
            ends, life.arrow = [life.arrow], 0
        name = f"completed: {end_text(life.rules, event.code, event.how)}"
        self._draw(EventType.BEGIN, life.track, name, args=args, ends=ends)
        life.inner = True

    def delivered(self, event: Delivered, turn: Turn) -> None:
        """Completions reach the application, and lives end."""
        for number in each(event.requests):
            life = self._lives.pop(number, None)
            if life is not None:
                args: Args = [("delivered_in_turn", turn.number), ("manner", plain(event.manner))]
                self._close(life, args)

    def discarded(self, event: Discarded, turn: Turn) -> None:
        """Completions reach nobody, and lives end."""
        for number in each(event.requests):
            life = self._lives.pop(number, None)
            if life is not None:
                args: Args = [("discarded_in_turn", turn.number), ("reason", plain(event.reason))]
                self._close(life, args)

    def rejected(self, event: Rejected, turn: Turn) -> None:
        """A request was refused."""
        rules = self._rules.get(event.endpoint) or tables("")
        name = f"r{event.request} {event.operation} refused: {code_text(rules, event.code)}"
        args = _args(turn, request=f"r{event.request}", rule=plain(event.rule))
        self._moment(turn.actor, name, [*args, *_code(event.code, rules).items()])

    def answer_ignored(self, event: AnswerIgnored, turn: Turn) -> None:
        """The outside answered too late."""
        name = f"r{event.request} answered too late"
        args = _args(turn, request=f"r{event.request}", **_code(event.code, tables("")))
        self._moment(
            self._owner_of(event.request) if event.request in self._lives else 0, name, args
        )

    # --- cancels ---------------------------------------------------------------------------------

    def cancel_requested(self, event: CancelRequested, turn: Turn) -> None:
        """A cancel begins, and with it its window."""
        owner = self._owner_of(event.scope)
        if event.cancel in self._windows:
            return
        place = self._open(owner, _WINDOWS, len(self._windows))
        if place is None:
            return
        window = _Slice(owner, _WINDOWS, *place, self._rules.get(owner) or tables(""))
        self._windows[event.cancel] = window
        args = _args(turn, cancel=f"c{event.cancel}", trigger=plain(event.trigger))
        if event.reason:
            args.append(("reason", clip(event.reason, _TEXT_MAX)))
        if event.by:
            args.append(("asked_by", f"r{event.by}"))
        ends = [_runs_out(event.by) if event.trigger in TIMES else _asks(event.cancel)]
        name = f"c{event.cancel} {event.trigger}"
        self._draw(EventType.BEGIN, window.track, name, args=args, ends=ends)

    def cancel_began(self, event: CancelBegan, turn: Turn) -> None:
        """A cancel means to end these; an arrow leads to each that it does end."""
        window = self._windows.get(event.cancel)
        if window is None:
            return
        flows: list[int] = []
        for victim in islice(each(event.victims), FLOWS_MAX):
            life = self._lives.get(victim)
            if life is not None and not life.arrow:
                life.arrow = _ends(event.cancel, victim)
                flows.append(life.arrow)
        victims = sum(1 for _ in each(event.victims))
        args: Args = [("turn", turn.number), ("victims", victims)]
        self._draw(EventType.INSTANT, window.track, "began", args=args, flows=flows)

    def cancel_outcome(self, event: CancelOutcome, turn: Turn) -> None:
        """A cancel did not win a target."""
        name = f"c{event.cancel} at r{event.target}: {event.outcome}"
        args = _args(turn, target=f"r{event.target}", rule=plain(event.rule))
        window = self._windows.get(event.cancel)
        if window is None:
            self._moment(0, name, args)
        else:
            self._draw(EventType.INSTANT, window.track, name, args=args)

    def cancel_ended(self, event: CancelEnded, turn: Turn) -> None:
        """A cancel has its own result, and its window closes."""
        window = self._windows.pop(event.cancel, None)
        if window is not None:
            ended = _code(event.code, window.rules)
            self._close(window, [("ended_in_turn", turn.number), *ended.items()])

    # --- endpoints and actors --------------------------------------------------------------------

    def opened(self, event: Opened, turn: Turn) -> None:
        """An endpoint exists."""
        self._rules[event.endpoint] = tables(event.dialect, event.profile)
        args = _args(turn, driver=clip(event.driver, _TEXT_MAX), profile=plain(event.profile))
        self._moment(event.endpoint, "opened", args)

    def state_changed(self, event: StateChanged, turn: Turn) -> None:
        """An endpoint's state is a slice."""
        rules = self._rules.get(event.subject)
        if rules is None:
            return
        track = self._track(event.subject, _STATE)
        self._end_state(event.subject, track)
        self._states.add(event.subject)
        name = state_text(rules, event.new)
        self._draw(EventType.BEGIN, track, name, args=[("turn", turn.number)])

    def _end_state(self, endpoint: int, track: int) -> None:
        if endpoint in self._states:
            self._draw(EventType.END, track)
            self._states.remove(endpoint)

    def closed(self, event: Closed, turn: Turn) -> None:
        """An endpoint is gone."""
        if event.subject in self._rules:
            self._end_state(event.subject, self._track(event.subject, _STATE))
            del self._rules[event.subject]
            self._moment(event.subject, "closed", _args(turn, reason=plain(event.reason)))

    def slow_turn(self, event: SlowTurn, turn: Turn) -> None:
        """A handler took long: the one slice that has a length of its own."""
        track = self._track(self._owner_of(turn.actor), _SLOW)
        self._draw(EventType.BEGIN, track, f"turn {turn.number}", args=_args(turn))
        end_ns = self._now + max(event.took_ns, 0)
        self._packets.append(wire.event(end_ns, EventType.END, track))

    def told(self, event: Any, turn: Turn) -> None:
        """Something that people look for."""
        self._moment(self._owner_of(turn.actor), kind_text(event), _args(turn))

    def stopped(self, event: Stopped, turn: Turn) -> None:
        """An actor stopped because it failed."""
        if event.error is not None:
            self.told(event, turn)


_OWNERS = (1 << 40) - 1
_RANK_MAX = (1 << 31) - 1


def _args(turn: Turn, **more: Value) -> Args:
    args: Args = [("turn", turn.number), *more.items()]
    if turn.cause is not None and turn.cause.log is None:
        args.append(("cause", turn.cause.number))
    if turn.by is not None:
        args.append(("by", site(turn.by)))
    return args


def _code(code: int | None, rules: Tables) -> dict[str, Value]:
    return {} if code is None else {"code": code, "code_text": plain(code_text(rules, code))}


def _how(how: int) -> str:
    return plain(end_text(tables(""), None, how)) if how else "result"


def _asks(cancel: int) -> int:
    return 1 << 62 | cancel


def _runs_out(request: int) -> int:
    return 1 << 63 | request


def _ends(cancel: int, victim: int) -> int:
    return (cancel & 0x3FFF_FFFF) << 32 | victim & 0xFFFF_FFFF


Draw: TypeAlias = Callable[[Drawing, Any, Turn], None]

_DRAW: dict[type, Draw] = {
    Accepted: Drawing.accepted,
    AnswerIgnored: Drawing.answer_ignored,
    CancelBegan: Drawing.cancel_began,
    CancelEnded: Drawing.cancel_ended,
    CancelOutcome: Drawing.cancel_outcome,
    CancelRequested: Drawing.cancel_requested,
    Closed: Drawing.closed,
    Completed: Drawing.completed,
    DeadLetter: Drawing.told,
    Delivered: Drawing.delivered,
    Discarded: Drawing.discarded,
    Dropped: Drawing.told,
    Failed: Drawing.told,
    Opened: Drawing.opened,
    Overflowed: Drawing.told,
    Rejected: Drawing.rejected,
    SlowTurn: Drawing.slow_turn,
    Started: Drawing.started,
    StateChanged: Drawing.state_changed,
    Stopped: Drawing.stopped,
    Violation: Drawing.told,
}

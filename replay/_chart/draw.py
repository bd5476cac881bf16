"""Turns drawn into rows: alike ones folded, lanes taken, windows and scripts shaded.

A run of alike turns folds into one row, and a run of alike groups (submitted, answered, delivered,
and again) into as many rows as a group has.  Drawing is one pass, and what it holds is bounded: the
rows in the middle give way to a break that says how many they were.
"""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from rescind.events import (
    By,
    CancelBegan,
    CancelEnded,
    CompletionScript,
    EventHandler,
    InputScript,
    Origin,
    PartialScript,
    Returned,
    Turn,
)
from rescind.events._mentions import pairs_of
from rescind.replay._words.text import clip, count

from .chart import Arrow, ChartLane, ChartRow, ChartShade, LaneKind, ShadeKind
from .says import APPLICATION, Place, Remark, Speaker

LANES_MAX = 10
"""More actors share the last lane."""
_REPEATS_MIN = 3
"""Fewer alike turns, or groups of turns, stay as they are."""
_PERIOD_MAX = 4
_PAIRS_MAX = 10_000
"""So many ranges of numbers a row remembers."""
_TITLE_MAX = 40
_ENDS = frozenset({"Answer", "Cancel", "Complete", "Completed", "Drop"})
"""Remarks about an end: alike when the codes are, whatever the operation."""


@dataclass(eq=False, slots=True)
class _Draft:
    """A row that may still grow, or fold into another one."""

    first: int = 0
    last: int = 0
    count: int = 0
    time_ns: int = 0
    cause: int = 0
    depth: int = 0
    remarks: tuple[Remark, ...] = ()
    by: By | None = None
    says: str = ""
    alike: Hashable = None
    numbers: list[list[int]] = field(default_factory=list[list[int]])
    before: list[str] = field(default_factory=list[str])
    into: "_Draft | None" = None

    def row(self) -> "_Draft":
        """Return the draft that this one has become a part of."""
        one = self
        while one.into is not None:
            one = one.into
        return one

    def take(self, other: "_Draft") -> None:
        """Fold an alike draft into this one."""
        other.into = self
        self.last = max(self.last, other.last)
        self.count += other.count
        self.by = self.by if self.by == other.by else None
        for mine, its in zip(self.numbers, other.numbers, strict=True):
            _join(mine, its)
        pairs = zip(self.before, other.before, strict=True)
        self.before = [mine if mine == its else "" for mine, its in pairs]


def _join(numbers: list[int], more: list[int]) -> None:
    for first, last in pairs_of(more):
        if numbers and numbers[-1] + 1 == first:
            numbers[-1] = last
        elif len(numbers) < 2 * _PAIRS_MAX:
            numbers += (first, last)


@dataclass(slots=True)
class _Shading:
    kind: ShadeKind
    place: Place
    number: int
    first: _Draft | None
    """None: it began before the chart."""
    last: _Draft | None = None
    count: int = 1
    seen: _Draft | None = None
    """The last row that belongs to it; where it ends is not in the chart."""

    def rows(self) -> tuple[_Draft | None, _Draft | None]:
        """Return the rows in which it begins and ends now."""
        first, last = self.first, self.last
        return first and first.row(), last and last.row()


class Drawing:
    """Takes turns in their order and becomes the rows, lanes and shades of a chart."""

    def __init__(
        self, speaker: Speaker, *, head: int, tail: int, unfold: bool, lost: list[tuple[int, int]]
    ) -> None:
        """Begin empty.

        Args:
            speaker: What puts turns into words.
            head: So many rows are kept from the beginning.
            tail: And so many from the end, when there are more.
            unfold: Whether alike rows stay apart.
            lost: Ranges of turns that the log should have and has not.
        """
        self._speaker = speaker
        self._head, self._tail = head, tail
        self._unfold = unfold
        self._lost = sorted(lost)
        self._rows: list[_Draft] = []
        self._loop: list[_Draft] = []
        self._at = 0
        self._gap: _Draft | None = None
        self._seats: dict[Place, Place] = {APPLICATION: APPLICATION}
        self._scripts: dict[int, _Shading] = {}
        self._script_turns: dict[int, tuple[int, _Shading]] = {}
        """Turns whose script runs, how deep, and its shade."""
        self._windows: dict[int, _Shading] = {}
        self._shadings: list[_Shading] = []
        self._previous: Turn | None = None
        self.is_full = False
        """Whether the head is full and no tail is wanted: further turns would not be seen."""

    def take(self, turn: Turn) -> None:
        """Take the next turn."""
        self._note_breaks(turn)
        remarks = [self._seated(remark) for remark in self._speaker.remarks(turn)]
        draft = self._draft(turn, tuple(remarks))
        self._add(draft)
        self._shade(turn, draft)
        self._previous = turn
        self.is_full = not self._tail and len(self._rows) > self._head

    def _note_breaks(self, turn: Turn) -> None:
        before = self._previous
        while self._lost and self._lost[0][0] < turn.number:
            first, last = self._lost.pop(0)
            if before is not None and last > before.number:
                turns = f"turn {first}" if first == last else f"turns {first} to {last}"
                self._add(_Draft(says=f"{turns}: not in the log"))
        if before is not None and before.epoch != turn.epoch:
            self._add(_Draft(says=f"epoch {turn.epoch}: the log was opened anew"))

    def _draft(self, turn: Turn, remarks: tuple[Remark, ...]) -> _Draft:
        cause = turn.cause.number if turn.cause is not None and turn.cause.log is None else 0
        is_call = turn.origin == Origin.APP and not isinstance(turn.message, Returned)
        script = self._script_turns.get(cause) if is_call else None
        depth = script[0] + 1 if script else 0
        draft = _Draft(
            turn.number, turn.number, 1, turn.time_ns, cause, depth, remarks, turn.by,
            alike=(depth, *map(_alike, remarks)),
            numbers=[list(remark.numbers) for remark in remarks],
            before=[remark.before for remark in remarks],
        )  # fmt: skip
        if script:
            script[1].seen = draft
        return draft

    # --- folding ---------------------------------------------------------------------------------

    def _add(self, draft: _Draft) -> None:
        if self._loop:
            expected = self._loop[self._at]
            if expected.alike == draft.alike:
                expected.take(draft)
                self._at = (self._at + 1) % len(self._loop)
                return
            self._loop = []
        self._rows.append(draft)
        if not self._unfold:
            self._find_loop()
        if len(self._rows) > 2 * (self._head + self._tail) + _REPEATS_MIN * _PERIOD_MAX:
            self._give_way()

    def _find_loop(self) -> None:
        for period in range(1, _PERIOD_MAX + 1):
            recent = self._rows[-period * _REPEATS_MIN :]
            kinds = [draft.alike for draft in recent]
            is_loop = len(recent) == period * _REPEATS_MIN and None not in kinds
            if is_loop and kinds == kinds[:period] * _REPEATS_MIN:
                self._loop, self._at = recent[:period], 0
                for place, draft in enumerate(recent[period:]):
                    self._loop[place % period].take(draft)
                del self._rows[-period * (_REPEATS_MIN - 1) :]
                return

    def _give_way(self) -> None:
        """Let the rows between head and tail become one break."""
        begin, end = self._head, len(self._rows) - self._tail
        if end <= begin:
            return
        gap = self._gap
        if gap is None:
            gap = self._gap = _Draft()
        middle = [row for row in self._rows[begin:end] if row is not gap]
        for row in middle:
            row.into = gap
            gap.count += row.count
            if row.first:
                gap.first = min(gap.first or row.first, row.first)
                gap.last = max(gap.last, row.last)
        self._rows[begin:end] = [gap]

    # --- shades ----------------------------------------------------------------------------------

    def _shade(self, turn: Turn, draft: _Draft) -> None:
        match turn.message:
            case CompletionScript(requests=ranges, running=True) if ranges:
                self._begin_script(ranges[-1], turn, draft)
            case InputScript(request=number) | PartialScript(request=number):
                self._begin_script(number, turn, draft)
            case EventHandler():
                self._begin_script(turn.actor, turn, draft)
            case Returned(request=number):
                self._end_script(number, turn, draft)
            case _:
                pass
        for event in turn.events:
            match event:
                case CancelBegan():
                    place = self._seat(self._speaker.place(event.cancel))
                    self._windows[event.cancel] = _Shading(
                        ShadeKind.WINDOW, place, event.cancel, draft
                    )
                case CancelEnded():
                    self._end_window(event.cancel, draft)
                case _:
                    pass

    def _begin_script(self, number: int, turn: Turn, draft: _Draft) -> None:
        script = _Shading(ShadeKind.SCRIPT, APPLICATION, number, draft, seen=draft)
        self._scripts[number] = script
        self._script_turns[turn.number] = draft.depth, script

    def _end_script(self, number: int, turn: Turn, draft: _Draft) -> None:
        script = self._scripts.pop(number, None)
        if turn.cause is not None:
            self._script_turns.pop(turn.cause.number, None)
        if script is None or script.first is None:
            return
        script.last = draft
        before = self._shadings[-1] if self._shadings else None
        rows = script.rows()
        if before is not None and before.kind is script.kind and before.rows() == rows:
            before.count += 1  # the scripts of a folded run are one shade
        else:
            self._shadings.append(script)

    def _end_window(self, cancel: int, draft: _Draft) -> None:
        window = self._windows.pop(cancel, None)
        life = self._speaker.names.cancels.get(cancel)
        if window is None and life is not None and life.began is not None:  # before the chart
            place = self._seat(self._speaker.place(cancel))
            window = _Shading(ShadeKind.WINDOW, place, cancel, None)
        if window is not None:
            window.last = draft
            self._shadings.append(window)

    # --- lanes -----------------------------------------------------------------------------------

    def _seat(self, place: Place) -> Place:
        """Return the lane of a place: its own while there are any, then the common one."""
        if place not in self._seats:
            is_full = len(self._seats) >= LANES_MAX - 1
            self._seats[place] = (LaneKind.OTHERS, 0) if is_full else place
        return self._seats[place]

    def _seated(self, remark: Remark) -> Remark:
        source, target = self._seat(remark.source), self._seat(remark.target)
        if (source, target) == (remark.source, remark.target):
            return remark
        return _moved(remark, source, target)

    def _lanes(self, used: set[Place]) -> list[Place]:
        """Return the lanes that are used, from left to right: each driver beside its endpoint."""
        seats = [seat for seat in dict.fromkeys(self._seats.values()) if seat in used]
        actors = {seat[1]: rank for rank, seat in enumerate(seats) if seat[0] is LaneKind.ACTOR}

        def rank(seat: Place) -> tuple[int, int, bool]:
            kind, number = seat
            group = {LaneKind.APPLICATION: 0, LaneKind.OTHERS: 3}.get(kind, 1)
            if kind is LaneKind.OUTSIDE and number not in actors:
                group = 2
            return group, actors.get(number, 0), kind is LaneKind.OUTSIDE

        return sorted(seats, key=rank)

    def _title(self, place: Place) -> str:
        kind, number = place
        names = self._speaker.names
        endpoint = names.endpoints.get(number)
        match kind:
            case LaneKind.OUTSIDE:
                return clip(endpoint.driver, _TITLE_MAX) if endpoint and number else "outside"
            case LaneKind.ACTOR:
                label = names.label(number).removesuffix(" endpoint")
                letter, _, name = label.partition(" ")
                name = name if endpoint else name.rpartition(".")[2]
                return clip(f"{letter} {name}".rstrip(), _TITLE_MAX)
            case _:
                return str(kind)

    # --- the end ---------------------------------------------------------------------------------

    def finish(self) -> tuple[tuple[ChartLane, ...], tuple[ChartRow, ...], tuple[ChartShade, ...]]:
        """Return what has become of the turns."""
        self._loop = []
        if len(self._rows) > self._head + self._tail + 1:
            self._give_way()
        if self._gap is not None:
            self._gap.says = _gap_text(self._gap)
        used = {place for row in self._rows for r in row.remarks for place in (r.source, r.target)}
        places = self._lanes(used)
        index = {place: at for at, place in enumerate(places)}
        lanes = tuple(
            ChartLane(kind, number, self._title((kind, number))) for kind, number in places
        )
        rows = tuple(_row(draft, index) for draft in self._rows)
        return lanes, rows, tuple(self._shades(index))

    def _shades(self, index: dict[Place, int]) -> Iterator[ChartShade]:
        at = {id(row): place for place, row in enumerate(self._rows)}
        found: dict[tuple[ShadeKind, int, int, int, int], ChartShade] = {}
        for one in (*self._shadings, *self._windows.values(), *self._scripts.values()):
            first = 0 if one.first is None else at[id(one.first.row())]
            end = one.last or one.seen
            last = len(self._rows) - 1 if end is None else at[id(end.row())]
            if first >= last or one.place not in index:
                continue
            lane = index[one.place]
            number = one.number if one.kind is ShadeKind.WINDOW else 0
            key = (one.kind, lane, first, last, number)
            known = found.get(key)
            more = known.count if known else 0
            begun_by = known.number if known else one.number
            is_whole = one.last is not None
            until = 0 if is_whole else self._end_of(one)
            total = one.count + more
            found[key] = ChartShade(one.kind, lane, first, last, begun_by, total, is_whole, until)
        yield from sorted(found.values(), key=lambda shade: (shade.first, -shade.last))

    def _end_of(self, shading: _Shading) -> int:
        cancel = self._speaker.names.cancels.get(shading.number)
        ended = cancel.ended if cancel and shading.kind is ShadeKind.WINDOW else None
        return ended.turn if ended else 0


def _alike(remark: Remark) -> Hashable:
    words = "" if remark.kind in _ENDS else remark.before
    return (
        remark.source, remark.target, remark.look, remark.kind, words, remark.after, remark.letter,
        bool(remark.numbers), remark.is_onward,
    )  # fmt: skip


def _moved(remark: Remark, source: Place, target: Place) -> Remark:
    return Remark(
        source, target, remark.look, remark.kind, remark.before, remark.numbers, remark.after,
        remark.letter, remark.details, remark.is_onward,
    )  # fmt: skip


def _row(draft: _Draft, index: dict[Place, int]) -> ChartRow:
    return ChartRow(
        draft.first, draft.last, draft.count, draft.time_ns, draft.cause, draft.depth,
        tuple(_arrows(draft, index)), draft.by, draft.says,
    )  # fmt: skip


def _arrows(draft: _Draft, index: dict[Place, int]) -> Iterator[Arrow]:
    for remark, before, numbers in zip(draft.remarks, draft.before, draft.numbers, strict=True):
        yield Arrow(
            index[remark.source], index[remark.target], remark.look, before, tuple(numbers),
            remark.after, remark.letter, _detail(draft, remark.details), remark.is_onward,
        )  # fmt: skip


def _detail(draft: _Draft, details: Iterable[str]) -> str:
    """Return a turn's details; those of many turns are not the row's."""
    return ", ".join(details) if draft.count == 1 else ""


def _gap_text(gap: _Draft) -> str:
    turns = count(gap.count, "turn")
    return f"{turns} left out, {gap.first} to {gap.last}; --all, or --since and --until, show them"

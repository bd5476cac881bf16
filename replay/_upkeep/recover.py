"""`rescind recover`: what was saved, what is lost, and why, on a screen and as JSON."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, NamedTuple

from rescind.events import Damage, LogReader, Recovery
from rescind.replay._laws.check import damage_json
from rescind.replay._words.text import MARGIN, Line, Span, clip, count, line, turns_text

from .info import LABEL, damage_lines, place_text, row

LOSSES_MAX = 20
"""Lost stretches shown on a screen unless all are asked for."""

PLACES_MAX = 3
"""Damaged places shown for one stretch unless all are asked for."""


class Loss(NamedTuple):
    """A stretch of turns that is gone.

    Attributes:
        first: The first of them.
        last: The last of them.
        is_at_most: Whether there may have been fewer, because nothing behind them tells.
        because: The damage that took them.
    """

    first: int
    last: int
    is_at_most: bool
    because: tuple[Damage, ...]

    @property
    def is_old(self) -> bool:
        """Whether they were gone before, and an earlier recovery had noted that."""
        return bool(self.because) and all(damage.row == "lost" for damage in self.because)

    @property
    def turns(self) -> int:
        """How many they are, at most."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Rescue:
    """A recovery, and the new log as it stands.

    Attributes:
        recovery: What the events room says of it.
        losses: What is gone, ascending.
        other: Damage that explains no loss: unfinished ends, and what was read or copied in spite.
        segments: How many segments the new log has.
        keyframe: The turn of its newest keyframe; None when it has none.
    """

    recovery: Recovery
    losses: tuple[Loss, ...]
    other: tuple[Damage, ...]
    segments: int
    keyframe: int | None

    @property
    def is_lossy(self) -> bool:
        """Whether this recovery had to leave out, or to copy unread, what once was a turn."""
        return self.is_empty or bool(self.lost_now) or any(map(_takes_turns, self.other))

    @property
    def is_empty(self) -> bool:
        """Whether there was something and nothing of it could be saved."""
        return not self.segments and any(damage.is_rot for damage in self.recovery.damage)

    @property
    def lost_now(self) -> list[Loss]:
        """The losses that no earlier recovery had noted."""
        return [loss for loss in self.losses if not loss.is_old]


def rescue_of(recovery: Recovery, made: LogReader | None) -> Rescue:
    """Put losses and reasons together; ``made`` reads the new log, None when it holds nothing."""
    because = _reasons(recovery)
    explaining = {id(damage) for reasons in because for damage in reasons}
    last = len(because) - 1
    losses = [
        Loss(first, end, recovery.lost_at_most and at == last, tuple(because[at]))
        for at, (first, end) in enumerate(recovery.lost)
    ]
    keyframe = made.keyframe() if made else None
    return Rescue(
        recovery,
        tuple(losses),
        tuple(damage for damage in recovery.damage if id(damage) not in explaining),
        len(made.segments) if made else 0,
        keyframe.number if keyframe else None,
    )


def _reasons(recovery: Recovery) -> list[list[Damage]]:
    """Return for each lost stretch the damage that touches it."""
    lost = recovery.lost
    begins = [first for first, _ in lost]
    found: list[list[Damage]] = [[] for _ in lost]
    for damage in recovery.damage:
        if damage.first is None:
            continue
        at = max(0, bisect_right(begins, damage.first) - 1)
        while at < len(lost) and (damage.last is None or lost[at][0] <= damage.last):
            if damage.first <= lost[at][1]:
                found[at].append(damage)
            at += 1
    return found


def _takes_turns(damage: Damage) -> bool:
    return damage.is_rot and damage.first is not None


# --- screen --------------------------------------------------------------------------------------


def recover_lines(rescue: Rescue, *, show_all: bool = False) -> list[Line]:
    """Return the screen of `rescind recover`."""
    recovery = rescue.recovery
    return [
        line(Span(str(recovery.target), "bold")),
        row("from", clip(str(recovery.source), MARGIN - LABEL)),
        row("saved", _saved(rescue)),
        *_made_out_lines(recovery),
        *_loss_lines(rescue, show_all=show_all),
        *_other_lines(rescue.other, show_all=show_all),
        row("verdict", _verdict(rescue)),
    ]


def _saved(rescue: Rescue) -> str:
    turns, segments = count(rescue.recovery.records, "turn"), count(rescue.segments, "segment")
    keyframe = "" if rescue.keyframe is None else f", keyframe behind turn {rescue.keyframe}"
    return f"{turns} in {segments}{keyframe}"


def _made_out_lines(recovery: Recovery) -> list[Line]:
    if not recovery.guessed:
        return []
    numbers = ", ".join(map(str, recovery.guessed))
    is_one = len(recovery.guessed) == 1
    which = f"segment {numbers}, whose" if is_one else f"segments {clip(numbers, 30)}, whose"
    are = "preamble is" if is_one else "preambles are"
    return [row("made out", f"{which} {are} damaged, from what else the log says")]


def _loss_lines(rescue: Rescue, *, show_all: bool) -> list[Line]:
    shown = rescue.losses if show_all else rescue.losses[:LOSSES_MAX]
    lines = [each for loss in shown for each in _one_loss_lines(loss, show_all=show_all)]
    rest = len(rescue.losses) - len(shown)
    if rest:
        lines.append(row("", f"and {rest:,} more (--all shows them)"))
    return lines


def _one_loss_lines(loss: Loss, *, show_all: bool) -> list[Line]:
    turns = turns_text(loss.first, loss.last)
    at_most = " at most: nothing behind tells how many there were" if loss.is_at_most else ""
    old = ", noted by an earlier recovery" if loss.is_old else ""
    lines = [row("lost", Span(turns, "dim" if loss.is_old else "red"), f"{at_most}{old}")]
    for damage in loss.because if show_all else loss.because[:PLACES_MAX]:
        lines.append(row("", f"  {damage.row}  {place_text(damage)}"))
        lines.append(row("", Span("  " + clip(damage.text, MARGIN - LABEL - 2), "dim")))
    rest = 0 if show_all else len(loss.because) - PLACES_MAX
    if rest > 0:
        lines.append(row("", f"  and {rest:,} more (--all shows them)"))
    return lines


def _other_lines(damage: tuple[Damage, ...], *, show_all: bool) -> list[Line]:
    shown = damage if show_all else damage[:LOSSES_MAX]
    lines = [line for each in shown for line in damage_lines(each)]
    if len(damage) > len(shown):
        lines.append(row("", f"and {len(damage) - len(shown):,} more (--all shows them)"))
    return lines


def _verdict(rescue: Rescue) -> Span:
    if rescue.is_empty:
        return Span("nothing could be saved: no batch of this log verifies", "bold red")
    if rescue.lost_now:
        at_most = "at most " if rescue.losses[-1].is_at_most else ""
        turns = sum(loss.turns for loss in rescue.lost_now)
        are = "is" if turns == 1 else "are"
        return Span(f"{at_most}{count(turns, 'turn')} {are} lost; all else was saved", "bold red")
    if rescue.is_lossy:
        return Span("all that can be read was saved, and not everything can be", "bold red")
    if not rescue.segments:
        return Span("the log holds no turn yet; nothing was written", "yellow")
    if rescue.recovery.damage:
        more = "more " if rescue.losses else ""
        return Span(f"nothing {more}was lost: every turn that there was is saved", "green")
    return Span("the log was whole; every turn was copied", "green")


# --- JSON ----------------------------------------------------------------------------------------


def recover_json(rescue: Rescue) -> dict[str, Any]:
    """Return the document of `rescind recover --json`, without its schema."""
    recovery = rescue.recovery
    return {
        "target": str(recovery.target),
        "log_id": recovery.log_id.hex(),
        "turns": recovery.records,
        "segments": rescue.segments,
        "keyframe": rescue.keyframe,
        "lossless": not rescue.is_lossy,
        "lost": [_loss_json(loss) for loss in rescue.losses],
        "made_out": list(recovery.guessed),
        "damage": [damage_json(damage) for damage in recovery.damage],
    }


def _loss_json(loss: Loss) -> dict[str, Any]:
    return {
        "first": loss.first,
        "last": loss.last,
        "at_most": loss.is_at_most,
        "noted_before": loss.is_old,
        "because": [damage_json(damage) for damage in loss.because],
    }

"""`rescind prune`: what was removed, what is kept, and why something is held back."""

from dataclasses import dataclass
from typing import Any

from rescind.events import Pruned, Turn
from rescind.replay._words.text import MARGIN, Clock, Line, Span, clip, count, line, turns_text

from .info import LABEL, row


@dataclass(frozen=True, slots=True)
class Pruning:
    """A pruning, seen with the log's first turn as it was before.

    Attributes:
        pruned: What the events room says of it.
        first: The log's first turn before; None when nothing of it could be read.
        is_dry: Whether it only would be.
    """

    pruned: Pruned
    first: Turn | None
    is_dry: bool

    @property
    def bytes(self) -> int:
        """How many bytes were removed."""
        return sum(old.bytes for old in self.pruned.removed)

    @property
    def turns(self) -> tuple[int, int] | None:
        """The first and the last turn that were removed; None when there was none in it."""
        removed = self.pruned.removed
        if not removed or self.first is None or self.first.number > removed[-1].last:
            return None
        return self.first.number, removed[-1].last

    @property
    def times_ns(self) -> tuple[int, int] | None:
        """The first and the last time that were removed."""
        latest = [o.last_time_ns for o in self.pruned.removed if o.last_time_ns is not None]
        if self.turns is None or self.first is None or not latest:
            return None
        return self.first.time_ns, max(latest)

    @property
    def is_state_lost(self) -> bool:
        """Whether no keyframe stands in for what was removed."""
        if self.turns is None:
            return False
        keyframe, gone = self.pruned.keyframe, {old.segment for old in self.pruned.removed}
        if keyframe is None or keyframe.number < self.turns[1]:
            return True
        return any(segment in gone for segment, _ in keyframe.places)


# --- screen --------------------------------------------------------------------------------------


def prune_lines(pruning: Pruning, name: str) -> list[Line]:
    """Return the screen of `rescind prune`."""
    pruned = pruning.pruned
    held = [row("held", Span(clip(pruned.held, MARGIN - LABEL), "yellow"))] if pruned.held else []
    return [
        line(Span(name, "bold")),
        *(_removed_lines(pruning) if pruned.removed else _nothing_lines(pruning)),
        row("kept", f"{count(pruned.kept, 'segment')}, {pruned.kept_bytes:,} bytes"),
        *held,
    ]


def _nothing_lines(pruning: Pruning) -> list[Line]:
    why = "" if pruning.pruned.held else ": the log is within what is to be kept"
    would = "nothing would be removed" if pruning.is_dry else "nothing was removed"
    return [row("removed", f"{would}{why}")]


def _removed_lines(pruning: Pruning) -> list[Line]:
    removed = pruning.pruned.removed
    numbers = f"({removed[0].segment}..{removed[-1].segment})"
    segments, size = count(len(removed), "segment"), f"{pruning.bytes:,} bytes"
    label = "would go" if pruning.is_dry else "removed"
    lines = [row(label, f"{segments} {numbers}, {_turns_of(pruning)}, {size}")]
    if pruning.times_ns is not None:
        first, last = pruning.times_ns
        clock = Clock(first)
        lines += [row("from", clock.date(first)), row("to", clock.date(last))]
    return [*lines, *_state_lines(pruning)]


def _turns_of(pruning: Pruning) -> str:
    if pruning.turns is None:
        return "no turn"
    return turns_text(*pruning.turns)


def _state_lines(pruning: Pruning) -> list[Line]:
    keyframe = pruning.pruned.keyframe
    if pruning.is_state_lost:
        says = "no keyframe stands in for them: the state that they built up is lost for good"
        return [row("state", Span(says, "bold red"))]
    if keyframe is None or pruning.turns is None:
        return []
    return [row("state", f"the keyframe behind turn {keyframe.number} stands in for them")]


# --- JSON ----------------------------------------------------------------------------------------


def prune_json(pruning: Pruning) -> dict[str, Any]:
    """Return the document of `rescind prune --json`, without its schema."""
    pruned = pruning.pruned
    first, last = pruning.turns or (None, None)
    first_time_ns, last_time_ns = pruning.times_ns or (None, None)
    return {
        "dry_run": pruning.is_dry,
        "removed": {
            "segments": [old.segment for old in pruned.removed],
            "bytes": pruning.bytes,
            "first": first,
            "last": last,
            "first_time_ns": first_time_ns,
            "last_time_ns": last_time_ns,
        },
        "kept": {"segments": pruned.kept, "bytes": pruned.kept_bytes},
        "keyframe": pruned.keyframe.number if pruned.keyframe else None,
        "state_lost": pruning.is_state_lost,
        "held": pruned.held or None,
        "damaged": pruned.is_damaged,
    }

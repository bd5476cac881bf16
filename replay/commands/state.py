"""`rescind state`; it loads the actors only where a module is named with `--classes`."""

from collections.abc import Iterable
from pathlib import Path

import click

from rescind.events import LogReader, UsageError, read
from rescind.replay._archive.select import Target, TargetKind, parse
from rescind.replay._state.screen import (
    cut_lines,
    difference_json,
    difference_lines,
    one_lines,
    state_head,
    state_json,
)
from rescind.replay._state.state import Look, Own, differences, find
from rescind.replay._words.text import Clock
from rescind.replay._words.units import parse_bound
from rescind.replay._world.timeline import Timeline

from ._shared import ALL, CLASSES, JSON, LOG, Documents, hint, leave, print_json, show


@click.command("state")
@LOG
@click.option(
    "--at", metavar="TURN|TIME", help="Behind this turn, or the last one not after this time."
)
@click.option("--of", "selector", metavar="SELECTOR", help="Only this one: a5, r17 or c3.")
@click.option(
    "--diff", "pair", nargs=2, metavar="TURN TURN", help="Instead: what changed between the two."
)
@CLASSES
@ALL
@JSON
def command(  # noqa: PLR0913  # click hands options over one by one
    log: Path,
    *,
    at: str | None,
    selector: str | None,
    pair: tuple[str, str] | None,
    modules: tuple[str, ...],
    show_all: bool,
    as_json: bool,
) -> None:
    """How one actor stood behind a turn, or everything that lived."""
    if (at is None) == (pair is None):
        raise UsageError("say --at TURN, or --diff TURN TURN")
    reader = read(log)
    timeline = Timeline(reader)
    own = _own(reader, modules)
    target = None if selector is None else _target(selector)
    if pair is not None:
        first, second = (_turn(text, timeline) for text in pair)
        found = differences(timeline, reader, (first, second), own)
        wanted = (each for each in found if target is None or each.after.actor == target.number)
        if as_json:
            changes = [difference_json(each) for each in wanted]
            print_json("state", log, {"from": first, "to": second, "changes": changes})
        else:
            show(difference_lines(wanted, show_all=show_all))
        leave(reader)
    world = timeline.at(_turn(at or "", timeline))
    head = state_head(world.number, world.time_ns, Clock(timeline.begin_ns))
    states = Look(world, reader, own).all() if target is None else None
    if states is None:
        assert target is not None
        states = iter([find(world, reader, target, own)])
    if as_json:
        documents = Documents("state", log, name="actors", at=world.number, time_ns=world.time_ns)
        for state in states:
            documents.take(state_json(state))
        documents.end()
    elif target is None:
        show([head])
        show(cut_lines(states, show_all=show_all))
        hint(log, f"state {log} --at {max(world.number - 1, 1)}")
    else:
        show([head, *(each for state in states for each in one_lines(state, show_all=show_all))])
    leave(reader)


def _target(selector: str) -> Target:
    found = parse(selector)
    if selector == "runtime":
        return Target(TargetKind.ACTOR, 0)
    if found is None or found[0] is TargetKind.TURN:
        raise UsageError(f"{selector!r}: here an actor, request or cancel fits: a5, r17 or c3")
    return Target(*found)


def _turn(text: str, timeline: Timeline) -> int:
    """Return the turn that a text means: a number, or a time."""
    turn, time_ns = parse_bound(text)
    return timeline.moment(time_ns or 0) if turn is None else turn


def _own(reader: LogReader, modules: Iterable[str]) -> Own | None:
    if not modules:
        return None
    # Loads the actors and runs the application's code, so only where somebody asks for it.
    from rescind.replay._state.classes import OwnStates, classes_in  # noqa: PLC0415

    return OwnStates(reader, classes_in(modules)).behind

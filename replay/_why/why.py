"""`rescind why`: from an outcome back to the input from outside that began it.

Nothing is read but the turns of the story; a cause in another log is followed there if that log is
given too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rescind.events import By, Origin, Turn
from rescind.replay._archive.archive import Archive, archive_of
from rescind.replay._archive.select import Target, TargetKind, resolve
from rescind.replay._archive.trace import STEPS_MAX, Archives, Point, trace
from rescind.replay._ledger.dialects import CLIENT
from rescind.replay._ledger.lives import Moment
from rescind.replay._words.describe import message_text, rules_of
from rescind.replay._words.shown import Shown
from rescind.replay._words.text import Clock, Line
from rescind.replay._words.turns import origin_text

from .steps import says
from .targets import plan, submission_of


@dataclass(frozen=True, slots=True)
class Step:
    """One turn on the way back.

    Attributes:
        before_ns: How long before the outcome it happened.
        actor: The actor that took the message, as its label.
        message: The message, in a few words.
        says: What happened in it, as far as it concerns the outcome.
        by: Who called, if the application did.
        origin: Who brought the message: ``actor``, ``app``, ``io``, ``timer`` or ``recovery``.
        log: The id of the log it stands in, in hexadecimal; empty for the log that was asked.
    """

    turn: int
    time_ns: int
    before_ns: int
    actor: str
    message: str
    says: str
    by: By | None
    origin: str
    log: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of causes, from the outcome backwards.

    Attributes:
        title: What question the branch answers.
        root: Why it ends where it ends.
        joins: The turn at which it meets an earlier branch and stops, or 0.
    """

    title: str
    steps: tuple[Step, ...]
    root: str
    joins: int = 0


@dataclass(frozen=True, slots=True)
class Story(Shown):
    """The answer to one `why`.  Printed, or shown by a notebook, it is its screen.

    Attributes:
        target: What was asked about.
        headline: The outcome, in one sentence.
        moment: When it came about.
        facts: What else is to be known of it, a sentence each.
        branches: The causes; the shortest way to the outside first.
        raced: What raced with it and lost, or what it survived, a sentence each.
        related: Selectors worth asking about next.
        begin_ns: When the log begins.
    """

    target: Target
    headline: str
    moment: Moment
    facts: tuple[str, ...]
    branches: tuple[Branch, ...]
    raced: tuple[str, ...]
    related: tuple[str, ...]
    begin_ns: int

    def lines(self) -> list[Line]:
        """Return its screen."""
        from .screen import story_lines  # noqa: PLC0415 - which imports this

        return story_lines(self, Clock(self.begin_ns))


def why(
    log: "Iterable[Turn] | Archive",
    selector: str,
    *,
    others: Iterable["Iterable[Turn] | Archive"] = (),
) -> Story:
    """Tell why something came out as it did.

    Args:
        log: A reader, turns, or an archive of either.
        selector: What is asked about: ``r17``, ``c3``, ``a5``, ``1234``, ``code=-36003``, ``last``.
        others: Logs in which causes may lie; they are told apart by their ids.

    Raises:
        SelectorError: The selector means nothing in this log, or several things.
    """
    archive = archive_of(log)
    return story_of(archive, resolve(selector, archive), map(archive_of, others))


def story_of(archive: Archive, target: Target, others: Iterable[Archive] = ()) -> Story:
    """Return the story of a target of an archive."""
    found = plan(target, archive)
    archives = {each.lookup.log_id: each for each in (*others, archive)}
    paths = [
        (title, trace(archives, Point(turn, focus, archive.lookup.log_id)))
        for title, turn, focus in found.starts
    ]
    # The second answers a question of its own only if it says more than a fact has said already.
    paths = paths[:1] + [(title, path) for title, path in paths[1:] if len(path) > 1]
    paths.sort(key=lambda each: len(each[1]))
    paths += at_the_caller(target, archives, archive)
    moment = found.moment
    outcome = archive.turn(moment.turn)
    if outcome is not None:
        moment = Moment(moment.turn, outcome.time_ns)
    branches = tuple(_branches(paths, moment, archives, archive))
    told = (target, found.headline, moment, found.facts, branches, found.raced, found.related)
    return Story(*told, archive.clock.begin_ns)


def at_the_caller(
    target: Target, archives: Archives, archive: Archive
) -> Iterator[tuple[str, list[Point]]]:
    """Yield how a request ended at its caller, which cancelled it, if that log is given too."""
    request = archive.requests.get(target.number)
    if target.kind is not TargetKind.REQUEST or request is None:
        return
    begun, caller = submission_of(request, archive), rules_of(archive, target.number).caller
    claims = [archive.cancels.get(each) for each in request.claims]
    if begun is None or caller is None or not any(c and c.trigger == CLIENT for c in claims):
        return
    log, number = caller(begun) or (b"", 0)
    there = archives[log].requests.get(number) if log in archives else None
    if there is not None and there.completed is not None:
        title = f"at its caller, {archives[log].label(number)} ended so because"
        yield title, trace(archives, Point(there.completed.turn, number, log))


def _branches(
    paths: list[tuple[str, list[Point]]], moment: Moment, archives: Archives, archive: Archive
) -> Iterator[Branch]:
    told: set[tuple[bytes, int]] = set()
    for title, path in paths:
        joins = next((point.turn for point in path if (point.log, point.turn) in told), 0)
        steps: list[Step] = []
        for point in path:
            if (point.log, point.turn) in told:
                break
            turn = archives[point.log].turn(point.turn)
            if turn is not None:
                steps.append(_step(turn, point, moment, archives, archive))
        if steps:
            root = "" if joins else _root(path, archives)
            yield Branch(title, tuple(steps), root, joins)
        told.update((point.log, point.turn) for point in path)


def _root(path: list[Point], archives: Archives) -> str:
    last = path[-1]
    turn = archives[last.log].turn(last.turn)
    if turn is None:
        return f"turn {last.turn} is not in the log: the story begins before it, or in a gap"
    if len(path) > STEPS_MAX:
        return f"not shown: ask why --of {last.turn} for what came before it"
    if turn.cause is not None and turn.cause.log is not None:
        return f"caused by turn {turn.cause.number} of another log, {turn.cause.log.hex()}"
    return _ROOTS.get(turn.origin, "the log names no cause further back")


_ROOTS: dict[int, str] = {
    Origin.APP: "the application called",
    Origin.IO: "the outside spoke unasked",
    Origin.TIMER: "a timer ran out",
    Origin.RECOVERY: "the log was reopened and what was left open was ended",
}


def _step(turn: Turn, point: Point, moment: Moment, archives: Archives, asked: Archive) -> Step:
    archive = archives[point.log]
    return Step(
        turn=turn.number,
        time_ns=turn.time_ns,
        before_ns=moment.time_ns - turn.time_ns,
        actor=archive.label(turn.actor),
        message=message_text(turn.message, archive),
        says=says(turn, point.focus, archive),
        by=turn.by,
        origin=origin_text(turn.origin),
        log="" if archive is asked else point.log.hex(),
    )

"""What comes of a re-execution, as plain data: it crosses processes, screens and documents."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CodeLine:
    """A place in today's code.

    Attributes:
        file: The source file.
        line: The line in it.
        function: The function's qualified name.
        is_exact: Whether the differing thing was decided in this line; otherwise it is where the
            handler begins that decided it, or should have.
    """

    file: str
    line: int
    function: str
    is_exact: bool = True

    def __str__(self) -> str:
        """Say it as tracebacks do."""
        where = f"{self.file}:{self.line} in {self.function}"
        return where if self.is_exact else f"{where}, whose turn it was"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that differs.

    Attributes:
        path: Where it stands: ``events[1] Completed.code``.
        expected: What the recording holds there, as text; None when it holds nothing.
        actual: What today's code made, as text; None when it made nothing.
    """

    path: str
    expected: str | None
    actual: str | None


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first record that came out differently.

    Attributes:
        number: The recorded turn; 0 when today's code went on behind the recording's end.
        what: Which part of it differs, in a few words.
        expected: What the recording holds there, as text.
        actual: What today's code made, as text; None when it made nothing.
        ancestor: The last turn before it on its chain of causes that still came out equal; 0 if
            it is an input itself.
        actor: The actor that took the turn; 0 is the runtime itself.
        label: What that actor is: its class, or its dialect.
        differences: The parts of the record that differ, and nothing else.
        took: What the ancestor took, as text.
        line: Where in today's code it was decided, as far as that can be told.
        changed: Classes on the way whose source is not the recorded one any more.
        given: The turn in which the actor took a value that the log could not carry, so that it got
            a stand-in here, and the difference may come of that; 0 if there is none.
        state: How the actor's state would be another behind this turn, as far as a log tells of it.
    """

    number: int
    what: str
    expected: str
    actual: str | None
    ancestor: int
    actor: int = 0
    label: str = ""
    differences: Sequence[Mismatch] = ()
    took: str = ""
    line: CodeLine | None = None
    changed: Sequence[str] = ()
    state: Sequence[Mismatch] = ()
    given: int = 0


@dataclass(frozen=True, slots=True)
class Rerun:
    """What came of a re-execution.

    Attributes:
        turns: How many recorded turns came out equal.
        skipped: Turns of actors that were not executed: nobody named their class, or somebody asked
            for another actor alone.
        opaque: Turns that hold values the log could not carry; they were not compared.
        withheld: Turns of which a payload policy withheld something; they were not compared.
        ended: The turn where re-execution ended because its input was withheld; 0 if it did not.
        divergence: The first difference, if there is one.
        unreachable: Turns that could not be executed, as what they build upon is not there.
        reasons: Why not: a gap, a missing beginning, what no keyframe holds.
    """

    turns: int
    skipped: int
    opaque: int
    withheld: int
    ended: int
    divergence: Divergence | None
    unreachable: int = 0
    reasons: Sequence[str] = ()


def rerun_json(result: Rerun) -> dict[str, Any]:
    """Return the body of ``rescind rerun --json``."""
    found = result.divergence
    return {
        "equal": result.turns,
        "skipped": result.skipped,
        "opaque": result.opaque,
        "withheld": result.withheld,
        "unreachable": result.unreachable,
        "reasons": list(result.reasons),
        "ended": result.ended or None,
        "divergence": None if found is None else divergence_json(found),
    }


def divergence_json(found: Divergence) -> dict[str, Any]:
    fields = asdict(found)
    return {"turn": fields.pop("number"), **fields}


def rerun_of_json(body: dict[str, Any]) -> Rerun:
    """Return what ``rerun_json`` was given; the document is one of our own processes'."""
    found = body["divergence"]
    return Rerun(
        body["equal"],
        body["skipped"],
        body["opaque"],
        body["withheld"],
        body["ended"] or 0,
        None if found is None else divergence_of_json(found),
        body["unreachable"],
        tuple(body["reasons"]),
    )


def divergence_of_json(body: dict[str, Any]) -> Divergence:
    fields = dict(body)
    line = fields.pop("line")
    return Divergence(
        number=fields.pop("turn"),
        line=None if line is None else CodeLine(**line),
        differences=tuple(Mismatch(**each) for each in fields.pop("differences")),
        changed=tuple(fields.pop("changed")),
        state=tuple(Mismatch(**each) for each in fields.pop("state")),
        **fields,
    )

"""A small hand for writing recordings: turns of one Newton endpoint, without any runtime.

The methods write what the runtime would, in its order; tests alter the turns afterwards.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rescind.events import (
    Accepted,
    Answer,
    AnswerIgnored,
    Born,
    By,
    Cancel,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Cause,
    Closed,
    Complete,
    Completed,
    CompletionScript,
    Delivered,
    Discarded,
    Drop,
    How,
    Killed,
    Log,
    Manner,
    Opened,
    Origin,
    Pace,
    Rejected,
    Returned,
    ScriptReturned,
    ScriptRunning,
    Start,
    StateChanged,
    Submit,
    TimedOut,
    Turn,
    WorkStopped,
)

MS = 1_000_000
BEGIN = 1_790_000_000_000_000_000
CANCELED = -16005
IN_PROGRESS = -36003
MAIN = By("MainThread", "/srv/app/shop/demo.py", 88, "stop_everything")
STOP_BUTTON = By("Thread-2", "/srv/app/shop/demo.py", 41, "sent")


@dataclass
class Recording:
    """Turns as they are written; numbers of actors come from the same hand."""

    turns: list[Turn] = field(default_factory=list)
    time_ns: int = BEGIN
    next_actor: int = 1
    endpoint: int = 0
    epoch: int = 1
    where: dict[int, int] = field(default_factory=dict)
    """Request to the turn that accepted it, then to the one that completed it."""

    def turn(
        self,
        actor: int,
        origin: Origin,
        cause: int | Cause | None,
        message: Any,
        *events: Any,
        by: By | None = None,
    ) -> int:
        self.time_ns += MS // 10
        number = len(self.turns) + 1
        because = Cause(cause) if isinstance(cause, int) and cause else cause or None
        self.turns.append(
            Turn(
                number, self.time_ns, self.epoch, actor, origin, because, message, events, by, True
            )
        )
        return number

    def number(self) -> int:
        self.next_actor += 1
        return self.next_actor - 1

    def open(self, driver: str = "tcp 127.0.0.1:4000", profile: str = "guide") -> int:
        self.endpoint = self.number()
        self.turn(
            self.endpoint, Origin.APP, None, Start(1, [], {}),
            Born(self.endpoint, 1, 0), Opened(self.endpoint, "newton", profile, driver),
            StateChanged(self.endpoint, 0, 5), by=MAIN,
        )  # fmt: skip
        return self.endpoint

    def call(
        self, operation: str, *, asynchronous: bool = True, by: By = MAIN,
        cause: int | Cause | None = None, timeout_ns: int | None = None,
    ) -> int:  # fmt: skip
        request = self.number()
        accepted = Accepted(request, self.endpoint, operation, asynchronous, timeout_ns, True)
        self.where[request] = self.turn(
            self.endpoint, Origin.APP, cause, Submit(operation, (), asynchronous, timeout_ns),
            accepted, by=by,
        )  # fmt: skip
        return request

    def refuse(
        self, operation: str, cause: int | Cause | None = None, code: int = IN_PROGRESS,
        rule: str = "N-36003-window", by: By = STOP_BUTTON,
    ) -> int:  # fmt: skip
        request = self.number()
        rejected = Rejected(request, self.endpoint, operation, code, rule)
        self.turn(
            self.endpoint, Origin.APP, cause, Submit(operation, (), True, None), rejected, by=by
        )
        return request

    def answer(self, request: int, code: int | None = None) -> int:
        how = How.RESULT if code is None else How.FAILED
        self.where[request] = self.turn(
            request, Origin.IO, self.where[request], Answer(request, code, None),
            Completed(request, code, how, 0),
        )  # fmt: skip
        return self.where[request]

    def answer_late(self, request: int, code: int | None = None) -> int:
        return self.turn(
            request, Origin.IO, self.where[request], Answer(request, code, None),
            AnswerIgnored(request, code),
        )  # fmt: skip

    def cancel(
        self, victims: list[int], *, late: list[int] | None = None, operation: str = "Cancel",
        asynchronous: bool = True, cause: int | Cause | None = None, by: By = MAIN,
    ) -> int:  # fmt: skip
        cancel = self.number()
        self.where[cancel] = self.turn(
            self.endpoint, Origin.APP, cause, Submit(operation, (), asynchronous, None),
            Accepted(cancel, self.endpoint, operation, asynchronous, None, True),
            CancelRequested(cancel, self.endpoint, operation, cancel),
            CancelBegan(cancel, ranges(victims)),
            *[CancelOutcome(cancel, target, "too late") for target in late or []],
            by=by,
        )  # fmt: skip
        return cancel

    def time_out(self, request: int, victims: list[int]) -> int:
        fired = self.turn(
            request, Origin.TIMER, self.where[request], TimedOut(request),
        )  # fmt: skip
        cancel = self.number()
        self.where[cancel] = self.turn(
            self.endpoint, Origin.ACTOR, fired, Cancel(request),
            CancelRequested(cancel, self.endpoint, "time-out", request),
            CancelBegan(cancel, ranges(victims)),
        )  # fmt: skip
        return cancel

    def kill(
        self, cancel: int, victims: list[int], *more: Any, taken: dict[int, int] | None = None
    ) -> int:
        killed = self.turn(
            self.endpoint, Origin.IO, self.where[cancel], Killed(cancel, None, taken or {}),
            WorkStopped(cancel, None), *more,
        )  # fmt: skip
        for victim in victims:
            self.where[victim] = self.turn(
                victim, Origin.ACTOR, killed, Cancel(cancel),
                Completed(victim, CANCELED, How.CANCELLED, cancel),
            )  # fmt: skip
        return killed

    def deliver(
        self, requests: list[int], *more: Any, manner: Manner = Manner.SCRIPT, running: bool = False
    ) -> int:
        run = ranges(requests)
        began = [ScriptRunning(requests[-1])] if running else []
        return self.turn(
            self.endpoint, Origin.ACTOR, self.where[requests[-1]],
            CompletionScript(run, running, manner), *began, Delivered(run, manner), *more,
        )  # fmt: skip

    def returned(self, request: int, delivery: int, *more: Any, error: str | None = None) -> int:
        return self.turn(
            self.endpoint, Origin.APP, delivery, Returned(request, error),
            ScriptReturned(request), *more,
        )  # fmt: skip

    def complete(self, cancel: int, cause: int) -> int:
        self.where[cancel] = self.turn(
            cancel, Origin.ACTOR, cause, Complete(None), Completed(cancel, None, How.RESULT, 0)
        )
        return self.where[cancel]

    def dispose(self, pending: list[int]) -> int:
        request = self.number()
        called = self.turn(
            self.endpoint, Origin.APP, None, Submit("Dispose", (), False, None), by=MAIN
        )
        for each in pending:
            self.turn(
                each, Origin.ACTOR, called, Drop(called),
                Completed(each, None, How.ABANDONED, called),
                Discarded([each, each], "endpoint disposed", called),
            )  # fmt: skip
        del request
        return self.turn(
            self.endpoint, Origin.ACTOR, called, Drop(called), Closed(self.endpoint, "disposed")
        )


def ranges(numbers: list[int]) -> list[int]:
    flat: list[int] = []
    for number in numbers:
        if flat and flat[-1] + 1 == number:
            flat[-1] = number
        else:
            flat += [number, number]
    return flat


def incident() -> Recording:
    """The demo's story: Outputs and an input spec out, one caller blocked, a Cancel, a retry.

    r2 Connect is done; r3 Input and r4..r7 Outputs are cancelled by c9, the blocked r8 raises last;
    r4's script tries again and is refused as r10.
    """
    r = Recording()
    r.open()
    connect = r.call("Connect", asynchronous=False)
    r.answer(connect)
    r.deliver([connect], manner=Manner.RETURNED)
    armed = r.call("Input")
    outputs = [r.call("Output") for _ in range(4)]
    blocked = r.call("Option", asynchronous=False, by=STOP_BUTTON)
    cancel = r.cancel([armed, *outputs, blocked])
    r.kill(cancel, [armed, *outputs, blocked])
    delivery = r.deliver([armed, outputs[0]], running=True)
    r.refuse("Output", cause=delivery)
    r.returned(outputs[0], delivery)
    last = r.deliver(outputs[1:], CancelEnded(cancel, None))
    r.complete(cancel, last)
    r.deliver([cancel])
    r.deliver([blocked], manner=Manner.RAISED)
    r.answer_late(outputs[2])
    return r


def everything() -> Recording:
    """Every story once: the incident, a too late cancel, a time-out, a Disconnect, a Dispose."""
    r = incident()
    done, out = r.call("Output"), r.call("Output")
    r.answer(done)
    late = r.cancel([out], late=[done], cause=None)
    r.kill(late, [out])
    r.deliver([done])
    r.complete(late, r.deliver([out], CancelEnded(late, None)))
    r.deliver([late])

    slow, other = r.call("Output", timeout_ns=50 * MS), r.call("Output")
    timed = r.time_out(slow, [slow, other])
    killed = r.turn(r.endpoint, Origin.IO, r.where[timed], Killed(timed, None, {}))
    r.where[other] = r.turn(
        other, Origin.ACTOR, killed, Cancel(timed), Completed(other, CANCELED, How.CANCELLED, timed)
    )
    closing = r.deliver([other], CancelEnded(timed, None))
    r.where[slow] = r.turn(
        slow, Origin.ACTOR, closing, Complete(CANCELED),
        Completed(slow, CANCELED, How.CANCELLED, timed),
    )  # fmt: skip
    r.deliver([slow])

    failed = r.call("Output")
    r.answer(failed, -16009)
    r.deliver([failed])
    nothing = r.cancel([], operation="Disconnect")
    r.complete(nothing, r.kill(nothing, [], CancelEnded(nothing, None)))
    r.deliver([nothing])
    r.dispose([r.call("Output"), r.call("Output")])
    return r


def save(
    turns: list[Turn], path: Path, *, keyframes: Any = None, per_batch: int = 10, **options: Any
) -> Path:
    """Write turns into a log on disk, one batch per ten turns."""
    writer = Log.create_or_open(path, durability="os", **options)
    if keyframes is not None:
        writer.keyframes_from(keyframes, Pace(log_bytes_min=100))
    crawler = writer.class_("shop.Endpoint", 1, "")
    assert crawler == 1, "the recordings name their only class 1"

    def wire(kind: Any) -> Any:
        return None if kind is None else (writer.kind_ids[type(kind)], *kind)

    for turn in turns:
        cause = turn.cause
        because: int | list[Any] = 0 if cause is None else cause.number
        if cause is not None and cause.log is not None:
            because = [cause.log, cause.number]
        elif cause is not None and cause.request:
            because = [cause.number, cause.request]
        by = turn.by and (
            writer.who(turn.by.who),
            writer.site(turn.by.file, turn.by.line, turn.by.function),
        )
        events = [wire(event) for event in turn.events]
        writer.append(
            (turn.actor, turn.time_ns, turn.origin, because, wire(turn.message), events, by)
        )
        if turn.number % per_batch == 0:
            flush(writer)
    flush(writer)
    writer.close()
    return path


def spoil(segment: Path, offset: int) -> None:
    """Change one byte of a segment."""
    data = bytearray(segment.read_bytes())
    data[offset] ^= 0x5A
    segment.write_bytes(data)


def flush(writer: Any) -> None:
    batch = writer.seal()
    if batch is not None:
        writer.write(batch)

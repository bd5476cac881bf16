"""Supervision: what becomes of an actor that failed, and of the children of one that ends.

A parent with a rule is the supervisor of the actors that it starts in its turns.  The rule is
applied in the turn that failed, under the baton, and what it says is recorded there.  Between two
incarnations, and before its end, an actor takes nothing: it is paused, its children stop one after
the other, and only then is it sent what it waits for.
"""
# ruff: noqa: SLF001  # what an actor does about its failures is only written down here

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pykka

from rescind.events import (
    Born,
    Decision,
    Fail,
    Failed,
    Origin,
    Restart,
    Restarted,
    Start,
    Stop,
    Supervised,
)

from ._errors import UsageError
from ._reply import finish

if TYPE_CHECKING:
    from ._actor import Actor
    from ._outbox import Outbox
    from ._ref import ActorRef
    from ._reply import Reply
    from ._runtime import Runtime
    from ._timers import Timer

logger = logging.getLogger("rescind.actors")

Awaited: TypeAlias = Restart | Stop
_DOUBLINGS_MAX = 62
"""More are beyond any cap, and beyond a float."""


def _restart(_error: BaseException) -> Decision:
    return Decision.RESTART


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """A parent's rule for the failures of its children, and how often and when they restart.

    Set as ``supervision`` on the parent's class, or in its constructor.

    Attributes:
        decide: Says what is to be done about an exception.  It runs in the turn that failed, and
            again when that is executed again, so it may look at nothing else.
        restarts_max: So many restarts of one child are allowed within ``within_s``; the failure
            after them escalates.
        within_s: How far back restarts count, in seconds of the runtime's time.
        backoff_s: What the first of these restarts waits, in seconds, and what none exceeds; each
            waits twice as long as the one before it.
        jitter: The part of the wait that is left to chance, from 0 (none) to 1 (all of it).  It is
            the runtime's own chance, which a re-execution meets again.
    """

    decide: Callable[[BaseException], Decision] = _restart
    restarts_max: int = 3
    within_s: float = 60.0
    backoff_s: tuple[float, float] = (0.0, 0.0)
    jitter: float = 0.0

    def __post_init__(self) -> None:
        """See that the numbers make sense.

        Raises:
            UsageError: They do not.
        """
        first, longest = self.backoff_s
        if self.restarts_max < 0 or self.within_s < 0:
            raise UsageError("restarts_max and within_s must not be negative")
        if not 0 <= first <= longest:
            raise UsageError(f"backoff_s is (first, longest), not {self.backoff_s}")
        if not 0 <= self.jitter <= 1:
            raise UsageError(f"jitter is a part of the wait, from 0 to 1, not {self.jitter}")

    def judge(
        self,
        error: BaseException,
        restarts_ns: list[int],
        now_ns: int,
        chance: Callable[[], float],
    ) -> tuple[Decision, int]:
        """Return what is to be done about a failure, and how long a restart waits, in ns.

        Args:
            error: What the child raised.
            restarts_ns: When it was restarted before; what is too long ago is taken out, and this
                restart, if it is one, put in.
            now_ns: The time of the turn that failed.
            chance: Called at most once, for a number from 0 to 1.
        """
        try:
            decision = Decision(self.decide(error))
        except Exception:
            logger.exception("the rule could not decide about %r, which escalates:", error)
            return Decision.ESCALATE, 0
        if decision is not Decision.RESTART:
            return decision, 0
        since_ns = now_ns - round(self.within_s * 1e9)
        restarts_ns[:] = [each for each in restarts_ns if each > since_ns]
        if len(restarts_ns) >= self.restarts_max:
            return Decision.ESCALATE, 0
        delay_s = self._delay_s(len(restarts_ns))
        if self.jitter and delay_s:
            delay_s *= 1 - self.jitter * chance()
        restarts_ns.append(now_ns)
        return decision, round(delay_s * 1e9)

    def _delay_s(self, before: int) -> float:
        first, longest = self.backoff_s
        return min(longest, first * 2.0 ** min(before, _DOUBLINGS_MAX))


class Kinship:
    """What a reference knows of its actor's lives, its supervisor and its children."""

    error: str | None = None
    """The failure that stopped the actor, if one did."""
    incarnation: int = 1
    """Which of its lives the actor is in, or waits for; the first is 1."""
    ended: int = 0
    """The turn in which the incarnation before this one ended; 0 for the first."""
    bond: "Bond | None" = None
    """What ties it to its supervisor, if the actor that started it has a rule."""
    children: "dict[int, ActorRef[Any]] | None" = None
    """The actors that it supervises and that live, the last started last."""
    escalated: dict[int, BaseException] | None = None
    """By child: failures that were left with it and that it has not taken yet."""
    pause: "Pause | None" = None
    """What the actor waits for between two incarnations, or before its end."""


class Bond:
    """What ties a child to its supervisor, from the turn in which it was started to its end."""

    __slots__ = ("is_told", "ref", "restarts_ns", "start", "supervisor")

    def __init__(self, ref: "ActorRef[Any]", supervisor: "ActorRef[Any]", start: Start) -> None:
        """Keep the child's first message, which later incarnations are made from."""
        self.ref = ref
        self.supervisor = supervisor
        self.start = start
        self.restarts_ns: list[int] = []
        self.is_told = False
        """Whether its supervisor has sent it a Stop."""

    def take_effect(self, _number: int) -> None:
        """Let the supervisor have the child: the turn is recorded that started it."""
        supervisor = self.supervisor
        if supervisor.children is None:
            supervisor.children = {}
        supervisor.children[self.ref.number] = self.ref

    @property
    def taker(self) -> int:
        """The child, for whose end its supervisor may wait."""
        return self.ref.number

    number = property(None, take_effect)
    """A turn's number, which the engine sets when it is recorded."""


class Pause:
    """The time between two incarnations of an actor, or before its end."""

    __slots__ = (
        "awaited", "delay_ns", "error", "has_failed", "is_made", "is_on", "replies", "timer",
    )  # fmt: skip

    def __init__(self, awaited: Awaited, *, error: str | None = None, is_made: bool = True) -> None:
        """Be about to begin; it begins when the turn is recorded that decided it."""
        self.awaited = awaited
        """What the actor is sent when its children have stopped, and the delay is over."""
        self.delay_ns = 0
        self.error = error
        """The failure that began it, if one did."""
        self.has_failed = error is not None
        """Whether its incarnation has ended by a failure, so that no ``on_stop`` is due."""
        self.is_made = is_made
        """Whether its constructor has ever returned."""
        self.replies: list[Reply[Any]] = []
        """Who asked for the stop."""
        self.timer: Timer | None = None
        self.is_on = False
        """Whether what ends the pause is still to come."""

    def ends_with(self, message: tuple[Any, ...]) -> bool:
        """Tell whether the actor takes ``message``: what it waits for, or any stop before that."""
        if isinstance(self.awaited, Restart) and isinstance(message, Stop):
            return self.is_on
        # Tuples of different kinds may be equal.
        return self.is_on and type(message) is type(self.awaited) and message == self.awaited


def judged(
    ref: "ActorRef[Any]", error: BaseException, now_ns: int, *, is_made: bool
) -> Supervised | None:
    """Return what the rule of the supervisor says about a failure; None if there is no rule.

    Called in the turn that failed, under the baton.  An actor that was not made, because its
    constructor raised, cannot go on, and stops instead.
    """
    bond = ref.bond
    if bond is None:
        return None
    rule = getattr(bond.supervisor.actor, "supervision", None)
    if not isinstance(rule, Supervision):
        return None
    decision, delay_ns = rule.judge(
        error,
        bond.restarts_ns,
        now_ns,
        lambda: ref.chance(ref.runtime.log.epoch).random(),
    )
    if decision is Decision.RESUME and not is_made:
        decision = Decision.STOP
    return Supervised(ref.number, decision.value, delay_ns)


def bind(ref: "ActorRef[Any]", start: Start, out: "Outbox") -> None:
    """Make ``ref`` the child of the actor in whose turn it is started, if that has a rule."""
    if isinstance(getattr(out.actor, "supervision", None), Supervision):
        ref.bond = Bond(ref, out.actor.actor_ref, start)
        out.causes.append(ref.bond)


def bind_again(ref: "ActorRef[Any]", supervisor: "ActorRef[Any]", start: Start) -> None:
    """Make ``ref`` the child that it was in an earlier process; its restarts count anew."""
    if isinstance(getattr(supervisor.actor, "supervision", None), Supervision):
        ref.bond = Bond(ref, supervisor, start)
        ref.bond.take_effect(0)


def escalate(ref: "ActorRef[Any]", error: BaseException) -> "ActorRef[Any]":
    """Leave a failure with the supervisor, which there is; returns it, to be told."""
    assert ref.bond is not None
    supervisor = ref.bond.supervisor
    if supervisor.escalated is None:
        supervisor.escalated = {}
    supervisor.escalated[ref.number] = error
    return supervisor


def ends_pause(ref: "ActorRef[Any]", message: tuple[Any, ...]) -> bool:
    """Tell whether a suspended actor takes ``message`` all the same; nothing else does then."""
    pause = ref.pause
    if pause is None or not pause.ends_with(message):
        return False
    pause.is_on = ref.is_suspended = False
    ref.waits_on = None
    return True


def forestall(ref: "ActorRef[Any]", number: int) -> None:
    """Stop an actor before its start, which will be a dead letter as its stop was."""
    ref.end()
    release(ref, number)


# --- in the turn of the actor that failed, or stops ----------------------------------------------


def forget_all_but_birth(out: "Outbox") -> None:
    """Let nothing leave that a failed handler decided, but that its actor had begun."""
    births = [event for event in out.events if isinstance(event, Born | Restarted)]
    answers = out.answers.copy()
    out.forget()
    out.events += births
    out.answers += answers


def settle_failure(
    actor: "Actor", out: "Outbox", error: BaseException, text: str, *, is_made: bool = True
) -> None:
    """Do what the supervisor's rule says about a failure; without a rule, stop."""
    ref = actor.actor_ref
    logger.error("Unhandled exception in %s:", actor, exc_info=error)
    failed = partial(actor.on_failure, type(error), error, error.__traceback__)
    if ref.bond is None and actor.supervision is None:
        actor._finish(out, text)
        actor._hook(out, failed)
        return
    said = judged(ref, error, out.now_ns, is_made=is_made)
    if said is not None and said.decision == Decision.RESUME:
        out.events.append(said)
        return
    if is_made:
        actor._hook(out, failed)
    # From here on nothing lets go of the baton before the turn is recorded.
    if said is not None and said.decision == Decision.RESTART:
        actor._end_incarnation(out, is_stop=False)
        ref.pause = Pause(Restart(ref.incarnation + 1), error=text, is_made=is_made)
        out.events.append(said)
    elif ref.children:
        ref.pause = Pause(Stop(urgent=True), error=text)
        out.events.append(said or Supervised(ref.number, Decision.STOP, 0))
    else:
        out.events += () if said is None else (said,)
        actor._finish(out, text)
    if said is not None and said.decision == Decision.ESCALATE:
        out.urgent.append((escalate(ref, error), Fail(ref.number, text), None))


def begin_again(actor: "Actor", message: Restart, out: "Outbox") -> None:
    """Begin another incarnation, with an object of its own where the old one's is in doubt."""
    ref = actor.actor_ref
    pause, ref.pause, ref.escalated = ref.pause, None, None
    out.events.append(Restarted(ref.number, message.incarnation))
    if ref.bond is not None and not (actor.EVENT_SOURCED and pause and pause.is_made):
        start = ref.bond.start
        actor = out.actor = actor.runtime.remake(ref, start)
        if not actor._construct(out, start.args, start.kwargs):
            return
    actor._guarded(out, actor.on_restart)


def take_childs_failure(actor: "Actor", message: Fail, out: "Outbox") -> None:
    """Fail with what a child left to this actor, unless that was to an earlier incarnation."""
    error = (actor.actor_ref.escalated or {}).pop(message.child, None)
    if error is not None:
        out.events.append(Failed(message.error))
        settle_failure(actor, out, error, message.error)


def wind_down(actor: "Actor", out: "Outbox") -> None:
    """Stop while children live, or between two incarnations."""
    ref = actor.actor_ref
    before, ref.pause = ref.pause, None
    pause = Pause(Stop(urgent=True))
    if before is not None:
        if before.timer is not None:
            before.timer.cancel()
        pause.has_failed = before.has_failed
        if isinstance(before.awaited, Stop):
            pause.error, pause.replies = before.error, before.replies
    if out.reply is not None:
        pause.replies.append(out.reply)
    if ref.children:
        ref.pause = pause
        out.events.append(Supervised(ref.number, Decision.STOP, 0))
        return
    actor._finish(out, pause.error)
    if not pause.has_failed:
        actor._hook(out, actor.on_stop)
    out.answers += [(reply, None, None) for reply in pause.replies]


# --- facts: called with the number of the turn, when it is recorded -------------------------------


def apply_supervised(actor: Any, event: Supervised, number: int) -> None:
    """Begin the pause that a turn decided."""
    ref: ActorRef[Any] = actor.actor_ref
    pause = ref.pause
    if pause is not None:
        pause.is_on = ref.is_suspended = True
        if isinstance(pause.awaited, Restart):
            ref.incarnation, ref.ended = pause.awaited.incarnation, number
        pause.delay_ns = event.delay_ns
        _wind_up(ref, pause, number)


def apply_restarted(actor: Any, _event: Any, _number: int) -> None:
    """Let a new incarnation take what waited for it."""
    actor.runtime.unpark(actor.actor_ref)


def apply_stopped(actor: Any, _event: Any, number: int) -> None:
    """Let the supervisor of an actor know that it has stopped."""
    release(actor.actor_ref, number)


def release(ref: "ActorRef[Any]", number: int) -> None:
    """Untie a child that has ended; if its supervisor waited for that, let it go on."""
    bond, ref.bond = ref.bond, None
    if bond is None:
        return
    supervisor = bond.supervisor
    if supervisor.children is not None:
        supervisor.children.pop(ref.number, None)
    if supervisor.pause is not None:
        _wind_up(supervisor, supervisor.pause, number)


def _wind_up(ref: "ActorRef[Any]", pause: Pause, number: int) -> None:
    """Have the youngest child of a paused actor stop; when none is left, end the pause.

    A child that itself waits for the actor cannot stop before that goes on, and is not waited for.
    """
    runtime = ref.runtime
    while ref.children:
        youngest = ref.children[next(reversed(ref.children))]
        if youngest.bond is not None and not youngest.bond.is_told:
            youngest.bond.is_told = True
            runtime.overtake(youngest, Stop(urgent=True), Origin.ACTOR, number)
        if not runtime.waits_for(youngest, ref.number):
            ref.waits_on = youngest.bond
            return
        del ref.children[youngest.number]
    ref.waits_on = None
    if pause.delay_ns:
        pause.timer = runtime.arm(
            pause.delay_ns,
            lambda: runtime.overtake(ref, pause.awaited, Origin.TIMER, number),
        )
    else:
        runtime.overtake(ref, pause.awaited, Origin.ACTOR, number)


def end_pauses(runtime: "Runtime") -> None:
    """Answer those who asked for a stop that still waits for a child; the baton is held."""
    for actor in runtime.actors.values():
        pause = actor.actor_ref.pause
        for reply in () if pause is None else pause.replies:
            error = pykka.ActorDeadError(f"{actor} did not come to an end")
            runtime.after_commit(finish, reply, None, (type(error), error, None))

"""Every event as a change of what lives: the one fold behind `state`, L12 and stepping.

Every change sets a value and none counts, so that a turn which comes again changes nothing: a
keyframe's entries show their actors behind turns that follow its number.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from rescind.events import (
    Accepted,
    Asked,
    Born,
    CallOpened,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Closed,
    Completed,
    Delivered,
    Discarded,
    Failed,
    Opened,
    Outcome,
    PrivilegeChanged,
    Recover,
    Reference,
    Restarted,
    Resume,
    Routed,
    ScriptReturned,
    ScriptRunning,
    Started,
    Stashed,
    StateChanged,
    Stopped,
    Supervised,
    Suspended,
    TimerSet,
    Unknown,
    Unstashed,
    Watch,
    WorkStopped,
)
from rescind.replay._ledger.lives import Moment
from rescind.replay._ledger.model import each

from .living import (
    NO_MARKS,
    UNKNOWN,
    Cancelling,
    Life,
    Living,
    Mark,
    Marks,
    OpenCall,
    Place,
)

# --- one function per kind -----------------------------------------------------------------------
# What is said of something that does not live, or is not known to, changes nothing.


def _accepted(living: Living, event: Accepted, _actor: int, at: Moment) -> None:
    living.accepted[event.request] = (at.turn, at.time_ns, event, None)


def _mark_request(living: Living, number: int, **marks: Mark) -> None:
    if number in living.accepted:
        living.marks[number] = {**living.marks.get(number, NO_MARKS), **marks}


def without(marks: Marks, *names: str) -> Marks:
    """Return marks without those names."""
    return {name: mark for name, mark in marks.items() if name not in names}


def _started(living: Living, event: Started, _actor: int, at: Moment) -> None:
    _mark_request(living, event.request, started=Mark(value=True, at=at))


def _asked(living: Living, event: Asked, actor: int, at: Moment) -> None:
    # The turn that asks, or gives work away, is the asking actor's; a request says itself whom.
    marks = {"parent": Mark(event.parent, at)} if event.parent else {}
    if event.shielded:
        marks["shielded"] = Mark(value=True, at=at)
    del actor
    if marks:
        _mark_request(living, event.request, **marks)


def _routed(living: Living, event: Routed, _actor: int, at: Moment) -> None:
    _mark_request(living, event.request, sink=Mark(event.sink, at))


def _completed(living: Living, event: Completed, _actor: int, at: Moment) -> None:
    if event.request in living.accepted:
        living.done[event.request] = (at.turn, at.time_ns, event, None)


def _let_go(living: Living, number: int) -> None:
    living.accepted.pop(number, None)
    living.done.pop(number, None)
    living.marks.pop(number, None)


def _delivered(living: Living, event: Delivered, _actor: int, _at: Moment) -> None:
    marks = living.marks
    for number in each(event.requests):
        if number not in marks or "running" not in marks[number]:
            _let_go(living, number)


def _discarded(living: Living, event: Discarded, _actor: int, _at: Moment) -> None:
    for number in each(event.requests):
        _let_go(living, number)


def _script_running(living: Living, event: ScriptRunning, _actor: int, at: Moment) -> None:
    _mark_request(living, event.request, running=Mark(value=True, at=at))


def _script_returned(living: Living, event: ScriptReturned, _actor: int, _at: Moment) -> None:
    _let_go(living, event.request)


def _cancel_requested(living: Living, event: CancelRequested, _actor: int, at: Moment) -> None:
    living.cancels[event.cancel] = Cancelling(
        event.scope, event.trigger, event.by, event.reason, at, None, None
    )


def _cancel_began(living: Living, event: CancelBegan, _actor: int, at: Moment) -> None:
    cancel = living.cancels.get(event.cancel)
    if cancel is not None:
        living.cancels[event.cancel] = cancel._replace(began=at)
    # Most victims have no other mark, and a million of them may share one mapping.
    doomed = {"doomed": Mark(event.cancel, at)}
    for number in each(event.victims):
        if number in living.accepted:
            marks = living.marks.get(number)
            living.marks[number] = doomed if marks is None else {**marks, **doomed}


def _cancel_outcome(living: Living, event: CancelOutcome, _actor: int, _at: Moment) -> None:
    if event.outcome == Outcome.IGNORED and event.target in living.marks:
        living.marks[event.target] = without(living.marks[event.target], "doomed")


def _work_stopped(living: Living, event: WorkStopped, _actor: int, at: Moment) -> None:
    cancel = living.cancels.get(event.cancel)
    if cancel is not None:
        living.cancels[event.cancel] = cancel._replace(stopped=Mark(event.code, at))


def _cancel_ended(living: Living, event: CancelEnded, _actor: int, _at: Moment) -> None:
    living.cancels.pop(event.cancel, None)


def _born(living: Living, event: Born, _actor: int, at: Moment) -> None:
    life = living.lives.get(event.actor)
    if life is None or life.told is None:  # else a keyframe tells how it stood later
        cls = (living.epoch, event.cls)
        living.lives[event.actor] = Life(cls, event.parent, at, None, NO_MARKS)


def _stopped(living: Living, event: Stopped, _actor: int, _at: Moment) -> None:
    living.lives.pop(event.actor, None)


def _mark_life(living: Living, actor: int, **marks: Mark) -> None:
    life = living.lives.get(actor)
    if life is not None:
        living.lives[actor] = life._replace(marks={**life.marks, **marks})


def _unmark_life(living: Living, actor: int, *names: str) -> None:
    life = living.lives.get(actor)
    if life is not None and any(name in life.marks for name in names):
        living.lives[actor] = life._replace(marks=without(life.marks, *names))


def _marked(living: Living, actor: int, name: str) -> Any:
    life = living.lives.get(actor)
    mark = life.marks.get(name) if life is not None else None
    return () if mark is None else mark.value


def _watch(living: Living, message: Watch, actor: int, at: Moment) -> None:
    watchers = _marked(living, actor, "watchers")
    if isinstance(message.watcher, Reference) and message.watcher not in watchers:
        _mark_life(living, actor, watchers=Mark((*watchers, message.watcher), at))


def _recovered(living: Living, message: Recover, actor: int, at: Moment) -> None:
    life = living.lives.get(actor)
    if life is not None and message.cls:
        marks = without(life.marks, *_OF_A_PROCESS)
        living.lives[actor] = life._replace(cls=(living.epoch, message.cls), marks=marks)
    place = living.places.get(actor)
    if place is not None and message.cls:
        living.places[actor] = place._replace(cls=(living.epoch, message.cls))
    del at


_OF_A_PROCESS = ("timers", "aside", "waits")
"""What an actor had and has no more when it goes on in another process, or begins again."""


def _resumed(living: Living, _message: Resume, actor: int, _at: Moment) -> None:
    _unmark_life(living, actor, "waits")


def _suspended(living: Living, event: Suspended, actor: int, at: Moment) -> None:
    _mark_life(living, actor, waits=Mark(event.on, at))


def _failed(living: Living, event: Failed, actor: int, at: Moment) -> None:
    _mark_life(living, actor, failed=Mark(event.error, at))


def _supervised(living: Living, event: Supervised, _actor: int, at: Moment) -> None:
    _mark_life(living, event.actor, supervised=Mark(event.decision, at))


def _restarted(living: Living, event: Restarted, _actor: int, at: Moment) -> None:
    _unmark_life(living, event.actor, "timers", "waits", "supervised")
    _mark_life(living, event.actor, incarnation=Mark(event.incarnation, at))


def _timer_set(living: Living, event: TimerSet, actor: int, at: Moment) -> None:
    timers = _marked(living, actor, "timers")
    due = (at.turn, at.time_ns + event.delay_ns)
    if due not in timers:
        _mark_life(living, actor, timers=Mark((*timers, due), at))


def timer_fired(living: Living, actor: int, cause: int, at: Moment) -> None:
    timers = _marked(living, actor, "timers")
    # One of those that the turn set; which one is not said, and the earliest is due first.
    fired = min((due for due in timers if due[0] == cause), default=None)
    if fired is not None:
        rest = list(timers)
        rest.remove(fired)
        _mark_life(living, actor, timers=Mark(tuple(rest), at))


def _stashed(living: Living, _event: Stashed, actor: int, at: Moment) -> None:
    aside = _marked(living, actor, "aside")
    if at.turn not in aside:
        _mark_life(living, actor, aside=Mark((*aside, at.turn), at))


def _unstashed(living: Living, event: Unstashed, actor: int, at: Moment) -> None:
    aside = tuple(turn for turn in _marked(living, actor, "aside") if turn not in event.turns)
    _mark_life(living, actor, aside=Mark(aside, at))


def _declared(living: Living, event: Unknown, actor: int, at: Moment) -> None:
    """An event of the application's own: what it does to the state is its class's business."""
    life = living.lives.get(actor)
    if life is not None and "." in event.name and not (life.told and at.turn <= life.told.at.turn):
        seen = life.marks.get("events")
        _mark_life(living, actor, events=Mark(1 if seen is None else seen.value + 1, at))


def _opened(living: Living, event: Opened, _actor: int, at: Moment) -> None:
    born = living.lives.pop(event.endpoint, None)
    cls = (living.epoch, 0) if born is None else born.cls
    known = living.places.get(event.endpoint)
    state = Mark(None, UNKNOWN) if known is None else known.state
    living.places[event.endpoint] = Place(
        event.dialect, event.profile, event.driver, cls, at, state
    )


def _state_changed(living: Living, event: StateChanged, _actor: int, at: Moment) -> None:
    number, state = event.subject, Mark(event.new, at)
    place, call = living.places.get(number), living.calls.get(number)
    if place is not None:
        living.places[number] = place._replace(state=state)
    elif call is not None:
        living.calls[number] = call._replace(state=state)


def _closed(living: Living, event: Closed, _actor: int, _at: Moment) -> None:
    living.calls.pop(event.subject, None)
    living.places.pop(event.subject, None)


def _call_opened(living: Living, event: CallOpened, _actor: int, at: Moment) -> None:
    living.calls[event.call] = OpenCall(event.endpoint, at, Mark(0, at), NO_MARKS)


def _privilege_changed(living: Living, event: PrivilegeChanged, _actor: int, at: Moment) -> None:
    call = living.calls.get(event.call)
    if call is not None:
        seen = call.marks.get("holders")
        holders = {} if seen is None else dict(seen.value)
        holders[event.holder] = event.new
        kept = tuple(sorted((holder, rights) for holder, rights in holders.items() if rights))
        marks = {**call.marks, "holders": Mark(kept, at)}
        living.calls[event.call] = call._replace(marks=marks)


Change: TypeAlias = Callable[[Living, Any, int, Moment], None]
"""What an event or message does to what lives; with it the actor that took the turn, and when."""


CHANGES: dict[type, Change] = {
    Accepted: _accepted,
    Asked: _asked,
    Born: _born,
    CallOpened: _call_opened,
    CancelBegan: _cancel_began,
    CancelEnded: _cancel_ended,
    CancelOutcome: _cancel_outcome,
    CancelRequested: _cancel_requested,
    Closed: _closed,
    Completed: _completed,
    Delivered: _delivered,
    Discarded: _discarded,
    Failed: _failed,
    Opened: _opened,
    PrivilegeChanged: _privilege_changed,
    Recover: _recovered,
    Restarted: _restarted,
    Resume: _resumed,
    Routed: _routed,
    ScriptReturned: _script_returned,
    ScriptRunning: _script_running,
    Started: _started,
    Stashed: _stashed,
    StateChanged: _state_changed,
    Stopped: _stopped,
    Supervised: _supervised,
    Suspended: _suspended,
    TimerSet: _timer_set,
    Unknown: _declared,
    Unstashed: _unstashed,
    Watch: _watch,
    WorkStopped: _work_stopped,
}
"""What each message and event does to what lives."""

BY_NAME: dict[str, type] = {kind.__name__: kind for kind in CHANGES if kind is not Unknown}

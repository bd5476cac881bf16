"""The endpoint: owns requests, has one cancel window and one lane of deliveries.

An endpoint and its requests are one unit of consistency: each takes its own turns, but the facts
of all of them change one state, through the ``_apply_*`` functions here.  A dialect's endpoint adds
what its tables say: admission, transitions, codes, and the effects that reach its driver.

Order of a cancel, in turns: the cancel's own (window opens, driver told to stop) ... the driver's
``Killed`` ... one ``Cancel`` for each victim ... their delivery ... window closed in the turn of
the last delivery ... ``Complete`` for the trigger ... its delivery ... blocked callers that it
ended.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from rescind.actors.runtime import Actor, Outbox
from rescind.actors.runtime._numbers import numbers_kept
from rescind.actors.runtime._ranges import count_in, numbers_in, to_ranges
from rescind.events import (
    Accepted,
    AnswerIgnored,
    Born,
    CallOpened,
    Cancel,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Closed,
    Complete,
    Completed,
    CompletionScript,
    Delivered,
    Discarded,
    Entry,
    How,
    Killed,
    Manner,
    Opened,
    Origin,
    Outcome,
    Ranges,
    Received,
    Rejected,
    Returned,
    ScriptRaised,
    ScriptReturned,
    ScriptRunning,
    Started,
    StateChanged,
    Submit,
    TimedOut,
    WorkStopped,
)

from ._call import Call
from ._lane import Lane, News, Turnstile
from ._request import COMPLETED, DELIVERED, DISCARDED, OUTSTANDING, RUNNING, Request, Status
from ._rules import Refusal
from ._window import CancelWindow


class Endpoint(Actor):
    """What every dialect's endpoint shares.  Methods run under the baton unless they say so."""

    __slots__ = (
        "_changed", "_class", "_newborn", "_next_window", "_opened_at", "calls", "is_closed",
        "lane", "opened", "requests", "state", "windows",
    )  # fmt: skip

    RUNS_HANDLERS = False

    REQUEST: ClassVar[type[Request]] = Request
    """The class of its requests."""

    requests: dict[int, Request]
    """Requests neither delivered nor discarded, in the order of submission and of numbers."""
    windows: dict[int, CancelWindow]
    """Cancels under way, by number; a closed one stays until its trigger has completed."""
    state: int
    """The dialect's state."""
    lane: Lane
    calls: dict[int, Call]
    """Calls that are open, by number."""
    opened: Opened | None
    """Its birth: which dialect it speaks, under which profile, through which driver."""
    is_closed: bool

    def __init__(self) -> None:
        """Be empty."""
        self.requests = {}
        self.windows = {}
        self.state = 0
        self.lane = Lane(self)
        self.calls = {}
        self._class = 0
        self.opened = None
        # The turns that opened it and that changed its state last, for keyframes.
        self._opened_at = 0
        self._changed = 0
        self.is_closed = False
        # What the running turn made and its events will put in place.
        self._newborn: Request | None = None
        self._next_window: CancelWindow | None = None

    # --- what a dialect answers ------------------------------------------------------------------

    def submit(self, message: Submit, extra: Any, out: Outbox) -> Request | Refusal:
        """Admit or refuse an operation; ``extra`` is what the caller passed beside the message."""
        raise NotImplementedError

    def answered(self, request: Request, code: int | None, value: Any, out: Outbox) -> None:
        """Decide what the outside's answer to an outstanding request means."""
        raise NotImplementedError

    def received(self, request: Request, message: Received, out: Outbox) -> None:
        """Decide what becomes of data that came for an armed receive."""
        raise NotImplementedError

    def cancel_victim(self, request: Request, cancel: int, out: Outbox) -> None:
        """Complete a victim of a cancel."""
        raise NotImplementedError

    def time_out(self, request: Request, out: Outbox) -> None:
        """Decide what follows from a request's time-out."""
        raise NotImplementedError

    def end(self, request: Request, code: int | None, out: Outbox) -> None:
        """Complete the request that a cancel was, or whose time-out started it."""
        raise NotImplementedError

    def window_closed(self, window: CancelWindow, code: int | None, out: Outbox) -> None:
        """Decide what follows when a window closes."""
        raise NotImplementedError

    def input_returned(self, request: Request, out: Outbox) -> None:
        """Decide what follows when the script for received data has returned."""
        raise NotImplementedError

    def still_tells(self, delivery: Request | News) -> bool:
        """Tell whether the application still hears of this delivery.  No baton."""
        del delivery
        return True

    def answer_ignored(self, request: Request, code: int | None, out: Outbox) -> None:
        """Decide what an answer means that came when its request had ended."""
        out.events.append(AnswerIgnored(request.number, code))

    def lane_of(self, request: Request) -> Lane:
        """Return where a request's completion queues up; one lane serves all by default."""
        del request
        return self.lane

    def manner(self, request: Request) -> Manner:
        """Tell how the application will hear of a completion.  No baton."""
        raise NotImplementedError

    def has_script(self, request: Request) -> bool:
        """Tell whether the application's code hears of a completion.  No baton."""
        return request.asynchronous

    def call_script(self, request: Request, manner: Manner) -> None:
        """Call the application with a completion.  No baton; raises what the script raises."""
        raise NotImplementedError

    def script_raised(self, error: Exception, where: str) -> None:
        """Tell the application that its script raised.  No baton."""
        raise NotImplementedError

    def failure(self, request: Request) -> Exception:
        """Return the dialect's exception for a completed request.  No baton."""
        raise NotImplementedError

    # --- turns -----------------------------------------------------------------------------------

    def receive(self, message: tuple[Any, ...], out: Outbox) -> Any:
        """Take one message."""
        if type(message) is Submit:
            return self.submit(message, out.extra, out)
        match message:
            case CompletionScript(requests, running, manner):
                self._deliver(requests, manner, out, running=running)
            case Returned(number, error):
                self._script_came_back(number, error, out)
            case Killed(cancel, code, _, spared):
                self._driver_stopped(cancel, code, spared, out)
            case _:
                return super().receive(message, out)
        return None

    def accept(
        self,
        out: Outbox,
        operation: str,
        message: Submit,
        spec: Any,
        *,
        started: bool = True,
        handle: int = 0,
    ) -> Request:
        """Admit a request: it is born in the running turn.

        Args:
            out: the running turn.
            operation: the row of the dialect's table.
            message: what the application called.
            spec: the application's callback spec.
            started: whether the driver gets it in this turn.
            handle: the dialect's own name for it, if it has one.
        """
        runtime = self.runtime
        number = runtime.next_number()
        request = self._newborn = self.REQUEST(
            self, number, operation, message.arguments, spec, asynchronous=message.asynchronous
        )
        out.events.append(
            Accepted(
                number,
                self.number,
                operation,
                message.asynchronous,
                message.timeout_ns,
                started,
                0,
                handle,
            ),
        )
        request.timeout_ns = message.timeout_ns
        if message.timeout_ns is not None:
            self.arm(request, message.timeout_ns)
        return request

    def refuse(self, out: Outbox, operation: str, refusal: Refusal) -> Refusal:
        """Refuse a request; it gets its number all the same, so that it can be asked about."""
        number = self.runtime.next_number()
        out.events.append(
            Rejected(number, self.number, operation, refusal.code, refusal.rule),
        )
        return replace(refusal, request=number)

    def arm(self, request: Request, timeout_ns: int) -> None:
        """Start the request's time-out, or start it anew."""
        runtime = self.runtime
        if request.timer is not None:
            request.timer.cancel()
        request.timer = runtime.arm(
            timeout_ns,
            lambda: runtime.post(request, TimedOut(request.number), Origin.TIMER, request.turn),
        )

    def begin_cancel(
        self,
        out: Outbox,
        trigger: str,
        by: Request,
        window: CancelWindow,
        late: Iterable[Request] = (),
    ) -> None:
        """Open a cancel's window; the dialect adds the effect that stops its driver.

        Args:
            out: the running turn.
            trigger: the operation that asks, or what kind of time-out.
            by: the request that asked, or timed out.
            window: the cancel, with its victims.
            late: completed requests in the cancel's scope, which it came too late for.
        """
        self._next_window = window
        targets = list(window.victims)
        if window.timed_out is not None and window.timed_out is window.trigger:
            targets.append(window.timed_out)  # it hears last: its completion is the cancel's end
        numbers = to_ranges([each.number for each in targets])
        out.events.append(CancelRequested(window.cancel, self.number, trigger, by.number))
        out.events.append(CancelBegan(window.cancel, numbers))
        for request in targets:
            if request.doomed in self.windows:
                lost = (request.doomed, request.number, Outcome.SUPERSEDED, window.cancel)
                out.events.append(CancelOutcome(*lost))
        for request in late:
            out.events.append(CancelOutcome(window.cancel, request.number, Outcome.TOO_LATE))

    def _driver_stopped(
        self, cancel: int, code: int | None, spared: Sequence[int], out: Outbox
    ) -> None:
        """Let every victim that is left complete, in a turn of its own; what is spared runs on."""
        window = self.windows.get(cancel)
        if window is None:
            return  # disposed of meanwhile
        out.events.append(WorkStopped(cancel, code))
        left = [
            each for each in window.victims if each.status is OUTSTANDING and each.doomed == cancel
        ]
        waiting = window.waiting
        if spared:
            for request in [each for each in left if each.number in spared]:
                out.events.append(CancelOutcome(cancel, request.number, Outcome.IGNORED))
                waiting -= window.counts(request)
                left.remove(request)
        if left:
            out.broadcast.append((left, Cancel(cancel)))
        if waiting == 0:
            self._end_window(window, code, out)

    def won(self, request: Request, code: int, how: How, out: Outbox) -> None:
        """Complete a victim; a blocked caller hears of it behind the cancel's own end."""
        out.events.append(Completed(request.number, code, how, request.doomed))
        request.tell_watchers(out, None)
        window = self.windows.get(request.doomed)
        if request.asynchronous or window is None or window.trigger is None:
            out.effects.append((self.lane_of(request).append, request))
        else:
            out.effects.append((window.held.append, request))

    def window_of(self, trigger: Request) -> CancelWindow | None:
        """Return the cancel whose end this request's completion is: the last that it began.

        A Disconnect that has canceled, and then times out in its driver's hand, began two.
        """
        for window in reversed(self.windows.values()):
            if window.trigger is trigger:
                return window
        return None

    def way_out(self, request: Request) -> tuple[Any, ...]:
        """Return the effect that delivers a completed request, and whoever waited behind it."""
        if self.windows:
            began = [each for each in self.windows.values() if each.trigger is request]
            ended = [each for each in began if not each.is_open]
            if ended:
                return (self._release_trigger, request, ended)
        return (self.lane_of(request).append, request)

    def _release_trigger(self, request: Request, windows: list[CancelWindow]) -> None:
        """Deliver the end of a cancel, then the blocked callers it ended.  Committers call it."""
        lane = self.lane_of(request)
        lane.append(request)
        if not request.asynchronous and any(window.held for window in windows):
            lane.append(Turnstile(request))
        for window in windows:
            self._release_held(window)

    def _release_held(self, window: CancelWindow) -> None:
        for victim in window.held:
            self.lane_of(victim).append(victim)

    def _deliver(self, ranges: Ranges, manner: str, out: Outbox, *, running: bool) -> None:
        # A thread may dispose of the endpoint just as a script is about to be called.
        known = [number for number in numbers_in(ranges) if number in self.requests]
        if len(known) < count_in(ranges):
            ranges, running = to_ranges(known), running and ranges[-1] in self.requests
        if running:
            out.events.append(ScriptRunning(ranges[-1]))
        out.events.append(Delivered(ranges, manner))
        if self.windows:
            self.count_down(known[:-1] if running else known, out)

    def _script_came_back(self, number: int, error: str | None, out: Outbox) -> None:
        if error is not None:
            out.events.append(ScriptRaised(number, error))
        request = self.requests.get(number)
        if request is None:
            return
        if request.status is OUTSTANDING:
            self.input_returned(request, out)
        elif request.status is RUNNING:
            out.events.append(ScriptReturned(number))
            self.count_down([number], out)

    def count_down(self, returned: list[int], out: Outbox) -> None:
        """Close a window with its last victim: its script returned, or nobody will hear of it."""
        requests = self.requests
        for window in self.windows.values():
            # Counted only when they may be the last: each victim of a cancel comes through here.
            if window.is_open and window.is_stopped and len(returned) >= window.waiting:
                count = sum(window.counts(requests[number]) for number in returned)
                if count and count == window.waiting:
                    self._end_window(window, window.code, out)

    def _end_window(self, window: CancelWindow, code: int | None, out: Outbox) -> None:
        out.events.append(CancelEnded(window.cancel, code))
        trigger = window.trigger
        if trigger is None or trigger.status is OUTSTANDING:
            self.window_closed(window, code, out)
        else:
            # It was answered, or dropped, while the cancel it began was under way.
            out.effects.append((self._release_held, window))

    def tell_trigger(self, window: CancelWindow, code: int | None, out: Outbox) -> None:
        """Let the request complete whose completion is the end of the cancel."""
        if window.trigger is not None:
            out.urgent.append((window.trigger, Complete(code), None))

    @property
    def cancels(self) -> int:
        """How many cancels have begun and not ended."""
        return sum(window.is_open for window in self.windows.values())

    # --- keyframes -------------------------------------------------------------------------------

    def entries(self) -> Iterator[Entry | None]:
        """Tell of itself, its calls and its requests, each as it stands when it is asked for."""
        if self.opened is not None and not self.is_closed:
            yield Entry(self.number, self._class, self._told(self.opened))
        for kept in (self.calls, self.requests):
            # Born in the order of their numbers, so that the first of them is the lowest.
            first = next(iter(kept), 0)
            for number in numbers_kept(kept, first, self.runtime.log.actors_next):
                yield None if number is None else kept[number].entry()

    def _told(self, opened: Opened) -> dict[str, Any]:
        return {
            "kind": "endpoint",
            "dialect": opened.dialect,
            "profile": opened.profile,
            "driver": opened.driver,
            "state": self.state,
            "opened": self._opened_at,
            "changed": self._changed,
            "windows": [window.told() for window in self.windows.values()],
        }

    # --- facts -----------------------------------------------------------------------------------

    def _apply_born(self, event: Born, _: int) -> None:
        self._class = event.cls

    def _apply_opened(self, event: Opened, number: int) -> None:
        self.opened = event
        self._opened_at = number
        self.runtime.units[self.number] = self

    def _apply_accepted(self, event: Accepted, number: int) -> None:
        request, self._newborn = self._newborn, None
        assert request is not None, "an Accepted without its request"
        request.turn = number
        request.is_started = event.started
        self.requests[event.request] = request
        if event.call:
            self.calls[event.call].requests[event.request] = request

    def _apply_completed(self, event: Completed, number: int) -> None:
        request = self.requests[event.request]
        request.status = COMPLETED
        _, request.code, request.how, request.by, request.value = event
        request.turn = number
        if request.timer is not None:
            request.timer.cancel()
        if self.windows:
            self._forget_windows(request)
        if self.calls:
            for call in self.calls.values():
                call.requests.pop(event.request, None)

    def _forget_windows(self, trigger: Request) -> None:
        """Forget the closed cancels whose end has completed."""
        ended = [
            each.cancel
            for each in self.windows.values()
            if each.trigger is trigger and not each.is_open
        ]
        for cancel in ended:
            del self.windows[cancel]

    def _apply_running(self, event: ScriptRunning, _: int) -> None:
        self.requests[event.request].status = RUNNING

    def _apply_delivered(self, event: Delivered, _: int) -> None:
        requests = self.requests
        for number in numbers_in(event.requests):
            request = requests[number]
            if request.status is not RUNNING:
                self._let_go(request, DELIVERED)

    def _apply_returned(self, event: ScriptReturned, _: int) -> None:
        self._let_go(self.requests[event.request], DELIVERED)

    def _let_go(self, request: Request, status: Status) -> None:
        del self.requests[request.number]
        if request.doomed:
            window = self.windows.get(request.doomed)
            if window is not None and window.counts(request):
                window.waiting -= 1
        request.finish(status)

    def _apply_discarded(self, event: Discarded, _: int) -> None:
        for number in numbers_in(event.requests):
            self._let_go(self.requests[number], DISCARDED)

    def _apply_began(self, event: CancelBegan, number: int) -> None:
        window, self._next_window = self._next_window, None
        assert window is not None, "a CancelBegan without its window"
        self.windows[event.cancel] = window
        window.turn = number
        for request in window.victims:
            if request.doomed:
                self._supersede(request)
            request.doomed = event.cancel
        if window.timed_out is not None:
            window.timed_out.doomed = event.cancel

    def _supersede(self, request: Request) -> None:
        """A later cancel takes a victim over; the earlier one waits for it no more."""
        earlier = self.windows.get(request.doomed)
        if earlier is not None and earlier.counts(request):
            earlier.waiting -= 1

    def _apply_started(self, event: Started, _: int) -> None:
        """What a cancel held back goes on: its completion is not due yet."""
        if event.request in self.requests:
            self.requests[event.request].is_started = True
        for window in self.windows.values():
            if window.trigger is not None and window.trigger.number == event.request:
                window.is_ending = False

    def is_ending(self, request: Request) -> bool:
        """Tell whether a request has been told to complete, as the end of a cancel."""
        return any(each.is_ending and each.trigger is request for each in self.windows.values())

    def _apply_outcome(self, event: CancelOutcome, _: int) -> None:
        """A duplicate of a cancel by that cancel's own trigger: its end is now a time-out's.

        A victim that ignores its cancel is none any more.
        """
        if event.outcome == Outcome.IGNORED and event.target in self.requests:
            self._supersede(self.requests[event.target])
            self.requests[event.target].doomed = 0
        window = self.windows.get(event.other)
        trigger = None if window is None else window.trigger
        is_own = trigger is not None and trigger.number == event.target
        if window is not None and is_own and event.outcome == Outcome.DUPLICATE:
            window.timed_out = trigger

    def _apply_stopped(self, event: WorkStopped, _: int) -> None:
        window = self.windows[event.cancel]
        window.is_stopped = True
        window.code = event.code

    def _apply_ended(self, event: CancelEnded, _: int) -> None:
        window = self.windows.get(event.cancel)
        if window is None:
            return  # it never began
        window.is_open = False
        window.is_ending = True
        if window.trigger is None or window.trigger.status is not OUTSTANDING:
            del self.windows[event.cancel]

    def _apply_state(self, event: StateChanged, number: int) -> None:
        if event.subject == self.number:
            self.state, self._changed = event.new, number
        elif event.subject in self.calls:
            call = self.calls[event.subject]
            call.state, call.changed = event.new, number

    def _apply_call(self, event: CallOpened, number: int) -> None:
        self.calls[event.call] = Call(self, event.call, number)

    def _apply_closed(self, event: Closed, _: int) -> None:
        if event.subject == self.number:
            self.is_closed = True
            self.windows.clear()
            if self._actor_ref is not None:
                self._actor_ref.end()
        self.calls.pop(event.subject, None)


Endpoint.FACTS = {
    Born: Endpoint._apply_born,  # noqa: SLF001  # this table is part of the class
    Opened: Endpoint._apply_opened,  # noqa: SLF001
    Accepted: Endpoint._apply_accepted,  # noqa: SLF001
    Completed: Endpoint._apply_completed,  # noqa: SLF001
    ScriptRunning: Endpoint._apply_running,  # noqa: SLF001
    Delivered: Endpoint._apply_delivered,  # noqa: SLF001
    ScriptReturned: Endpoint._apply_returned,  # noqa: SLF001
    Discarded: Endpoint._apply_discarded,  # noqa: SLF001
    CancelBegan: Endpoint._apply_began,  # noqa: SLF001
    Started: Endpoint._apply_started,  # noqa: SLF001
    CancelOutcome: Endpoint._apply_outcome,  # noqa: SLF001
    WorkStopped: Endpoint._apply_stopped,  # noqa: SLF001
    CancelEnded: Endpoint._apply_ended,  # noqa: SLF001
    StateChanged: Endpoint._apply_state,  # noqa: SLF001
    CallOpened: Endpoint._apply_call,  # noqa: SLF001
    Closed: Endpoint._apply_closed,  # noqa: SLF001
}

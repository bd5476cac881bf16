"""The ledger of a log whose beginning is gone: a keyframe says who is who.

What a number stands for never changes, and no number is given twice.  So the first keyframe behind
a loss may say what something is that was born in it or before it, whenever it was written.

It names, and nothing more.  What happened is told by turns alone: nothing that they say is
overwritten and no event is made up, so a submission that is gone stays unknown, and the laws are
open there.

Whoever ended before the keyframe came stands in none.  Where a turn shows whose it was, it is
taken from there.
"""

from typing import Any, NamedTuple

from rescind.events import (
    CancelEnded,
    Completed,
    Delivered,
    Entry,
    LogReader,
    Turn,
    WorkStopped,
)

from .dialects import TIME_OUT
from .lives import Before, CallLife, EndpointLife, RequestLife
from .model import BY_A_CANCEL, ClassName, Ledger


class _Told(NamedTuple):
    """A request as a keyframe tells of it."""

    endpoint: int
    operation: str
    asynchronous: bool
    timeout_ns: int | None
    completed: Before | None


class LedgerFromKeyframe(Ledger):
    """A ledger that looks into a keyframe where turns are missing."""

    def __init__(self, reader: LogReader, class_name: ClassName | None = None) -> None:
        """Start with nothing known; a keyframe is looked for when something is missing."""
        super().__init__(class_name or reader.class_name)
        self._reader = reader
        self._told: dict[int, _Told] = {}
        # Requests wait here until a turn speaks of them.  Were those among them taken at once that
        # are born later in the log, their birth would look like a second one.

    def _jump(self, turn: Turn) -> None:
        blind_before = self.blind_before
        super()._jump(turn)
        if self.blind_before != blind_before:
            self.look_behind(turn.number - 1)

    def place(self, event: Any, turn: Turn) -> None:
        """See whose an event is, where turns are missing that told."""
        is_endpoints = turn.actor in self.endpoints
        match event:
            case Delivered(requests=ranges) if is_endpoints:
                for number in self.among(ranges):
                    request = self.request(number)
                    request.endpoint = request.endpoint or turn.actor
            case WorkStopped(cancel=number) | CancelEnded(cancel=number) if is_endpoints:
                cancel = self.cancel(number)
                cancel.endpoint = cancel.endpoint or turn.actor
            case Completed(request=number, how=how, by=by) if how in BY_A_CANCEL:
                self._place_victim(self.request(number), by)
            case _:
                pass

    def _place_victim(self, request: RequestLife, by: int) -> None:
        cancel = self.cancels.get(by)
        if cancel is not None:
            request.endpoint = request.endpoint or cancel.endpoint
            if cancel.began is None and request.completed is None:
                cancel.victims.append(request.number)
                cancel.owed += 1

    def look_behind(self, number: int) -> None:
        """Learn who is who from the first keyframe that shows the state behind a turn."""
        keyframe = self._reader.keyframe(behind=number)
        if keyframe is None:
            return
        endpoints: list[Entry] = []
        for _, entry in self._reader.entries(keyframe):
            if entry.cls > 0:
                self.classes.setdefault(entry.actor, (keyframe.epoch, entry.cls))
            match entry.state:
                case {"kind": "endpoint"}:
                    endpoints.append(entry)
                case {"kind": "request"}:
                    self._hear_of_request(entry)
                case {"kind": "call", "endpoint": int(endpoint), "state": int(state)}:
                    self.calls.setdefault(entry.actor, CallLife(entry.actor, endpoint, state=state))
                case _:
                    pass
        for entry in endpoints:  # now that the requests are known that their cancels began with
            self._hear_of_endpoint(entry)

    def meet(self, number: int) -> None:
        """Take a request over that a keyframe told of, because something is said of it."""
        if number in self._told:
            self.request(number)

    def end(self) -> None:
        """Take over what no turn spoke of: it was there all the time."""
        for number in list(self._told):
            self.request(number)

    def request(self, number: int) -> RequestLife:
        """Return a request; where its submission is gone, as a keyframe tells of it."""
        found = super().request(number)
        told = self._told.pop(number, None)
        if told is not None:
            self._name(found, told)
        return found

    def owner_of(self, number: int) -> int:
        """Return the endpoint of a request or call; any other number is an endpoint's own."""
        self.meet(number)
        return super().owner_of(number)

    def label(self, number: int) -> str:
        """Return what to call an actor."""
        self.meet(number)
        return super().label(number)

    # --- what a keyframe tells -------------------------------------------------------------------

    def _name(self, request: RequestLife, told: _Told) -> None:
        if request.submitted is None:
            request.endpoint, request.operation = told.endpoint, told.operation
            request.asynchronous, request.timeout_ns = told.asynchronous, told.timeout_ns
            if not request.is_settled:
                self.endpoint(request.endpoint).pending.add(request.number)
        done = told.completed
        if request.completed is None and done is not None and done.turn < self.blind_before:
            request.before = done

    def _hear_of_request(self, entry: Entry) -> None:
        match entry.state:
            case {
                "endpoint": int(endpoint),
                "operation": str(operation),
                "asynchronous": bool(asynchronous),
                "timeout_ns": int() | None as timeout_ns,
            }:
                done = _completion(entry.state)
                told = _Told(endpoint, operation, asynchronous, timeout_ns, done)
                self._told.setdefault(entry.actor, told)
            case _:
                pass

    def _hear_of_endpoint(self, entry: Entry) -> None:
        found = self.endpoint(entry.actor)
        match entry.state:
            case {
                "dialect": str(dialect),
                "profile": str(profile),
                "driver": str(driver),
                "state": int(state),
                "windows": tuple(),
            }:
                if found.opened is None:
                    found.dialect, found.profile, found.driver = dialect, profile, driver
                found.state = state if found.state is None else found.state
                for window in entry.state["windows"]:
                    self._hear_of_window(window, found)
            case _:
                pass

    def _hear_of_window(self, window: Any, endpoint: EndpointLife) -> None:
        """A cancel that was under way where turns are missing; its end, if it comes, is told."""
        match window:
            case {
                "cancel": int(number),
                "began": int(began),
                "trigger": int(trigger),
                "timed_out": int(timed_out),
                "open": bool(is_open),
            } if began < self.blind_before:
                cancel = self.cancel(number)
                if cancel.requested is None:
                    cancel.endpoint = cancel.scope = endpoint.number
                    cancel.asked_by = timed_out or trigger
                    operation = self.request(trigger).operation if trigger else ""
                    cancel.trigger = TIME_OUT if timed_out else operation
                if is_open and cancel.ended is None and number not in endpoint.windows:
                    endpoint.windows.append(number)
            case _:
                pass


def _completion(state: Any) -> Before | None:
    match state:
        case {"completed": int(turn), "code": int() | None as code, "how": int(how)}:
            return Before(turn, code, how)
        case _:
            return None

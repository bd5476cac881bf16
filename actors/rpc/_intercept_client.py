"""The client interceptors of the synchronous stack, and what both stacks share of a client's call.

A call object stays the object that gRPC made: it is an exception, a future and an iterator at once,
and applications rely on each.  Only its ``cancel`` gets a step in front, on the object itself, with
nothing that would keep the object alive: gRPC cancels a call that nobody holds any more.
"""

import copy
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import grpc

from rescind.actors.runtime import Runtime, describe
from rescind.events import Origin

from ._intercept import HANDLING, Handling, Once, Recorder, Seen, value_of
from ._intercept_who import asking
from ._status import CALL, CALL_KEY, CAUSE_KEY, Source, Status, Trigger

CHANNEL_CLOSED = "Channel closed!"
LOCALLY = "Locally cancelled by application!"
"""What gRPC says of a call whose channel the application has closed, or that it has cancelled."""


class ClientCall:
    """One call of the application's, from its client's side."""

    __slots__ = ("_asked", "_due_s", "_ends", "_recorder", "_serving", "mark", "request")

    def __init__(self, recorder: Recorder, method: str, timeout_s: float | None) -> None:
        """Record that it begins.

        Raises:
            RescindError: Nothing is recorded any more.
        """
        self._recorder = recorder
        self._serving = HANDLING.get()
        self._due_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._asked: tuple[Seen | None, str] | None = None
        self._ends = Once()
        by = asking(recorder.runtime)
        self.request = recorder.begin(CALL, (method,), timeout_s, Origin.APP, by=by)
        self.mark = recorder.mark(self.request.number, self.request.turn)

    @property
    def serving(self) -> Handling | None:
        """Return the handler that it was made in, if it was."""
        return self._serving

    # --- how it ends -----------------------------------------------------------------------------

    def will_cancel(self, reason: str = "") -> None:
        """Note who cancels it now; it is not known yet whether that comes in time."""
        if self._asked is None:
            self._asked = (asking(self._recorder.runtime), reason)

    def note_cancel(self, by: Seen | None, reason: str) -> None:
        """Note who cancels what awaits it."""
        self._asked = (by, reason)

    def cancelled(self) -> None:
        """Record that it was cancelled on this side, if nothing else was quicker."""
        if self._ends():
            by, reason = self._asked or (None, "")
            cause = self._recorder.parent_of(self._serving)
            trigger = Trigger.CANCEL if cause is None else Trigger.PARENT
            self._recorder.cancel(self.request, trigger, reason, cause=cause, by=by)

    def cancelled_late(self) -> None:
        """Record a cancel that found the call over."""
        self._recorder.cancel(self.request, Trigger.CANCEL, by=asking(self._recorder.runtime))

    def dropped(self) -> None:
        """Record that nobody held it any more, if nothing else was quicker."""
        if self._ends():
            turn = self.request.turn
            self._recorder.cancel(self.request, Trigger.DROPPED, origin=Origin.IO, cause=turn)

    def ended(self, code: int, details: str, trailers: Any) -> None:
        """Record the status that it got, if nothing else was quicker."""
        mark = _mark_in(trailers)
        is_ours = self._asked is not None or details == LOCALLY
        if code == Status.CANCELLED and mark is None and is_ours:
            self.cancelled()
        elif self._ends():
            cause = self._recorder.cause_of(mark, 1) or None
            source = self._source(code, details, is_marked=cause is not None)
            self._recorder.end(self.request, code, source, details, cause)

    def failed(self, error: BaseException) -> None:
        """Record that it was not made, or that its caller was interrupted."""
        if not isinstance(error, Exception):
            self._asked = (None, describe(error))
            self.cancelled()
        elif self._ends():
            self._recorder.end(self.request, Status.INTERNAL, Source.HERE, describe(error), None)

    def _source(self, code: int, details: str, *, is_marked: bool) -> Source:
        if is_marked:
            return Source.PEER
        if code == Status.CANCELLED and details == CHANNEL_CLOSED:
            return Source.CHANNEL
        if code == Status.DEADLINE_EXCEEDED and self._due_s is not None:
            # Another clock than gRPC's, which may be a little ahead.
            return Source.HERE if time.monotonic() > self._due_s - EARLY_S else Source.PEER
        return Source.HERE


EARLY_S = 0.05
"""So much before its time a deadline counts as passed."""


def _mark_in(trailers: Any) -> object:
    """Return what our server interceptor says about the end, if there is one."""
    return next((value for key, value in trailers or () if key == CAUSE_KEY), None)


def with_mark(details: Any, metadata: Any) -> Any:
    """Return the details of a call with other metadata, whoever made them."""
    if hasattr(details, "_replace"):
        return details._replace(metadata=metadata)
    changed = copy.copy(details)
    changed.metadata = metadata
    return changed


# --- the synchronous stack -----------------------------------------------------------------------


class ClientInterceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Records the calls of a channel."""

    def __init__(self, runtime: Runtime, label: str) -> None:
        """Record in the log of ``runtime``."""
        self._recorder = Recorder(runtime, label)

    def _intercept(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        recorder = self._recorder
        watched = recorder.safely(ClientCall, recorder, details.method, details.timeout)
        if watched is None:
            return continuation(details, request)
        metadata = (*(details.metadata or ()), (CALL_KEY, watched.mark))
        try:
            call = continuation(with_mark(details, metadata), request)
        except BaseException as error:
            recorder.safely(watched.failed, error)
            raise
        recorder.safely(_watch, call, watched, recorder)
        return call

    intercept_unary_unary: Any = _intercept
    intercept_unary_stream: Any = _intercept
    intercept_stream_unary: Any = _intercept
    intercept_stream_stream: Any = _intercept


def _watch(call: Any, watched: ClientCall, recorder: Recorder) -> None:
    """Hear of the end of a call, and of who cancels it."""
    if call.done():
        _record_end(call, watched)
        return
    reference = weakref.ref(call)
    end = partial(_end, reference, watched, recorder)
    cancel = cast("Any", type(call)).cancel
    call.cancel = partial(_cancel, reference, cancel, watched, recorder)
    if not call.add_callback(end):
        _record_end(call, watched)


def _end(reference: Callable[[], Any], watched: ClientCall, recorder: Recorder) -> None:
    """Record how a call ended; gRPC calls it, in a thread of its own."""
    call = reference()
    if call is None:
        recorder.safely(watched.dropped)
    else:
        recorder.safely(_record_end, call, watched)


def _record_end(call: Any, watched: ClientCall) -> None:
    watched.ended(value_of(call.code()), call.details() or "", call.trailing_metadata())


def _cancel(
    reference: Callable[[], Any],
    cancel: Callable[[Any], bool],
    watched: ClientCall,
    recorder: Recorder,
) -> bool:
    """Stand before ``cancel`` of a call."""
    call = reference()
    if call is None:
        return False
    recorder.safely(watched.will_cancel)
    is_cancelled = cancel(call)
    if is_cancelled:
        recorder.safely(watched.cancelled)
    else:
        recorder.safely(_record_end, call, watched)
        recorder.safely(watched.cancelled_late)
    return is_cancelled


def client_interceptors(
    runtime: Runtime, *, label: str = "grpc client"
) -> list[grpc.UnaryUnaryClientInterceptor]:
    """Return what records the calls of a channel, for ``grpc.intercept_channel(channel, *these)``.

    The application's calls, results, exceptions and cancels stay what they are; if nothing can be
    recorded, they go on all the same.

    Args:
        runtime: Whose log tells of the calls.
        label: What the log calls the channel.

    Raises:
        RescindError: The runtime is closed, or its log has failed.
    """
    return [ClientInterceptor(runtime, label)]

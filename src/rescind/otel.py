"""OpenTelemetry: a request is a span, its cause a link, a cancel an event with its trigger.

    from rescind.otel import trace

    trace(runtime)

It stands in the package's face, above all rooms: none of them knows OpenTelemetry, which comes with
the extra ``otel``.  What a span shows is what the log shows of its request, except for what the
application's values say: neither messages nor results nor the texts of exceptions leave the log.
"""

from collections import OrderedDict
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from opentelemetry import context as contexts
from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, StatusCode, Tracer, TracerProvider

from rescind.actors.runtime import Outbox, Runtime, WireCause
from rescind.actors.runtime._actor import short_name
from rescind.actors.runtime._context import place_by
from rescind.actors.runtime._ranges import numbers_in
from rescind.events import (
    Accepted,
    Answer,
    Asked,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Completed,
    CompletionScript,
    Delivered,
    Discarded,
    How,
    InputScript,
    Origin,
    Ranges,
    Received,
    Rejected,
    Resume,
    Returned,
    Serve,
    Submit,
    TimedOut,
)

__all__ = ["trace"]

RECENT_MAX = 4096
"""So many turns, and requests that have ended, are remembered for those that they cause."""

_Attributes = dict[str, str | int]
_ONE_REQUEST = (Answer, InputScript, Received, Returned, Serve, TimedOut)
"""Messages that name the request that they are about."""
_NO_ERROR = (How.RESULT, How.CANCELLED)
"""A cancelled request is no error: somebody wanted it to end, and a rate of errors should count
what nobody wanted, such as a time-out."""


def trace(runtime: Runtime, *, tracer_provider: TracerProvider | None = None) -> None:
    """Make a span of each request that ``runtime`` accepts from here on, and of each it refuses.

    Args:
        runtime: a runtime, best one that was just opened: requests that it has accepted already
            get no span.
        tracer_provider: where the spans go; by default the application's own provider.

    Spans begin and end, and their processors are called, under the runtime's baton: take a
    processor that hands them on and returns, such as ``BatchSpanProcessor``.

    Raises:
        UsageError: the runtime is traced already.
        RuntimeClosedError: it is closed.
    """
    tracer = api.get_tracer("rescind", _version(), tracer_provider)
    runtime.set_observer(_Spans(runtime, tracer))


def _version() -> str:
    try:
        return version("rescind")
    except PackageNotFoundError:  # a checkout that is not installed
        return ""


class _Open:
    """A request that is neither delivered nor discarded."""

    __slots__ = ("around", "is_completed", "span")

    def __init__(self, span: Span, around: Context) -> None:
        self.span = span
        self.around = around
        """The context that it was asked in."""
        self.is_completed = False

    @property
    def context(self) -> Context:
        """The context of what is done for its sake."""
        return api.set_span_in_context(self.span, self.around)


class _Cancel(NamedTuple):
    """A cancel that has not ended."""

    scope: int
    request: SpanContext | None
    """The request that asked for it, or whose time-out did."""
    attributes: _Attributes


class _Recent(OrderedDict[int, SpanContext]):
    """The latest so many spans, by a number."""

    def remember(self, number: int, span: SpanContext) -> None:
        self[number] = span
        if len(self) > RECENT_MAX:
            self.popitem(last=False)


class _Spans:
    """The spans of one runtime: an ``Observer``."""

    def __init__(self, runtime: Runtime, tracer: Tracer) -> None:
        self._runtime = runtime
        self._tracer = tracer
        self._log = runtime.log_id.hex()
        self._open: dict[int, _Open] = {}
        self._cancels: dict[int, _Cancel] = {}
        self._by_scope: dict[int, _Cancel] = {}
        """The cancel that began last, of those under way in an endpoint."""
        self._ended = _Recent()
        """By request."""
        self._turns = _Recent()
        """By turn: the request that it was about."""
        self._parents: dict[int, int] = {}
        """By request, in the turn that is being recorded: for whose sake a handler made it."""
        self._served: SpanContext | None = None
        """The request that this turn is about."""
        _ALL[runtime.log_id] = self

    # --- the observer --------------------------------------------------------------------------

    def recorded(self, out: Outbox) -> None:
        """Say of the spans what a turn says of their requests.  The baton is held."""
        self._served = self._about(out)
        self._parents = {each.request: each.parent for each in out.events if type(each) is Asked}
        for event in out.events:
            note = _NOTES.get(type(event))
            if note is not None:
                note(self, event, out)
        if self._served is not None:
            self._turns.remember(out.number, self._served)

    def enter(self, request: int) -> None:
        """Make a request's span the current one in the context of its work."""
        found = self._open.get(request)
        if found is not None:
            contexts.attach(found.context)

    def close(self) -> None:
        """End what nothing can be said of any more, as when the log has failed."""
        while self._open:
            _, left = self._open.popitem()
            if not left.is_completed:
                left.span.set_status(StatusCode.ERROR, "the runtime ended first")
            left.span.end()
        self._cancels.clear()
        self._by_scope.clear()

    # --- whose turn it is ----------------------------------------------------------------------

    def _about(self, out: Outbox) -> SpanContext | None:
        """Return the span of the request that a turn is about."""
        message: Any = out.message
        kind: type = type(out.message)
        if kind in _ONE_REQUEST:
            return self._of(message.request)
        if kind is CompletionScript:
            return self._of(message.requests[-1])
        if kind is Resume:
            return self._turns.get(message.part)
        return self._of(out.actor.number)

    def _of(self, request: int) -> SpanContext | None:
        """Return the span of a request, also of one that has ended lately."""
        found = self._open.get(request)
        return self._ended.get(request) if found is None else found.span.get_span_context()

    def _cause(self, cause: WireCause) -> SpanContext | None:
        """Return the span of the request that a causing turn was about."""
        if isinstance(cause, int):
            return self._turns.get(cause)
        log, number = cause
        if isinstance(log, int):
            return self._of(number)
        other = _ALL.get(log)
        return None if other is None else other._turns.get(number)  # noqa: SLF001  # ours

    # --- events --------------------------------------------------------------------------------

    def _accepted(self, event: Accepted, out: Outbox) -> None:
        around = self._around(event.request, out)
        span = self._start(event, out, around, actor=event.call)
        self._open[event.request] = _Open(span, around)

    def _around(self, request: int, out: Outbox) -> Context:
        """Return the context that a request was asked in."""
        if request in self._parents:
            parent = self._open.get(self._parents[request])
            return Context() if parent is None else parent.context
        if _is_call(out):
            return contexts.get_current()
        if self._served is None:
            return Context()
        return api.set_span_in_context(api.NonRecordingSpan(self._served), Context())

    def _start(
        self,
        event: Accepted | Rejected,
        out: Outbox,
        around: Context,
        *,
        actor: int = 0,
        cancel: Link | None = None,
    ) -> Span:
        cause = self._cause(out.cause)
        links = [] if cancel is None else [cancel]
        if cause is not None:
            links.append(Link(cause, {"rescind.link": "cause"}))
        return self._tracer.start_span(
            event.operation,
            context=around,
            attributes=self._attributes(event, out, actor),
            links=links,
            start_time=out.now_ns,
        )

    def _attributes(self, event: Accepted | Rejected, out: Outbox, actor: int) -> _Attributes:
        said: _Attributes = {
            "rescind.log": self._log,
            "rescind.turn": out.number,
            "rescind.request": event.request,
            "rescind.endpoint": event.endpoint,
        }
        unit = self._runtime.units.get(event.endpoint)
        if unit is not None and unit.opened is not None:
            said["rescind.dialect"] = unit.opened.dialect
        if actor:
            said["rescind.actor"] = actor
            living = self._runtime.actors.get(actor)
            if living is not None:
                said["rescind.actor_class"] = type(living).__qualname__
        if out.by is not None and _is_call(out):
            by = self._runtime.callers.named(out.by)
            label = "rescind.task" if by.who.startswith("task ") else "thread.name"
            said[label] = by.who.removeprefix("task ")
            said["code.file.path"] = by.file
            said["code.line.number"] = by.line
            said["code.function.name"] = by.function
        return said

    def _rejected(self, event: Rejected, out: Outbox) -> None:
        under_way = self._by_scope.get(event.endpoint)
        link = None
        if under_way is not None and under_way.request is not None:
            link = Link(under_way.request, {"rescind.link": "cancel", **under_way.attributes})
        span = self._start(event, out, self._around(event.request, out), cancel=link)
        span.set_attribute("rescind.code", event.code)
        span.set_attribute("rescind.rule", event.rule)
        span.set_attribute("error.type", str(event.code))
        span.set_status(StatusCode.ERROR, f"refused with {event.code}")
        span.end(out.now_ns)

    def _requested(self, event: CancelRequested, out: Outbox) -> None:
        said: _Attributes = {
            "rescind.cancel": event.cancel,
            "rescind.trigger": event.trigger,
            "rescind.scope": event.scope,
            "rescind.by": self._who(event, out),
        }
        if event.reason:
            said["rescind.reason"] = event.reason
        asked = self._of(event.cancel) or self._of(event.by)
        self._cancels[event.cancel] = _Cancel(event.scope, asked, said)

    def _who(self, event: CancelRequested, out: Outbox) -> str:
        """Say who wants the cancel, as far as its turn knows."""
        if type(out.message) is Submit and isinstance(out.extra, str):
            return out.extra  # as ``Cancelled`` says it
        if out.by is not None:
            return place_by(self._runtime.callers.named(out.by))
        return f"r{event.by}" if event.by else short_name(out.actor)

    def _began(self, event: CancelBegan, out: Outbox) -> None:
        cancel = self._cancels[event.cancel]
        self._by_scope[cancel.scope] = cancel
        said = {**cancel.attributes, "rescind.turn": out.number}
        for number in numbers_in(event.victims):
            self._add(number, "cancel", said, out)

    def _outcome(self, event: CancelOutcome, out: Outbox) -> None:
        cancel = self._cancels.get(event.cancel)
        said: _Attributes = (
            {"rescind.cancel": event.cancel} if cancel is None else {**cancel.attributes}
        )
        said["rescind.outcome"] = str(event.outcome)
        if event.other:
            said["rescind.other"] = event.other
        self._add(event.target, "cancel outcome", {**said, "rescind.turn": out.number}, out)

    def _cancel_ended(self, event: CancelEnded, _out: Outbox) -> None:
        cancel = self._cancels.pop(event.cancel, None)
        if cancel is not None and self._by_scope.get(cancel.scope) is cancel:
            del self._by_scope[cancel.scope]

    def _completed(self, event: Completed, out: Outbox) -> None:
        found = self._open.get(event.request)
        if found is None:
            return
        found.is_completed = True
        how, span = How(event.how), found.span
        name = how.name.lower()
        span.set_attribute("rescind.how", name)
        if event.code is not None:
            span.set_attribute("rescind.code", event.code)
        if how not in _NO_ERROR:
            kind = _error_type(event)
            span.set_attribute("error.type", kind)
            span.set_status(StatusCode.ERROR, name if kind == name else f"{name}: {kind}")
        self._add(event.request, "completed", {"rescind.turn": out.number}, out)

    def _delivered(self, event: Delivered, out: Outbox) -> None:
        self._end(event.requests, "delivered", {"rescind.manner": str(event.manner)}, out)

    def _discarded(self, event: Discarded, out: Outbox) -> None:
        self._end(event.requests, "discarded", {"rescind.reason": event.reason}, out)

    def _end(self, requests: Ranges, name: str, attributes: _Attributes, out: Outbox) -> None:
        said = {**attributes, "rescind.turn": out.number}
        for number in numbers_in(requests):
            self._add(number, name, said, out)
            found = self._open.pop(number, None)
            if found is not None:
                self._ended.remember(number, found.span.get_span_context())
                found.span.end(out.now_ns)

    def _add(self, request: int, name: str, attributes: _Attributes, out: Outbox) -> None:
        found = self._open.get(request)
        if found is not None:
            found.span.add_event(name, attributes, out.now_ns)


_ALL: WeakValueDictionary[bytes, _Spans] = WeakValueDictionary()
"""The spans of each traced runtime of this process, by log: one may cause what another does."""

_NOTES: dict[type, Callable[[_Spans, Any, Outbox], None]] = {
    Accepted: _Spans._accepted,  # noqa: SLF001  # this table is part of the class
    Rejected: _Spans._rejected,  # noqa: SLF001
    CancelRequested: _Spans._requested,  # noqa: SLF001
    CancelBegan: _Spans._began,  # noqa: SLF001
    CancelOutcome: _Spans._outcome,  # noqa: SLF001
    CancelEnded: _Spans._cancel_ended,  # noqa: SLF001
    Completed: _Spans._completed,  # noqa: SLF001
    Delivered: _Spans._delivered,  # noqa: SLF001
    Discarded: _Spans._discarded,  # noqa: SLF001
}
"""What each event of the ledger says of spans."""


def _is_call(out: Outbox) -> bool:
    """Tell whether the application called, in the running thread and context."""
    return out.origin is Origin.APP and type(out.message) is Submit


def _error_type(event: Completed) -> str:
    """Name the kind of a failure without what an exception says in its text."""
    if isinstance(event.value, str):
        kind, colon, _ = event.value.partition(":")
        if colon and kind.isidentifier():
            return kind
    return How(event.how).name.lower() if event.code is None else str(event.code)

"""The application's own actors: handlers by message type, requests, work, events and state."""

import logging
import re
from collections.abc import Callable, Iterable
from functools import cache, partial
from random import Random
from typing import Any, ClassVar, Generic, TypeVar

from rescind.actors import runtime
from rescind.actors.kernel._request import OUTSTANDING
from rescind.actors.runtime import Abandon, Outbox, Reply, Runtime, UsageError
from rescind.actors.runtime._stash import has_stashed
from rescind.events import (
    Accepted,
    Ask,
    CancelBegan,
    CancelEnded,
    Complete,
    Completed,
    CompletionScript,
    Delivered,
    Discarded,
    Drop,
    Manner,
    Serve,
    Submit,
    Tell,
    check_recordable,
    declared_as,
)

from ._errors import refused
from ._protocol import Code
from ._request import Request
from ._requests import Requests, operation_of, requests_of
from ._work import Work

logger = logging.getLogger("rescind.actors")
A = TypeVar("A", bound="Actor")


class ActorRef(runtime.ActorRef[A], Generic[A]):
    """Names an actor and carries messages and requests to it; safe to share between threads."""

    asked: dict[int, Request] | None = None
    """Outstanding requests that the actor was asked."""
    own: dict[int, Request] | None = None
    """Outstanding requests that its handlers made and that belong to no other request."""

    def when_buried(self, message: tuple[Any, ...]) -> Iterable[tuple[Any, tuple[Any, ...]]]:
        """Let a request end that nobody serves, or whose end nobody takes up."""
        if isinstance(message, Serve):
            number = message.request
        elif isinstance(message, CompletionScript):
            number = message.requests[0]
        else:
            return
        request = requests_of(self.runtime).requests.get(number)
        if request is not None:
            yield request, Drop(0, f"a{self.number} {self.actor_class.__name__} stopped")

    def when_dropped(self, message: tuple[Any, ...]) -> Iterable[tuple[Any, tuple[Any, ...]]]:
        """Let a request end that the mailbox dropped."""
        if isinstance(message, Serve):
            request = requests_of(self.runtime).requests.get(message.request)
            if request is not None:
                yield request, Complete(Code.DROPPED)

    def request(
        self,
        message: Any,
        *,
        timeout_s: float | None = None,
        shielded: bool = False,
        sink: str | None = None,
    ) -> Request:
        """Ask the actor something that can be cancelled; what its handler returns is the result.

        Inside a turn it belongs to the request that is being served, and ends with it.

        Args:
            message: What the handler gets.
            timeout_s: It is cancelled when it has not ended after so many seconds.
            shielded: It goes on when the request is cancelled in whose turn it was made.
            sink: The name of what is called with the request when it has completed, one of those
                that the runtime was opened with; a process that recovers the log calls its own
                with what was not delivered.  Only outside of turns.

        Raises:
            RequestRefused: The actor has stopped, or its mailbox is full.
            UsageError: There is no such sink, or it is for a request that is made in a turn.
        """
        requests = requests_of(self.runtime)
        if self.runtime.strict:
            check_recordable(message, "the message")
        timeout_ns = _timeout_ns(timeout_s)
        out = self.runtime.my_turn()
        if sink is not None and (out is not None or sink not in self.runtime.sinks):
            where = "inside a turn" if out is not None else "that the runtime was not opened with"
            raise UsageError(f"a sink {where}: {sink!r}")
        if out is not None:
            asker: Any = out.actor.actor_ref
            with self.runtime.holding_baton():
                return requests.ask(out, asker, self, message, timeout_ns, shielded=shielded)
        arguments = (self, message) if sink is None else (self, message, sink)
        submit = Submit(operation_of(message), arguments, asynchronous=True, timeout_ns=timeout_ns)
        box = self.box
        full = None if box is None else self.runtime.mailboxes.hold_place(box)
        decided: Any = None
        try:
            decided = self.runtime.call(requests, submit, full)
        finally:
            if box is not None and full is None and not isinstance(decided, Request):
                box.release()
        self.runtime.relieve()
        if not isinstance(decided, Request):
            raise refused(self, decided)
        return decided


class Actor(runtime.Actor):
    """Your own actor.

    A message of the type ``Fetch`` is taken by ``on_fetch``, whether it was told, asked or
    requested; any other by ``on_receive``.  Handlers run one at a time; they decide, and do not
    wait.  What takes long they give away with ``work``.

    An event that a handler records is applied by ``apply_fetched`` after the handler has returned,
    and only that changes the state: a handler that fails leaves nothing.
    """

    REF: ClassVar[type[runtime.ActorRef[Any]]] = ActorRef

    _random: Random | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Begin a table of facts for the class; its events join it when they are first recorded."""
        super().__init_subclass__(**options)
        cls.FACTS = dict(cls.FACTS)
        cls.EVENT_SOURCED = any(name.startswith("apply_") for name in dir(cls))

    @classmethod
    def prepare(cls, runtime: Runtime) -> None:
        """Open the requests of the runtime, if nobody has needed them yet."""
        requests_of(runtime)

    def on_receive(self, message: Any) -> Any:
        """Hand a message to the handler that is named after its type."""
        handler = _handler_name(message.__class__)
        if hasattr(self, handler):
            return getattr(self, handler)(message)
        return super().on_receive(message)

    # --- what a handler may do -------------------------------------------------------------------

    def record(self, event: Any) -> None:
        """Let an event have happened: it is logged with this turn, and applied after it.

        Raises:
            UsageError: Called outside of a turn; not declared with ``@event``; nothing applies it.
        """
        out = self.runtime.turn_of(self, "record")
        self.applier(event.__class__)
        if self.runtime.strict:
            check_recordable(event, "the event")
        out.events.append(event)

    @classmethod
    def applier(cls, kind: type) -> Callable[..., None]:
        """Return what applies an event of ``kind``: the method that is named after it.

        Raises:
            UsageError: It is not declared with ``@event``, or nothing applies it.
        """
        if kind not in cls.FACTS:
            cls._learn(kind)
        return cls.FACTS[kind]

    @classmethod
    def _learn(cls, kind: type) -> None:
        declared = declared_as(kind)
        if declared is None or declared.role != "event":
            raise UsageError(f"{kind.__qualname__} is no event: declare it with @event")
        name = _applier_name(kind)
        if not hasattr(cls, name):
            raise UsageError(f"{cls.__qualname__} has no {name}, so nothing applies it")

        def apply(actor: Actor, event: Any, _number: int) -> None:
            getattr(actor, name)(event)

        cls.FACTS[kind] = apply

    def work(
        self,
        function: Callable[..., Any] | Request,
        /,
        *args: Any,
        then: Callable[[Any, Any], Any] | None = None,
        failed: Callable[[Any, BaseException], Any] | None = None,
        timeout_s: float | None = None,
        grace_s: float = 0.0,
    ) -> Request:
        """Give work away: it runs outside, and this actor goes on with its other messages.

        A handler that returns what this returns ends its own request, or ask, as the work ends.

        Args:
            function: Called with ``args`` in a thread, or in an event loop if it is a coroutine
                function; or a request that was made in this turn.
            args: What it is called with.
            then: A method of this actor, called in a turn with the message that the handler had,
                and the result; what it returns, which may be further work, takes its place.
            failed: Likewise with the exception, when there is no result.
            timeout_s: The work is cancelled when it has not ended after so many seconds.
            grace_s: When it is cancelled, it has so long to end; then it is abandoned.  Without,
                its request ends at once, and what the work still says is ignored.

        Raises:
            UsageError: Called outside of a turn.
        """
        out = self.runtime.turn_of(self, "work")
        if isinstance(function, Request):
            request = function
        else:
            if self.runtime.strict:
                check_recordable(args, "args")
            job = Work(function, args, round(grace_s * 1e9))
            timeout_ns = _timeout_ns(timeout_s)
            requests = requests_of(self.runtime)
            with self.runtime.holding_baton():
                request = requests.give_away(out, self._native_ref, job, timeout_ns)
        request.then, request.failed = then, failed
        return request

    @property
    def now(self) -> float:
        """The time of the running turn in seconds since 1970; its record bears it."""
        return self.now_ns / 1e9

    @property
    def random(self) -> Random:
        """Chance that a re-execution meets again; use no other in handlers."""
        if self._random is None:
            self._random = self.actor_ref.chance(self.runtime.log.epoch)
        return self._random

    def rebuild(self, birth: Any) -> None:
        """Be constructed again, meeting the same chance; what follows meets another."""
        self._random = self.actor_ref.chance(birth.epoch)
        super().rebuild(birth)
        del self._random

    @property
    def _native_ref(self) -> ActorRef[Any]:
        ref: Any = self.actor_ref
        return ref  # type: ignore[no-any-return]

    # --- turns -----------------------------------------------------------------------------------

    def receive(self, message: tuple[Any, ...], out: Outbox) -> Any:
        """Take one message of the runtime."""
        kind = type(message)
        if kind is Serve:
            self._serve(message[0], out)
        elif kind is CompletionScript:
            self._go_on(message[0][0], out)
        else:
            out.context = (None, message[0] if kind in (Tell, Ask) else None)
            super().receive(message, out)

    def _serve(self, number: int, out: Outbox) -> None:
        """Take up a request, unless it has ended while it waited."""
        requests = requests_of(self.runtime)
        request: Any = requests.requests.get(number)
        if request is None or request.status is not OUTSTANDING or request.cancelling:
            return
        request.is_begun = True
        (message,) = request.arguments
        out.context = (request, message)
        self._run(lambda: self._handle_receive(message), request, out)

    def _go_on(self, number: int, out: Outbox) -> None:
        """Take up what a request of this actor's own came to."""
        requests = requests_of(self.runtime)
        request: Any = requests.requests.get(number)
        if request is None:
            return
        if request.incarnation == self._native_ref.incarnation:
            out.context = (request.parent, request.message)
            self._take_up(request, out)
            # Behind what the handler decided, of which nothing is left when it fails.
            out.events.append(Delivered([number, number], Manner.HANDLER))
        else:
            request.discard("its asker restarted", self._native_ref.ended, out)
        if request.listeners:
            out.effects.append((request.call_listeners,))

    def _take_up(self, request: Request, out: Outbox) -> None:
        requests = request.requests
        value, error = request.outcome()
        target, then, failed = request.passes_to, request.then, request.failed
        if error is None and then is not None:
            self._run(partial(then, request.message, value), target, out)
        elif error is not None and failed is not None:
            self._run(partial(failed, request.message, error), target, out)
        elif target is not None and error is None:
            requests.settle(target, value, out)
        elif target is not None and error is not None:
            requests.fail(target, error, out)

    def _run(
        self, handler: Callable[[], Any], target: "Request | Reply[Any] | None", out: Outbox
    ) -> None:
        """Run a handler whose result ends ``target``; its failure ends that, and not the actor."""
        token = self.runtime.enter_handler(out)
        try:
            if target is None:
                self._guarded(out, handler)
            else:
                self._end_with(handler, target, out)
        finally:
            self.runtime.leave_handler(token, out)

    def _end_with(
        self, handler: Callable[[], Any], target: "Request | Reply[Any]", out: Outbox
    ) -> None:
        requests = requests_of(self.runtime)
        try:
            value = self._result(out, handler)
        except Abandon:
            raise
        except BaseException as error:
            logger.info("exception returned from %s to caller", self, exc_info=True)
            out.forget()
            requests.fail(target, error, out)
            self._stop_for(out, error)
        else:
            if not (out.events and has_stashed(out)):
                requests.settle(target, value, out)

    def _result(self, out: Outbox, handler: Callable[..., Any], *arguments: Any) -> Any:
        """Call a handler; a request is no result, but will have one."""
        value = self._call(out, handler, *arguments)
        if self.runtime.strict and not isinstance(value, Request):
            check_recordable(value, "the result")
        return value

    def _settle(self, out: Outbox, value: Any) -> None:
        """Answer an ask with what the handler returned; work answers when it ends."""
        if isinstance(value, Request) and out.reply is not None:
            requests_of(self.runtime).settle(out.reply, value, out)
        else:
            super()._settle(out, value)

    def _end_incarnation(self, out: Outbox, *, is_stop: bool) -> None:
        ref = self._native_ref
        if ref.asked or ref.own:
            requests_of(self.runtime).give_up(ref, out, is_stop=is_stop)


def _of(fact: Callable[[Requests, Any, int], None]) -> Callable[[Actor, Any, int], None]:
    """Return a fact about a request, as it is applied where it stands in an actor's turn."""
    return lambda actor, event, number: fact(requests_of(actor.runtime), event, number)


Actor.FACTS = runtime.Actor.FACTS | {
    kind: _of(fact)
    for kind, fact in Requests.FACTS.items()
    if kind in (Accepted, Completed, Delivered, Discarded, CancelBegan, CancelEnded)
}
"""Facts about requests that may stand in a turn of an actor; events of the class join them."""


def _timeout_ns(timeout_s: float | None) -> int | None:
    return None if timeout_s is None else round(timeout_s * 1e9)


@cache
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _handler_name(kind: type) -> str:
    return f"on_{_snake(kind.__name__)}"


def _applier_name(kind: type) -> str:
    return f"apply_{_snake(kind.__name__)}"

"""The requests of one runtime: accepted, served, cancelled, delivered.

One endpoint of the kernel serves a whole runtime, so that deliveries to many handles share records.
A request that was made while another one was served is its child: a cancel takes a request with all
its children, children first, unless they are shielded.

Each fact about a request stands in one turn: of the endpoint, when the application asks; of the
actor that asks or serves; or of the request itself, when it is cancelled or work ends.
"""

import logging
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from rescind.actors.kernel import _request as kernel
from rescind.actors.kernel._endpoint import Endpoint
from rescind.actors.kernel._request import COMPLETED, DELIVERED, OUTSTANDING
from rescind.actors.kernel._rules import Refusal
from rescind.actors.runtime import (
    Outbox,
    Reply,
    Runtime,
    describe,
)
from rescind.actors.runtime._bounds import apply_overflowed
from rescind.actors.runtime._ranges import to_ranges
from rescind.events import (
    Accepted,
    Asked,
    Born,
    Cancel,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Closed,
    Completed,
    CompletionScript,
    Drop,
    How,
    Manner,
    Opened,
    Origin,
    Outcome,
    Overflowed,
    Raised,
    Replied,
    Routed,
    Serve,
    Started,
    Submit,
)

from ._errors import refused
from ._protocol import (
    CANCEL,
    CANCELS,
    CLOSED,
    DEAD,
    FULL,
    MEANINGS,
    OPEN,
    REFUSALS,
    RESTART,
    STOP,
    TIME_OUT,
    Code,
    Stage,
)
from ._request import Cancelling, Request
from ._work import Driver, Work, Workers

if TYPE_CHECKING:
    from ._actor import ActorRef

logger = logging.getLogger("rescind.requests")


class Requests(Endpoint):
    """The requests of one runtime."""

    __slots__ = ("_under_way", "driver")

    def __init__(self, runtime: Runtime, number: int) -> None:
        """Begin with none; ``Opened`` follows."""
        super().__init__()
        self.runtime = runtime
        self.number = number
        self.unit = self
        self._actor_ref = None
        self.driver: Driver = Workers(self)
        self._under_way: set[int] = set()

    def receive(self, message: tuple[Any, ...], out: Outbox) -> Any:
        """Take one message."""
        if type(message) is Drop:
            out.events.append(Closed(self.number, message.reason))
            return None
        return super().receive(message, out)

    # --- asking ----------------------------------------------------------------------------------

    def submit(self, message: Submit, extra: Any, out: Outbox) -> Any:
        """Admit a request of the application."""
        if message.operation == OPEN:
            out.events.append(Born(self.number, message.arguments[0], 0))
            out.events.append(Opened(self.number, "native", "", ""))
            return None
        asked, value, *route = message.arguments
        box, rule = asked.box, ""
        if asked.has_stopped:
            rule = DEAD
        elif box is not None and not box.admits_request(out, extra):
            rule = FULL
        if rule:
            return self.refuse(out, message.operation, Refusal(rule, REFUSALS[rule]))
        request = self._accept(out, message.operation, (value,), asked, message.timeout_ns)
        for sink in route:
            out.events.append(Routed(request.number, sink))
            request.route(sink)
        out.messages.append((box or asked, Serve(request.number), None))
        return request

    def ask(
        self,
        out: Outbox,
        asker: "ActorRef[Any]",
        asked: "ActorRef[Any]",
        value: Any,
        timeout_ns: int | None,
        *,
        shielded: bool,
    ) -> Request:
        """Take a request that a handler makes in its turn.

        Raises:
            RequestRefused: there is no place for it.
        """
        operation, box = operation_of(value), asked.box
        if box is not None and not box.admits(out):
            raise refused(asked, self.refuse(out, operation, Refusal(FULL, REFUSALS[FULL])))
        request = self._accept(out, operation, (value,), asked, timeout_ns)
        self._belong(request, asker, out, shielded=shielded)
        out.messages.append((box or asked, Serve(request.number), None))
        return request

    def give_away(
        self, out: Outbox, actor: "ActorRef[Any]", work: Work, timeout_ns: int | None
    ) -> Request:
        """Take work that a handler gives away."""
        function = work.function
        while isinstance(function, partial):
            function = function.func
        name = getattr(function, "__name__", type(function).__name__)
        request = self._accept(out, name, work.args, actor, timeout_ns, started=True)
        request.spec = work
        self._belong(request, actor, out, shielded=False)
        out.effects.append((self.driver.begin, request))
        return request

    def _accept(
        self,
        out: Outbox,
        operation: str,
        arguments: tuple[Any, ...],
        asked: "ActorRef[Any]",
        timeout_ns: int | None,
        *,
        started: bool = False,
    ) -> Request:
        number = self.runtime.next_number()
        request = Request(self, number, operation, arguments, asked, timeout_ns)
        out.newborn[number] = request
        accepted = (number, self.number, operation, True, timeout_ns, started, asked.number)
        out.events.append(Accepted(*accepted))
        return request

    def _belong(
        self, request: Request, asker: "ActorRef[Any]", out: Outbox, *, shielded: bool
    ) -> None:
        """Make a request the child of the one that is being served."""
        request.asker = asker
        request.incarnation = asker.incarnation
        request.parent, request.message = out.context
        request.shielded = shielded
        parent = 0 if request.parent is None else request.parent.number
        out.events.append(Asked(request.number, parent, tuple(request.arguments), shielded))

    # --- serving ---------------------------------------------------------------------------------

    def settle(self, request: "Request | Reply[Any]", value: Any, out: Outbox) -> None:
        """End a request, or an ask, with what its handler returned: a value, or another request."""
        if isinstance(value, Request) and value.endpoint is self:
            if value.status >= DELIVERED:
                self._end_as(request, value, out)
                return
            value.passes_to = request
            if isinstance(request, Request):
                request.is_passed_on = True
                if request.status is OUTSTANDING:
                    out.events.append(Started(request.number))
        elif isinstance(request, Request):
            if request.status is OUTSTANDING:
                request.value = value
                request.complete(out, None, How.RESULT, 0, value)
        else:
            out.events.append(Replied(value))
            out.answers.append((request, value, None))

    def _end_as(self, request: "Request | Reply[Any]", other: Request, out: Outbox) -> None:
        value, error = other.outcome()
        if error is None:
            self.settle(request, value, out)
        else:
            self.fail(request, error, out)

    def fail(self, request: "Request | Reply[Any]", error: BaseException, out: Outbox) -> None:
        """End a request, or an ask, with an exception."""
        if isinstance(request, Request):
            if request.status is OUTSTANDING:
                request.error = error
                request.complete(out, Code.RAISED, How.FAILED, 0, describe(error))
        else:
            out.events.append(Raised(describe(error)))
            out.answers.append((request, None, (type(error), error, error.__traceback__)))

    def let_go_on(self, request: Request, out: Outbox) -> None:
        """Bring a completion on its way: to the handler that asked, or to the application."""
        is_for_handler = request.then or request.failed or request.passes_to
        if request.asker is not None and is_for_handler:
            number = request.number
            told = CompletionScript([number, number], running=False, manner=Manner.HANDLER)
            out.messages.append((request.asker, told, None))
        else:
            out.effects.append((self.lane.append, request))
        parent = request.parent
        if parent is not None and parent.is_waiting and not _others(parent, request):
            out.urgent.append((parent, Cancel(parent.doomed), None))

    def end(self, request: kernel.Request, code: int | None, out: Outbox) -> None:
        """End a request whose message a mailbox has dropped."""
        cast("Request", request).complete(out, code, How.FAILED, 0, MEANINGS[code or 0])

    def answered(self, request: kernel.Request, code: int | None, value: Any, out: Outbox) -> None:
        """Complete work as it ended."""
        request = cast("Request", request)
        cancelling = request.cancelling
        work: Work = request.spec
        if code == Code.STOPPED and cancelling is not None:
            self._end_victim(request, cancelling, How.CANCELLED, out)
            return
        how = How.RESULT if code is None else How.FAILED
        if code is None:
            work.value, value = value, None  # it stands in the message already
        request.error = work.error
        request.complete(out, code, how, 0, value)

    # --- cancelling ------------------------------------------------------------------------------

    def cancel(
        self, request: Request, trigger: str, reason: str, who: str, out: Outbox, by: int = 0
    ) -> Outcome:
        """Begin a cancel of a request and its children; what came of it so far."""
        cancel = self.runtime.next_number()
        out.events.append(CancelRequested(cancel, request.number, trigger, by, reason))
        earlier = request.cancelling
        stage, other = Stage.OUTSTANDING, 0
        if request.status is not OUTSTANDING:
            stage = Stage.COMPLETED
        elif earlier is not None:
            stage, other = Stage.DOOMED, earlier.cancel
        outcome = CANCELS[stage]
        if outcome is Outcome.WON:
            victims = list(_tree(request))
            self._begin(Cancelling(cancel, request, victims, trigger, who, reason), out)
        else:
            out.events.append(CancelOutcome(cancel, request.number, outcome, other))
            out.events.append(CancelEnded(cancel, None))
        return outcome

    def _begin(self, cancelling: Cancelling, out: Outbox) -> None:
        victims = cancelling.victims
        out.events.append(CancelBegan(cancelling.cancel, to_ranges(v.number for v in victims)))
        out.newborn[cancelling.cancel] = cancelling
        first = victims[0]
        if len(victims) == 1 and cancelling.root is first and not _has_grace(first):
            first.cancelling = cancelling
            self._end_victim(first, cancelling, _how(first, cancelling), out)
        else:
            out.broadcast.append((victims, Cancel(cancelling.cancel)))

    def cancel_victim(self, request: kernel.Request, cancel: int, out: Outbox) -> None:
        """Complete a victim, unless its children or its work have to end first."""
        request = cast("Request", request)
        cancelling = request.cancelling
        if cancelling is None or cancelling.cancel != cancel:
            return
        if request.has_children:
            request.is_waiting = True
        elif _has_grace(request) and not request.is_told:
            request.is_told = True
            out.effects.append((self.driver.stop, request))
            self.arm(request, request.spec.grace_ns)
        else:
            self._end_victim(request, cancelling, _how(request, cancelling), out)

    def _end_victim(self, request: Request, cancelling: Cancelling, how: How, out: Outbox) -> None:
        if request.spec is not None and not request.is_told:
            out.effects.append((self.driver.stop, request))
        request.complete(out, None, how, cancelling.cancel)

    def time_out(self, request: kernel.Request, out: Outbox) -> None:
        """End a request whose time-out, or whose grace, is over."""
        request = cast("Request", request)
        if request.is_told and request.cancelling is not None:
            logger.warning("%r was told to end and did not; it is abandoned", request)
            request.complete(out, None, How.ABANDONED, request.cancelling.cancel)
        elif request.cancelling is None:
            seconds = (request.timeout_ns or 0) / 1e9
            who = f"its time-out of {seconds:g} s"
            self.cancel(request, TIME_OUT, "", who, out, request.number)

    def give_up(self, ref: "ActorRef[Any]", out: Outbox, *, is_stop: bool) -> None:
        """An incarnation ends: what it had begun is given up, what it had asked is cancelled.

        What was asked and not begun is left to the next one, unless the actor stops.
        """
        ended = {event.request for event in out.events if isinstance(event, Completed)}
        asked = [
            each
            for each in (ref.asked or {}).values()
            if (is_stop or each.is_begun) and each.number not in ended
        ]
        own, ref.own = ref.own or {}, None
        who = f"a{ref.number} {ref.actor_class.__name__}"
        roots = [*own.values()]
        for request in asked:
            roots += [each for each in (request.children or {}).values() if not each.shielded]
        victims = [each for root in roots if root.cancelling is None for each in _tree(root)]
        if victims:
            cancel = self.runtime.next_number()
            trigger = STOP if is_stop else RESTART
            out.events.append(CancelRequested(cancel, ref.number, trigger, 0))
            by = f"the {trigger} of {who}"
            self._begin(Cancelling(cancel, None, victims, trigger, by, ""), out)
            out.events.append(CancelEnded(cancel, None))
        if asked:
            reason = f"{who} {'stopped' if is_stop else 'restarted'}"
            out.broadcast.append((asked, Drop(0, reason)))

    # --- delivering ------------------------------------------------------------------------------

    def manner(self, request: kernel.Request) -> Manner:
        """Tell how the application hears of a completion: its handle knows."""
        del request
        return Manner.FUTURE

    def has_script(self, request: kernel.Request) -> bool:
        """Tell whether there are callbacks; if there are none, later ones are called at once."""
        return not cast("Request", request).is_over_for_listeners()

    def call_script(self, request: kernel.Request, manner: Manner) -> None:
        """Call the callbacks of a handle."""
        del manner
        cast("Request", request).call_listeners()

    def script_raised(self, error: Exception, where: str) -> None:
        """Hear that a callback raised; ``call_listeners`` has logged it."""

    def failure(self, request: kernel.Request) -> Exception:
        """Return what a request raises that did not succeed."""
        return cast("Exception", cast("Request", request).failure())

    @property
    def cancels(self) -> int:
        """How many cancels have begun and not ended."""
        return len(self._under_way)

    # --- keyframes -------------------------------------------------------------------------------

    def _told(self, opened: Opened) -> dict[str, Any]:
        return {**super()._told(opened), "state": None}

    # --- the runtime's end -----------------------------------------------------------------------

    def close(self) -> None:
        """Deliver what is left, then be closed."""
        runtime = self.runtime
        self.driver.close()
        left = [each for each in self.requests.values() if each.status is OUTSTANDING]
        with runtime.baton:
            for request in left:
                runtime.turn(request, Drop(0, CLOSED), Origin.APP, 0)
        runtime.commit()
        while runtime.deliver():
            pass
        with runtime.baton:
            for request in left:
                if request.status is COMPLETED:  # its asker rests, for the next process
                    runtime.turn(request, Drop(request.turn, CLOSED), Origin.APP, 0)
            runtime.note(self, Drop(0, CLOSED), Origin.APP, 0)

    def stop(self) -> None:
        """Stop the driver; the log has failed."""
        self.driver.close()

    # --- recovery --------------------------------------------------------------------------------

    def apply_recovered(self, born: Born, opened: Opened) -> None:
        """Be open, as in an earlier process."""
        self._apply_born(born, 0)
        self._apply_opened(opened, 0)

    # --- facts -----------------------------------------------------------------------------------

    def apply_accepted(self, event: Accepted, number: int) -> None:
        """Put a request in place."""
        request: Request = self.runtime.born[event.request]
        request.turn = number
        self.requests[event.request] = request
        asked = request.asked
        if request.spec is None:
            if asked.asked is None:
                asked.asked = {}
            asked.asked[event.request] = request
        if request.asker is not None:
            _siblings(request, request.asker)[event.request] = request
        if request.timeout_ns is not None:
            self.arm(request, request.timeout_ns)
        parent = request.parent
        if parent is not None and parent.cancelling is not None and not request.shielded:
            # It was made for the sake of a request that had been cancelled while its handler waited
            # or ran: then it follows.
            doom = parent.cancelling
            arguments = (doom.reason, parent.number)
            cancel = Submit(CANCEL, arguments, asynchronous=False, timeout_ns=None)
            self.runtime.overtake(request, cancel, Origin.ACTOR, doom.turn)

    def apply_completed(self, event: Completed, number: int) -> None:
        """Note that a request has ended."""
        request = cast("Request", self.requests[event.request])
        value = request.value
        self._apply_completed(event, number)
        work: Work | None = request.spec
        request.value = value if work is None else work.value
        if event.how != How.RESULT:
            request.value = event.value
        if request.asked.asked is not None:
            request.asked.asked.pop(event.request, None)
        if request.asker is not None:
            _siblings(request, request.asker).pop(event.request, None)

    def apply_began(self, event: CancelBegan, number: int) -> None:
        """Doom the victims of a cancel."""
        cancelling: Cancelling = self.runtime.born[event.cancel]
        cancelling.turn = number
        self._under_way.add(event.cancel)
        for request in cancelling.victims:
            request.cancelling = cancelling
            request.doomed = event.cancel

    def apply_ended(self, event: CancelEnded, _: int) -> None:
        """Note that a cancel has ended."""
        self._under_way.discard(event.cancel)


def _siblings(request: Request, asker: "ActorRef[Any]") -> dict[int, Request]:
    """Where a request of a handler is kept: with the request it was made for, or the actor."""
    parent = request.parent
    if parent is not None:
        if parent.children is None:
            parent.children = {}
        return parent.children
    if asker.own is None:
        asker.own = {}
    return asker.own


def _others(parent: Request, child: Request) -> bool:
    children = parent.children or {}
    return any(each is not child and not each.shielded for each in children.values())


def _tree(request: Request) -> Iterator[Request]:
    """The outstanding requests of a tree that nothing shields or dooms yet, children first."""
    stack = [(request, False)]
    while stack:
        each, is_open = stack.pop()
        if is_open or not each.children:
            yield each
            continue
        stack.append((each, True))
        stack += [
            (child, False)
            for child in reversed(each.children.values())
            if not child.shielded and child.cancelling is None
        ]


def _has_grace(request: Request) -> bool:
    return request.spec is not None and request.spec.grace_ns > 0


def _how(request: Request, cancelling: Cancelling) -> How:
    is_own = cancelling.trigger == TIME_OUT and cancelling.root is request
    return How.TIMED_OUT if is_own else How.CANCELLED


def operation_of(message: Any) -> str:
    """Return what a request for ``message`` is called: the name of its type."""
    return type(message).__name__


def requests_of(runtime: Runtime) -> Requests:
    """Return the requests of a runtime, opened when they are first asked for."""
    found = runtime.residents.get(Requests)
    if found is not None:
        return cast("Requests", found)
    with runtime.holding_baton():
        made = Requests(runtime, runtime.next_number())
        arguments = (runtime.class_number(Requests),)
        opening = Submit(OPEN, arguments, asynchronous=False, timeout_ns=None)
        runtime.residents[Requests] = made
    runtime.call(made, opening)
    return made


Requests.FACTS = {
    **Endpoint.FACTS,
    Accepted: Requests.apply_accepted,
    Completed: Requests.apply_completed,
    CancelBegan: Requests.apply_began,
    CancelEnded: Requests.apply_ended,
    Overflowed: apply_overflowed,
}

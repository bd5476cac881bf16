"""The asyncio face: every request is awaited, and what comes in is iterated over.

Theory.  A request outlives the task that awaits it, and Cancel knows no selectivity: it ends what
every other task of the endpoint waits for, too (spec/newton.md 5.1).  So what a cancelled task does
about its request is the endpoint's setting, ``on_cancel``, and by default it does nothing: a task
that gives up waiting, by ``asyncio.timeout`` for instance, must not end its neighbours' requests.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar, get_args

from rescind.actors.kernel._request import Request
from rescind.actors.runtime import Runtime, UsageError, Waiter, on_loop
from rescind.actors.runtime._waiting import waiter_of
from rescind.events import RescindError

from ._codes import Code
from ._constants import SendFlag
from ._errors import CommError
from ._options import Option, Options
from ._protocol import UTF_8, State
from ._specs import (
    CallbackSpec,
    Event,
    InputSpec,
    InputTarget,
    OutputSpec,
    OutputTarget,
    Piece,
    StreamSpec,
    TimeOut,
    awaited,
)
from ._streaming import Stream, StreamingEndpoint
from .drivers import Tool

T = TypeVar("T")

OnCancel: TypeAlias = Literal["abandon", "cancel"]
"""What becomes of the requests when a task is cancelled that awaits one; see `AsyncEndpoint`."""
HandlerFunction: TypeAlias = Callable[["AsyncEndpoint", T], object]
"""Called with the endpoint and what there is to tell, as `Endpoint`'s handlers are (3.5)."""


class AsyncEndpoint:
    """An endpoint for coroutines: the methods of `newton.Endpoint`, to be awaited.

    A method submits its request when it is awaited and returns its value: the options, or a
    `Piece`.  It raises ``CommError`` for what is refused and for what fails.  ``async with``
    disposes of the endpoint at its end.

    What a cancelled task does, also one that ``asyncio.timeout`` or a ``TaskGroup`` cancels:

    - ``on_cancel="abandon"``: it gives up waiting, and the request goes on.  Nobody hears of its
      end, unless it is a receive: that stays posted, and the next ``receive`` with an equal spec
      gets its piece.  A time-out may so be put around every wait without harm to other tasks; what
      is to end does so by ``cancel``, by ``disconnect`` or with the endpoint.
    - ``on_cancel="cancel"``: it calls Cancel, in the name of whoever cancels the task, and its
      ``CancelledError`` is raised when the Cancel has completed.  All that was outstanding has
      ended then, whoever awaits it, with -16005; in the profile ``rom`` but for what the tool
      cannot stop (5.10).  A cancel that is in progress already is waited for in its place (-36003).
      A task that is cancelled once more waits no longer.

    Threads: the methods belong to the coroutines of one event loop, under any dispatcher.  The
    handlers run where the dispatcher runs scripts; coroutine functions as tasks of that loop.
    Source: spec/newton.md sections 2 and 5.

    Attributes:
        endpoint: the endpoint itself, for all that nobody has to wait for.
        on_cancel: ``abandon`` or ``cancel``.
    """

    def __init__(  # noqa: PLR0913  # most by their names, and most by nobody
        self,
        runtime: Runtime,
        tool: Tool,
        *,
        on_cancel: OnCancel = "abandon",
        profile: str = "guide",
        encoding: str = UTF_8,
        exception_handler: HandlerFunction[dict[str, Any]] | None = None,
        event_handler: HandlerFunction[Event] | None = None,
    ) -> None:
        """Instantiate; ``option`` sets options afterwards.

        Args:
            runtime: whose log tells the endpoint's story.
            tool: what does the work.
            on_cancel: what a task does that is cancelled.
            profile: ``guide`` or ``rom``.
            encoding: what strings are translated to and from; one of `newton.ENCODINGS`.
            exception_handler: hears of scripts that raise.
            event_handler: hears of what the tool reports unasked.

        Raises:
            UsageError: there is no such choice, profile or encoding.
            CommError: -26004 without a tool, -26005 for what is none.
        """
        if on_cancel not in get_args(OnCancel):
            raise UsageError(f"on_cancel is 'abandon' or 'cancel', not {on_cancel!r}")
        self.on_cancel = on_cancel
        self.endpoint = StreamingEndpoint(
            runtime,
            tool,
            profile=profile,
            encoding=encoding,
            exception_handler=self._told(exception_handler),
            event_handler=self._told(event_handler),
        )
        self._left: tuple[InputSpec, Request] | None = None
        """A receive that nobody waits for any more, and whose piece nobody has got."""

    def _told(self, handler: HandlerFunction[T] | None) -> Any:
        """Return a handler that is called with this object in place of the endpoint."""
        bound = on_loop(handler)
        if bound is None:
            return None

        def told(_endpoint: Any, what: T) -> None:
            bound(self, what)

        return told

    async def __aenter__(self) -> Self:
        """Return the endpoint itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Dispose of it."""
        await self.dispose()

    def __repr__(self) -> str:
        """Show the endpoint, and what a cancelled task does."""
        return f"<newton.AsyncEndpoint {self.endpoint!r} on_cancel={self.on_cancel!r}>"

    @property
    def number(self) -> int:
        """The actor's number, good as ``a5`` with the replay tools."""
        return self.endpoint.number

    def state(self) -> State | None:
        """Return the state; None after Dispose.  For debugging only, as R 29 says."""
        return self.endpoint.state()

    # --- the connection --------------------------------------------------------------------------

    async def bind(
        self, *, options: Options = None, timeout_s: TimeOut = None
    ) -> list[Option] | None:
        """Claim the tool's resources or address: kUnbnd to kIdle (R 19)."""
        return await self._options(self.endpoint.bind(_how(timeout_s), options=options))

    async def unbind(self, *, timeout_s: TimeOut = None) -> None:
        """Give the resources back: kIdle to kUnbnd (R 20)."""
        await self._value(self.endpoint.unbind(_how(timeout_s)))

    async def connect(
        self, *, options: Options = None, timeout_s: TimeOut = None
    ) -> list[Option] | None:
        """Connect to the tool's peer: kIdle to kDataXfer (R 20)."""
        self._left = None
        return await self._options(self.endpoint.connect(_how(timeout_s), options=options))

    async def listen(
        self, *, options: Options = None, timeout_s: TimeOut = None
    ) -> list[Option] | None:
        """Wait until somebody connects: kIdle to kInCon; then ``accept`` or ``disconnect`` (R 21).

        Raises:
            CommError: -16002 the tool is none that listens.
        """
        return await self._options(self.endpoint.listen(_how(timeout_s), options=options))

    async def accept(
        self, *, options: Options = None, timeout_s: TimeOut = None
    ) -> list[Option] | None:
        """Take the connection that ``listen`` has found: kInCon to kDataXfer (R 21)."""
        self._left = None
        return await self._options(self.endpoint.accept(_how(timeout_s), options=options))

    async def disconnect(self, *, cancel_pending: bool = True, timeout_s: TimeOut = None) -> None:
        """Tear the connection down (5.6), or release it in order (5.7); see `Endpoint`."""
        how = _how(timeout_s)
        await self._value(self.endpoint.disconnect(how, cancel_pending=cancel_pending))

    async def option(self, options: Options, *, timeout_s: TimeOut = None) -> list[Option]:
        """Set or get the tool's options, in any state; return them with their results (R 27).

        Raises:
            CommError: -54004 without options, -36002 for an empty sequence of them.
        """
        processed: list[Option] = await self._value(self.endpoint.option(options, _how(timeout_s)))
        return processed

    # --- sending ---------------------------------------------------------------------------------

    async def output(  # an output spec's slots, by their names
        self,
        data: Any,
        *,
        form: str | None = None,
        send_flags: int = SendFlag.MORE,
        target: OutputTarget | None = None,
        options: Options = None,
        timeout_s: TimeOut = None,
    ) -> list[Option] | None:
        """Send data; returns when the tool's medium has taken all of it (R 23).

        Args:
            data: text, bytes, an int, a sequence of these, a `Template`; a dict as a frame.
            form: how the data is translated; None takes the default of its type (3.2).
            send_flags: `SendFlag` bits.
            target: the part to send, for the form ``binary`` only.
            options: the tool's options for this Output.
            timeout_s: how long the medium may take over it; its end cancels all that is
                outstanding (5.8).

        Raises:
            CommError: -36003 a cancel is in progress, -36006 not connected, -16005 it was canceled,
                -54001, -54002 and -54008 for data that cannot be sent so; whatever the tool
                reports.
        """
        spec = OutputSpec(True, timeout_s, awaited, send_flags, form, target)  # noqa: FBT003
        return await self._options(self.endpoint.output(data, spec, options=options))

    async def stream_out(self, data: Any, spec: StreamSpec | None = None) -> None:
        """Send a frame of any size in chunks; see `StreamingEndpoint`.

        A task that is cancelled within leaves the frame cut short.
        """
        await self._run(self.endpoint.sending(data, spec))

    # --- receiving -------------------------------------------------------------------------------

    async def receive(self, spec: InputSpec) -> Piece:
        """Receive one piece; the next one stays in the tool until the next call.

        Nothing is lost by giving up: see ``on_cancel``.

        Raises:
            CommError: -54012 another receive is posted, or the piece of one that was given up waits
                for an equal spec; -16005 it was canceled, or its ``timeout_s`` passed in silence;
                -16009 the line is gone, and what had come in before has been received; -36003,
                -36006, -16004, -36010 and -54001 to -54016 as for `Endpoint.receive`.
            UsageError: the spec has an InputScript or CompletionScript.
        """
        request = self._take_left(spec) or self._post(spec)
        try:
            piece: Piece = await self._value(request)
        except asyncio.CancelledError:
            self._left = (spec, request)
            raise
        return piece

    def inputs(self, spec: InputSpec) -> "Inputs":
        """Iterate over what comes in, a `Piece` at a time, until the line is gone.

        A receive is posted when the next piece is asked for, and only then: what comes in faster
        than it is taken waits in the tool, and when its buffer is full, at the peer.  The iteration
        ends when the line is gone and all that had come in has been received (-16009).  It may go
        on after a task was cancelled in it, and misses nothing.

        Raises:
            CommError: from the iteration: as ``receive``, but for -16009.
        """
        return Inputs(self, spec)

    async def stream_in(self, spec: StreamSpec | None = None) -> Any:
        """Receive a frame of any size in chunks; see `StreamingEndpoint`.

        A task that is cancelled within leaves the rest of the frame to be received.
        """
        return await self._run(self.endpoint.receiving(spec))

    def flush_input(self) -> None:
        """Drop all that is buffered (R 26), and the piece of a receive that was given up."""
        self.endpoint.flush_input()
        if self._left is not None and self._left[1].is_done:
            self._left = None

    def _post(self, spec: InputSpec) -> Request:
        if spec.input_script is not None or spec.completion_script is not None:
            raise UsageError("whoever awaits a receive hears of it; give its spec no scripts")
        return self.endpoint.receive(replace(spec, completion_script=awaited), asynchronous=True)

    def _take_left(self, spec: InputSpec) -> Request | None:
        """Return the receive that was given up, if there is one and it is for this spec."""
        if self._left is None:
            return None
        left, request = self._left
        if request.is_done and request.outcome()[1] is not None:
            self._left = None  # how it failed is nobody's any more
            return None
        if not _is_equal(spec, left):
            detail = "a receive with another spec was given up, and its piece waits to be taken"
            raise CommError(Code.INPUT_SPEC_ALREADY_ACTIVE, rule="N-54012-active", detail=detail)
        self._left = None
        return request

    # --- ending ----------------------------------------------------------------------------------

    async def cancel(self) -> None:
        """End everything outstanding with -16005, whoever awaits it (section 5).

        Raises:
            CommError: -36003 a cancel is in progress.
        """
        await self._value(self.endpoint.cancel(_how(None)))

    async def dispose(self) -> None:
        """Drop what is pending, without any completion, and release the tool (6.4).

        Whoever awaits something of it gets -54014, as does every later call but another dispose.
        A task that is cancelled here gives up waiting.
        """
        request = self.endpoint.begin_dispose()
        if request is not None:
            await request
        self.endpoint.disown()

    # --- waiting ---------------------------------------------------------------------------------

    async def _run(self, stream: Stream[T]) -> T:
        value = None
        while True:
            try:
                chunk = stream.send(value)
            except StopIteration as end:
                returned: T = end.value
                return returned
            value = await self._value(self.endpoint.begin_chunk(chunk, _how(chunk.timeout_s)))

    async def _options(self, request: Request) -> list[Option] | None:
        """Wait for a request whose value is its options, each with its result."""
        options: list[Option] | None = await self._value(request)
        return options

    async def _value(self, request: Request) -> Any:
        """Wait for a request's value, and see to it if the task is cancelled meanwhile."""
        if self.on_cancel == "abandon":
            return await request
        waiting = _Cancelling(self.endpoint, request)
        try:
            await self.endpoint.runtime.wait_async(waiting)
        except asyncio.CancelledError:
            await waiting.until_cancelled()
            raise
        return request.get()


class Inputs:
    """The iteration over what comes in; made by ``AsyncEndpoint.inputs``."""

    def __init__(self, endpoint: AsyncEndpoint, spec: InputSpec) -> None:
        """Post nothing yet."""
        self._endpoint = endpoint
        self._spec = spec

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> Piece:
        """Receive the next piece."""
        try:
            piece = await self._endpoint.receive(self._spec)
        except CommError as error:
            if error.code == Code.NOT_CONNECTED:
                raise StopAsyncIteration from None
            raise
        if self._spec.rcv_options is not None:
            self._spec = replace(self._spec, rcv_options=None)  # they are used once (G 17)
        return piece


class _Cancelling:
    """A request as a task waits for it whose cancellation is the endpoint's Cancel."""

    def __init__(self, endpoint: StreamingEndpoint, request: Request) -> None:
        self._endpoint = endpoint
        self._request = request
        self._cancel: Request | None = None
        self._is_cancelling = False
        self.waiter: Waiter | None = waiter_of(request)
        self.turn = request.turn
        self.target = self.taker = 0

    @property
    def is_done(self) -> bool:
        return self._request.is_done

    def outcome(self) -> tuple[Any, BaseException | None]:
        return self._request.outcome()

    def future_in(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[None]":
        """Return what the task waits for."""
        return _Awaited(loop, self)

    def begin(self) -> None:
        """Call Cancel, or find the cancel that is in progress; once."""
        if not self._is_cancelling:
            self._is_cancelling = True
            self._cancel = _cancel(self._endpoint)

    async def until_cancelled(self) -> None:
        """Wait for the end of the cancel."""
        self.begin()
        while self._cancel is not None:
            await self._endpoint.runtime.wait_async(self._cancel)
            if self._cancel.operation != "Release" or self._request.is_done:
                return
            self._cancel = _cancel(self._endpoint)  # a Release ends only the input spec (5.7)


class _Awaited(asyncio.Future[None]):
    """What the task waits for.

    ``Task.cancel`` cancels it on the stack of whoever cancels: so the log knows who that was.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, waiting: _Cancelling) -> None:
        super().__init__(loop=loop)
        self._waiting = waiting

    def cancel(self, msg: Any = None) -> bool:
        if not self.done():
            self._waiting.begin()
        return super().cancel(msg)


def _cancel(endpoint: StreamingEndpoint) -> Request | None:
    """Call Cancel; return what completes at its end, or at the end of the one in progress."""
    while True:
        running = endpoint.cancel_in_progress()
        if running is not None:
            return running
        try:
            return endpoint.cancel(_how(None))
        except CommError as error:
            if error.code != Code.TACCESS:
                return None  # disposed of: nothing is outstanding
        except RescindError:
            return None  # the runtime is closed, or its log has failed: all has ended with it


def _how(timeout_s: TimeOut) -> CallbackSpec:
    """Return the spec of a request that is awaited."""
    return CallbackSpec(True, timeout_s, awaited)  # noqa: FBT003  # as the slots are listed (3.1)


def _is_equal(spec: InputSpec, other: InputSpec) -> bool:
    """Tell whether a receive for one spec is as good for the other: into the same buffer, too."""
    targets = spec.target, other.target
    buffers = [each.data for each in targets if isinstance(each, InputTarget)]
    return spec == other and all(each is buffers[0] for each in buffers)

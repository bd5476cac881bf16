"""The server's end of gRPC: a loop in a thread of its own, and no thread for a waiting call.

gRPC's blocking Python server keeps a thread for each call until it is answered; a server of ours
may have thousands that wait.  So it is ``grpc.aio``, in one loop that does nothing else.
"""

import asyncio
import atexit
import threading
from collections import OrderedDict, deque
from concurrent.futures import Future
from contextvars import Context
from functools import partial
from typing import Any

from rescind.actors.rpc._codes import Code

from ._driver import ServerPort
from ._grpc_options import MESSAGE_MAX, load, load_aio, server_options
from ._grpc_wire import (
    CALLS,
    CANCEL,
    Cancel,
    Place,
    WireError,
    cause_metadata,
    check_token,
    failure_metadata,
    read_call,
    read_cancel,
    refuse_plain_text,
    status_of,
    text_of,
)

CALLS_MAX = 10_000
"""So many calls may be in progress."""
ENDED_MAX = 10_000
"""So many ended calls are remembered: a late cancel of one is reported, its repetition refused."""
EARLY_MAX = 1_000
EARLY_S = 10.0
"""So many cancels wait for so long for the calls that they overtook."""
SERIES_MAX = 10_000
ORDER_S = 1.0
FIRST_S = 0.1
"""A call waits so long for the ones that its channel made before it, of so many channels; and so
long where the server knows of none, and may have been started after them."""
CLOSE_S = 1.0
"""So long the last replies may take to leave."""

Key = tuple[bytes, int]
"""The name of a call: the client's log and number."""
Reply = tuple[Key, int | None, bytes | str | None, tuple[bytes, int] | None]


class _Incoming:
    """A call in progress."""

    __slots__ = ("is_aborted", "reply")

    def __init__(self, reply: "asyncio.Future[Reply]") -> None:
        self.reply = reply
        self.is_aborted = False


class _Series:
    """The order of one channel's calls."""

    __slots__ = ("next", "waiting")

    def __init__(self) -> None:
        self.next = 1
        self.waiting: dict[int, asyncio.Future[None]] = {}

    def pass_on(self, number: int) -> None:
        """Let the next one go: ``number`` is dispatched."""
        if number >= self.next:
            self._go_on_with(number + 1)

    def give_up(self) -> None:
        """Go on with the first that is there: whoever is missing does not come."""
        self._go_on_with(min(self.waiting))

    def _go_on_with(self, number: int) -> None:
        self.next = number
        waits = self.waiting.get(number)
        if waits is not None and not waits.done():
            waits.set_result(None)


class GrpcListener:
    """Listens at one address.

    Attributes:
        address: Where it listens; with the port that the system chose, once it is open.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: Any,
        token: str | None,
        options: list[tuple[str, Any]],
        message_max: int,
        calls_max: int,
    ) -> None:
        """Choose; see ``grpc_listener``."""
        self.address = address
        self._credentials = credentials
        self._token = token
        self._options = options
        self._message_max = message_max
        self._calls_max = calls_max
        self._calls: dict[Key, _Incoming] = {}
        self._ended: OrderedDict[Key, None] = OrderedDict()
        self._early: OrderedDict[Key, tuple[float, list[Cancel]]] = OrderedDict()
        self._series: OrderedDict[tuple[bytes, int], _Series] = OrderedDict()
        self._replies: deque[Reply] = deque()
        self._is_waking = False
        self._is_carrying = False
        self._context = Context()
        self._is_open = self._is_closed = False

    @property
    def label(self) -> str:
        """Name where it listens: ``grpc 127.0.0.1:50051``."""
        return f"grpc {self.address}"

    # --- what the runtime says: any thread -------------------------------------------------------

    def open(self, port: ServerPort) -> None:
        """Begin to listen for the server behind ``port``.

        Raises:
            OSError: It can't listen there, and why.
        """
        self._port = port
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name=f"rescind {self.label}", daemon=True
        )
        self._thread.start()
        bound = started.result()
        self._is_open = True
        if self.address.endswith(":0"):
            self.address = f"{self.address[:-2]}:{bound}"
        atexit.register(self._leave)

    def reply(
        self,
        key: object,
        code: int | None,
        payload: bytes | str | None,
        cause: tuple[bytes, int],
    ) -> None:
        """End a call; one that is over is left alone."""
        self._replies.append((key, code, payload, cause))  # type: ignore[arg-type]  # it is ours
        self._wake()

    def close(self) -> None:
        """Listen no more; what is in progress fails."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_open:
            self._wake()

    def _wake(self) -> None:
        """See that the loop looks at the replies; it is told once for many."""
        if not self._is_waking:
            self._is_waking = True
            try:
                self._loop.call_soon_threadsafe(self._take_replies)
            except RuntimeError:
                return  # it has ended: nobody waits for a reply

    def _leave(self) -> None:
        """Let the last replies leave before the interpreter does."""
        self.close()
        self._thread.join(2 * CLOSE_S)

    # --- the loop --------------------------------------------------------------------------------

    def _run(self, started: "Future[int]") -> None:
        with asyncio.Runner() as runner:
            runner.run(self._serve(started))

    async def _serve(self, started: "Future[int]") -> None:
        try:
            self._grpc = load()
            server = load_aio().server(options=self._options)
            server.add_generic_rpc_handlers((self,))
            bound = self._bind(server)
            await server.start()
        except ImportError as error:
            started.set_exception(error)
            return
        except Exception as error:  # noqa: BLE001  # grpc raises RuntimeError, and its own
            started.set_exception(OSError(f"can't listen at {self.address}: {error}"))
            return
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        started.set_result(bound)
        await self._closing.wait()
        for key in list(self._calls):
            self._end((key, Code.CALL_FAILED, "the server closed", None))
        await server.stop(CLOSE_S)
        atexit.unregister(self._leave)

    def _bind(self, server: Any) -> int:
        if self._credentials is None:
            bound: int = server.add_insecure_port(self.address)
        else:
            bound = server.add_secure_port(self.address, self._credentials)
        return bound

    def _take_replies(self) -> None:
        self._is_waking = False  # first: what comes from now on wakes again
        replies = self._replies
        while replies:
            self._end(replies.popleft())
        if self._is_closed:
            self._closing.set()

    def _end(self, reply: Reply) -> None:
        call = self._calls.get(reply[0])
        if call is not None and not call.reply.done():
            call.reply.set_result(reply)

    # --- what comes in ---------------------------------------------------------------------------

    def service(self, details: Any) -> Any:
        """Return who handles a call: gRPC's interface of a generic handler."""
        path, metadata = details.method, details.invocation_metadata
        if path.startswith(CALLS):
            handler = partial(self._call, path, metadata)
        elif path == CANCEL:
            handler = partial(self._cancel, metadata)
        else:
            return None
        return self._grpc.unary_unary_rpc_method_handler(handler)

    async def _call(self, path: str, metadata: Any, payload: bytes, context: Any) -> bytes:
        """Report a call, and wait for its reply."""
        try:
            check_token(metadata, self._token)
            call, place = read_call(path, metadata, payload, context.time_remaining())
            key = call.log_id, call.request
            await self._in_order(call.log_id, place)
            self._refuse_more(key)
        except WireError as error:
            return await self._fail(context, error.code, str(error), None)
        incoming = self._calls[key] = _Incoming(self._loop.create_future())
        self._port.called(key, call, carries=True)
        if not self._is_carrying:
            self._is_carrying = True
            self._loop.call_soon(self._carry, context=self._context)
        self._report_early(key)
        try:
            _, code, reply, cause = await incoming.reply
        except asyncio.CancelledError:
            self._lost(key, incoming, context)
            raise
        finally:
            del self._calls[key]
            self._remember(key)
        if code is None and isinstance(reply, bytes) and len(reply) > self._message_max:
            code, reply = Code.CALL_FAILED, f"the reply has {len(reply)} bytes"
        if code is not None:
            return await self._fail(context, code, text_of(reply), cause)
        if cause is not None:
            context.set_trailing_metadata(cause_metadata(cause))
        assert isinstance(reply, bytes), "what is returned is packed"
        return reply

    def _carry(self) -> None:
        """Run the turns of all calls that came in this round of the loop.

        To wake another thread for each would cost more than they do.
        """
        self._is_carrying = False
        self._port.carry()

    async def _fail(
        self, context: Any, code: int, text: str, cause: tuple[bytes, int] | None
    ) -> bytes:
        status = self._grpc.StatusCode[status_of(code)]
        await context.abort(status, text, failure_metadata(code, cause))
        raise AssertionError("abort raises")

    def _refuse_more(self, key: Key) -> None:
        if self._is_closed:
            raise WireError(Code.CALL_FAILED_DNE, "the server is closing")
        if key in self._calls or key in self._ended:
            raise WireError(Code.PROTOCOL_ERROR, "the call was made before")
        if len(self._calls) >= self._calls_max:
            text = f"{len(self._calls)} calls are in progress, and no more may be"
            raise WireError(Code.SERVER_TOO_BUSY, text)

    def _lost(self, key: Key, incoming: _Incoming, context: Any) -> None:
        """Report what gRPC ended, unless a cancel has said so: its deadline, or the connection."""
        if self._is_closed or incoming.is_aborted or not incoming.reply.cancelled():
            return
        remaining_s = context.time_remaining()
        if remaining_s is not None and remaining_s <= 0:
            self._port.cancelled(key, abort=True, cause=None)
        else:
            self._port.disconnected(key)

    def _remember(self, key: Key) -> None:
        self._ended[key] = None
        if len(self._ended) > ENDED_MAX:
            self._ended.popitem(last=False)

    async def _in_order(self, log_id: bytes, place: Place) -> None:
        """Wait for the calls that the channel made before this one (B.3-7), but not for ever."""
        if place.number == 0:
            return
        name = (log_id, place.series)
        series = self._series.get(name)
        if series is None:
            series = self._series[name] = _Series()
            if len(self._series) > SERIES_MAX:
                self._series.popitem(last=False)
        while place.number > series.next:
            waits = series.waiting[place.number] = self._loop.create_future()
            try:
                await asyncio.wait_for(waits, FIRST_S if series.next == 1 else ORDER_S)
            except TimeoutError:
                series.give_up()
            finally:
                series.waiting.pop(place.number, None)
        series.pass_on(place.number)

    # --- cancels ---------------------------------------------------------------------------------

    async def _cancel(self, metadata: Any, message: bytes, context: Any) -> bytes:
        """Report a cancel, also of a call that has ended or has yet to come."""
        try:
            check_token(metadata, self._token)
            cancel = read_cancel(message)
        except WireError as error:
            return await self._fail(context, error.code, str(error), None)
        key = cancel.log_id, cancel.request
        if key in self._calls or key in self._ended:
            self._report(key, cancel)
        else:
            self._keep_early(key, cancel)
        # Whoever was woken for the cancel goes first: here the loop lets go of the interpreter.
        await asyncio.sleep(0)
        return b""

    def _report(self, key: Key, cancel: Cancel) -> None:
        incoming = self._calls.get(key)
        if incoming is not None and cancel.abort:
            incoming.is_aborted = True
        if not self._is_closed:
            cause = cancel.log_id, cancel.turn
            self._port.cancelled(key, abort=cancel.abort, cause=cause)

    def _keep_early(self, key: Key, cancel: Cancel) -> None:
        early, now = self._early, self._loop.time()
        early.setdefault(key, (now, []))[1].append(cancel)
        while early and (len(early) > EARLY_MAX or next(iter(early.values()))[0] < now - EARLY_S):
            early.popitem(last=False)

    def _report_early(self, key: Key) -> None:
        _, cancels = self._early.pop(key, (0.0, ()))
        for cancel in cancels:
            self._report(key, cancel)


def grpc_listener(  # noqa: PLR0913  # the settings of a server, by name
    address: str = "127.0.0.1:0",
    *,
    credentials: Any = None,
    token: str | None = None,
    plain_text: bool = False,
    keepalive_s: float = 30.0,
    message_max: int = MESSAGE_MAX,
    calls_max: int = CALLS_MAX,
) -> GrpcListener:
    """Return a listener for calls over gRPC; it needs the extra ``rpc``.

    Args:
        address: Where to listen, ``127.0.0.1:50051``, ``[::1]:50051`` or ``unix:path``; with the
            port 0 the system chooses one, which ``address`` tells once the listener is open.
        credentials: What ``grpc.ssl_server_credentials`` returns; None is plain text.
        token: The password that every call must bring; None asks for none, and then whoever has
            an account on this machine may call.
        plain_text: Plain text for other machines is meant.
        keepalive_s: After so long without a sign of life a connection is tested, and given up
            when a third of that passes without an answer.
        message_max: So many bytes may a call or a reply have.
        calls_max: So many calls may be in progress; more hear RPC_S_SERVER_TOO_BUSY.

    Raises:
        ValueError: A setting makes no sense, or ``address`` is not one of this machine only,
            there are no credentials, and plain text was not asked for.
    """
    refuse_plain_text(address, is_safe=plain_text or credentials is not None)
    return GrpcListener(
        address,
        credentials=credentials,
        token=token,
        options=server_options(keepalive_s, message_max, calls_max),
        message_max=message_max,
        calls_max=calls_max,
    )

"""Winsock as an application holds it: the documented calls in Python's spelling."""

import asyncio
import contextlib
import itertools
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from rescind.actors.kernel._request import Request
from rescind.actors.kernel._rules import Refusal
from rescind.actors.runtime import Runtime, UsageError, Waiter
from rescind.actors.runtime._waiting import waiter_of, wake_all
from rescind.events import CompletionScript, Manner, RescindError, Submit

from ._actors import BLOCKING_CALL, CANCEL, CLOSE, OPEN, Winsock
from ._codes import Code
from ._entries import MAXGETHOSTSTRUCT, Buffer, HostEntry, ProtocolEntry, ServiceEntry
from ._errors import WinsockError
from ._lookup import Blocking, Lent, Lookup, WithdrawnError
from ._protocol import PROFILES, WORD_MAX, pack_result, result_code, result_length
from .drivers import Resolver

T = TypeVar("T")

LOOKUPS_MAX = 100_000
"""So many lookups may be outstanding; one more is refused with WSAEWOULDBLOCK."""
RUNNING_MAX = 256
"""So many of them the resolver has at a time; the others are queued."""


class Message(NamedTuple):
    """A message out of a window's queue."""

    window: "Window"
    message: int
    """The number that the application chose for it."""
    wparam: int
    """The lookup's handle."""
    lparam: int
    """The error in the high word, and in the low one the bytes used, or needed (C.1)."""

    @property
    def handle(self) -> int:
        """Whose message it is."""
        return self.wparam

    @property
    def error(self) -> int:
        """The code; 0 is success."""
        return result_code(self.lparam)

    @property
    def length(self) -> int:
        """Bytes used, or for WSAENOBUFS needed."""
        return result_length(self.lparam)


class Window:
    """A message queue that the application pumps; made by ``Application.window``.

    Threads: any may pump it, and each message is taken once.
    """

    def __init__(self, application: "Application", number: int) -> None:
        """Belong to an application."""
        self.number = number
        self._application = application
        self._queue: deque[Any] = deque()
        self._arrivals: dict[Arrival, None] = {}
        self.is_destroyed = False

    def __repr__(self) -> str:
        """Show how many messages wait."""
        return f"<winsock.Window {self.number} with {len(self._queue)} messages>"

    def is_of(self, application: "Application") -> bool:
        """Tell whether it was made by this application."""
        return self._application is application

    def put(self, request: Request) -> None:
        """Queue a lookup's message; the baton is held."""
        self._queue.append(request)
        wake(list(self._arrivals))

    @property
    def has_messages(self) -> bool:
        """Tell whether one waits; a cleanup may still take it back."""
        return bool(self._queue)

    def peek(self) -> Message | None:
        """Take the next message; None when none waits."""
        while self._queue:
            try:
                request = self._queue.popleft()
            except IndexError:  # another thread was quicker
                return None
            if self._application.take(request):
                code = request.code or 0
                lparam = pack_result(min(request.value[0], WORD_MAX), code)
                return Message(self, request.spec.message, request.handle, lparam)
        return None

    def get(self, timeout_s: float | None = None) -> Message:
        """Take the next message, waiting for it.

        Raises:
            TimeoutError: None came within ``timeout_s``.
            UsageError: The window was destroyed, or its application closed; or waiting here would
                stop an event loop.
        """
        runtime, left_s = self._application.runtime, timeout_s
        begun_ns = runtime.clock.monotonic_ns()
        while (message := self.peek()) is None:
            with self._waiting() as arrival:
                if not runtime.wait(arrival, left_s):
                    raise TimeoutError(f"{self!r}: nothing within {timeout_s} s")
            if timeout_s is not None:  # another thread may have been quicker, again and again
                passed_s = (runtime.clock.monotonic_ns() - begun_ns) / 1e9
                left_s = max(0.0, timeout_s - passed_s)
        return message

    async def get_async(self) -> Message:
        """Take the next message in a coroutine; its loop goes on meanwhile.

        Raises:
            UsageError: The window was destroyed, or its application closed.
        """
        while (message := self.peek()) is None:
            with self._waiting() as arrival:
                await self._application.runtime.wait_async(arrival)
        return message

    async def get_of(self, lookup: Lookup) -> Message:
        """Take the message of the one lookup whose window this is.

        Whoever cancels the task that waits here gives the lookup up.

        Raises:
            WinsockError: 10093 a cleanup has dropped it.
            UsageError: The application was closed.
        """
        while (message := self.peek()) is None:
            with self._waiting() as arrival:
                arrival.abandon = partial(self._application.give_up, lookup, self)
                lookup.waiter = waiter_of(arrival)
                if lookup.is_done:
                    raise WinsockError(Code.NOTINITIALISED, request=lookup.number)
                await self._application.runtime.wait_async(arrival)
        return message

    def messages(self) -> Iterator[Message]:
        """Take all messages that wait."""
        while (message := self.peek()) is not None:
            yield message

    def destroy(self) -> None:
        """Destroy it: what waits here is lost, and so is what would come; nothing is cancelled."""
        if not self.is_destroyed:
            self.is_destroyed = True
            self._application.destroy_window(self.number)
            self._queue.clear()
            wake(list(self._arrivals))

    @contextlib.contextmanager
    def _waiting(self) -> Generator["Arrival"]:
        arrival, everybody = Arrival(self), self._application.arrivals
        self._arrivals[arrival] = everybody[arrival] = None
        try:
            if self.is_destroyed or self._application.is_closed:
                which = "it was destroyed" if self.is_destroyed else "its application is closed"
                raise UsageError(f"{self!r}: {which}; nothing will ever come")
            yield arrival
        finally:
            del self._arrivals[arrival], everybody[arrival]


class Arrival:
    """What somebody waits for who pumps an empty queue: that something has changed."""

    def __init__(self, window: Window) -> None:
        """Begin to wait; done for good once something came, whoever takes it."""
        self._window = window
        self.has_come = False
        self.abandon: Callable[[], None] | None = None
        self.waiter: Waiter | None = None
        self.turn = 0
        self.target = self.taker = 0

    @property
    def is_done(self) -> bool:
        """Tell whether it is time to look again."""
        self.has_come = self.has_come or self._window.has_messages
        return self.has_come

    def outcome(self) -> tuple[Any, BaseException | None]:
        """Return nothing: what has changed is for the window to tell."""
        return None, None

    def future_in(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[None]":
        """Return what a task waits for."""
        return _Awaited(loop, self)


class _Awaited(asyncio.Future[None]):
    """What a task waits for that waits in a window.

    ``Task.cancel`` cancels it on the stack of whoever cancels: so the log knows who that was.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, arrival: Arrival) -> None:
        super().__init__(loop=loop)
        self._arrival = arrival

    def cancel(self, msg: Any = None) -> bool:
        if self._arrival.abandon is not None and not self.done():
            self._arrival.abandon()
        return super().cancel(msg)


def wake(arrivals: list[Arrival]) -> None:
    """Have everybody look again."""
    for arrival in arrivals:
        arrival.has_come = True
    wake_all(arrivals)  # type: ignore[arg-type]


class Application:
    """A process that uses Winsock's asynchronous lookups.

    Each ``async_get_...`` returns a handle at once, never 0; later a message with that handle comes
    into the window that was named, unless a cancel succeeds before, or a cleanup.  What Windows
    tells by a return value and the last error is a ``WinsockError`` here.

    Threads: any thread may call.  Source: spec/winsock.md section C.1.
    """

    def __init__(
        self,
        runtime: Runtime,
        resolver: Resolver,
        *,
        profile: str = "remembering",
        lookups_max: int = LOOKUPS_MAX,
        running_max: int = RUNNING_MAX,
    ) -> None:
        """Be there, and not started yet.

        Args:
            runtime: Whose log tells the application's story.
            resolver: What does the lookups: ``winsock.dns()``, ``winsock.twin()``.
            profile: What a cancel that comes too late hears: ``remembering`` WSAEALREADY,
                ``forgetting`` WSAEINVAL.
            lookups_max: So many lookups may be outstanding, or have a message that waits.
            running_max: So many of them the resolver has at a time.

        Raises:
            UsageError: There is no such profile, or a bound below 1.
        """
        if profile not in PROFILES:
            raise UsageError(f"no profile {profile!r}; there are {', '.join(sorted(PROFILES))}")
        if lookups_max < 1 or running_max < 1:
            raise UsageError("lookups_max and running_max are at least 1")
        self.runtime = runtime
        self._windows = itertools.count(1)
        self.is_closed = False
        self.arrivals: dict[Arrival, None] = {}
        """What is waited for, in any window."""
        bounds = (lookups_max, running_max)
        with runtime.holding_baton():
            number = runtime.next_number()
            self._actor = Winsock(runtime, number, PROFILES[profile], resolver, bounds)
            class_number = runtime.class_number(Winsock)
        runtime.owned.append(self)
        self._call(OPEN, (profile, resolver.label, class_number, *bounds))

    def __enter__(self) -> Self:
        """Start up."""
        self.startup()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Clean up."""
        self.cleanup()

    def __repr__(self) -> str:
        """Show the selector and the resolver."""
        return f"<a{self.number} winsock.Application {self._actor.resolver.label}>"

    @property
    def number(self) -> int:
        """The actor's number, good as ``a5`` with the replay tools."""
        return self._actor.number

    # --- startup and cleanup ---------------------------------------------------------------------

    def startup(self, version: tuple[int, int] = (2, 2)) -> tuple[int, int]:
        """Begin, or count one more user; 1.x brings the rules of blocking calls.

        Returns:
            The version that was agreed on: the highest that there is up to the one asked for.

        Raises:
            WinsockError: 10036 a blocking call is in progress; 10092 no version is as low;
                10091 the application is closed.
            UsageError: It is not two numbers.
        """
        if [type(each) for each in version] != [int, int]:
            raise UsageError(f"a version is two numbers, as in (2, 2), not {version!r}")
        agreed: tuple[int, int] = self.call("WSAStartup", tuple(version))
        return agreed

    def cleanup(self) -> None:
        """End one use; the last one drops whatever is outstanding, without a message (C.0-9).

        Raises:
            WinsockError: 10093 nothing was started; 10036 a blocking call is in progress.
        """
        self.call("WSACleanup", ())

    def close(self) -> None:
        """End the application, however often it was started; who waits in a window hears of it."""
        self.is_closed = True
        try:
            self._call(CLOSE, ())
        finally:
            wake(list(self.arrivals))
            if self in self.runtime.owned:
                self.runtime.owned.remove(self)

    def stop(self) -> None:
        """Stop the resolver at once; the runtime's log has failed."""
        self._actor.resolver.close()

    def window(self) -> Window:
        """Return a new message queue."""
        return Window(self, next(self._windows))

    # --- lookups ---------------------------------------------------------------------------------

    def async_get_host_by_name(
        self, window: Window | None, message: int, name: str, buffer: Buffer | None
    ) -> int:
        """Look a host up by its name; returns the handle.

        Parameters are not checked: bad ones are told by the message, or by none at all where there
        is no window (C.7-5).

        Args:
            window: Where the message goes.
            message: The message's number, which the application chooses.
            name: The name.
            buffer: Lent until the message comes or a cancel succeeds.

        Raises:
            WinsockError: 10093 not started; 10050 the network is down; 10036 a blocking call is in
                progress; 10035 too many lookups.
            UsageError: The window is of another application.
        """
        return self._look_up("WSAAsyncGetHostByName", window, message, (name,), buffer).handle

    def async_get_host_by_addr(
        self,
        window: Window | None,
        message: int,
        address: str,
        buffer: Buffer | None,
        *,
        family: int = socket.AF_INET,
    ) -> int:
        """Look a host up by an address in its text form, likewise."""
        question = (address, int(family))
        return self._look_up("WSAAsyncGetHostByAddr", window, message, question, buffer).handle

    def async_get_serv_by_name(
        self,
        window: Window | None,
        message: int,
        name: str,
        protocol: str | None,
        buffer: Buffer | None,
    ) -> int:
        """Look a service up by its name and protocol (None: any), likewise."""
        question = (name, protocol)
        return self._look_up("WSAAsyncGetServByName", window, message, question, buffer).handle

    def async_get_serv_by_port(
        self,
        window: Window | None,
        message: int,
        port: int,
        protocol: str | None,
        buffer: Buffer | None,
    ) -> int:
        """Look a service up by its port in host order and its protocol, likewise."""
        question = (port, protocol)
        return self._look_up("WSAAsyncGetServByPort", window, message, question, buffer).handle

    def async_get_proto_by_name(
        self, window: Window | None, message: int, name: str, buffer: Buffer | None
    ) -> int:
        """Look a protocol up by its name, likewise."""
        return self._look_up("WSAAsyncGetProtoByName", window, message, (name,), buffer).handle

    def async_get_proto_by_number(
        self, window: Window | None, message: int, number: int, buffer: Buffer | None
    ) -> int:
        """Look a protocol up by its number, likewise."""
        return self._look_up("WSAAsyncGetProtoByNumber", window, message, (number,), buffer).handle

    def cancel_async_request(self, handle: int) -> None:
        """Cancel a lookup: it is silent from here on, and its buffer is the application's again.

        Raises:
            WinsockError: Nothing was cancelled: 10037 the lookup has ended, and its message was
                taken or will still come; 10022 no lookup has this handle, or (profile
                ``forgetting``) it has ended; 10093, 10050, 10036 as for a lookup.
            UsageError: A handle is a number.
        """
        if not isinstance(handle, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"a handle is a number, not {handle!r}")
        code = self.call(CANCEL, (handle,))
        if code:
            raise WinsockError(code, detail=f"handle {handle}")

    # --- blocking calls of 1.1 -------------------------------------------------------------------

    def blocking_call(self, name: str, function: Callable[[], T]) -> T:
        """Call what blocks, as ``recv`` does, so that ``cancel_blocking_call`` can end it.

        In a 1.1 application everything else fails with WSAEINPROGRESS meanwhile (C.0-10).  After a
        cancel ``function`` may still run; its socket is good for closing only, unless the call was
        ``accept`` or ``select``.

        Raises:
            WinsockError: 10004 it was cancelled; 10093, 10050, 10036 it was not begun.
            Exception: What ``function`` raises.
        """
        self.runtime.refuse_blocking(name)
        work = Blocking(function)
        request: Request = self.call(BLOCKING_CALL, (name,), work, is_asynchronous=False)
        request.get()
        if work.error is not None:
            raise work.error
        return work.value  # type: ignore[no-any-return]

    def cancel_blocking_call(self) -> None:
        """Cancel the blocking call that is in progress.

        Raises:
            WinsockError: 10022 there is none; 10045 2.x has no such call; 10093 not started.
        """
        self.call("WSACancelBlockingCall", ())

    # --- in coroutines ---------------------------------------------------------------------------

    async def host_by_name(self, name: str) -> HostEntry:
        """Look a host up; cancelling the task cancels the lookup.

        Raises:
            WinsockError: What the message says, or the call; 10093 a cleanup came first.
        """
        return await self._find("WSAAsyncGetHostByName", name)  # type: ignore[no-any-return]

    async def host_by_addr(self, address: str, *, family: int = socket.AF_INET) -> HostEntry:
        """Look a host up by its address, likewise."""
        return await self._find("WSAAsyncGetHostByAddr", address, int(family))  # type: ignore[no-any-return]

    async def serv_by_name(self, name: str, protocol: str | None = None) -> ServiceEntry:
        """Look a service up, likewise."""
        return await self._find("WSAAsyncGetServByName", name, protocol)  # type: ignore[no-any-return]

    async def serv_by_port(self, port: int, protocol: str | None = None) -> ServiceEntry:
        """Look a service up by its port, likewise."""
        return await self._find("WSAAsyncGetServByPort", port, protocol)  # type: ignore[no-any-return]

    async def proto_by_name(self, name: str) -> ProtocolEntry:
        """Look a protocol up, likewise."""
        return await self._find("WSAAsyncGetProtoByName", name)  # type: ignore[no-any-return]

    async def proto_by_number(self, number: int) -> ProtocolEntry:
        """Look a protocol up by its number, likewise."""
        return await self._find("WSAAsyncGetProtoByNumber", number)  # type: ignore[no-any-return]

    async def _find(self, operation: str, *question: Any) -> Any:
        window, buffer = self.window(), Buffer(MAXGETHOSTSTRUCT)
        while True:
            lookup = self._look_up(operation, window, 0, question, buffer)
            try:
                message = await window.get_of(lookup)
            except BaseException:
                self.give_up(lookup, window)
                raise
            if message.error == Code.ENOBUFS and message.length > buffer.size:
                buffer = Buffer(message.length)
            elif message.error:
                raise WinsockError(message.error, request=lookup.number)
            else:
                return buffer.entry

    def give_up(self, lookup: Lookup, window: Window) -> None:
        """Cancel a lookup that nobody awaits any more; a message that comes nevertheless is lost.

        What is on its way out here is what the task shall end with, so no error replaces it.
        """
        if lookup.is_done or window.is_destroyed:
            return
        with contextlib.suppress(RescindError):
            try:
                self.cancel_async_request(lookup.handle)
            except WinsockError:
                window.destroy()

    # --- the way in ------------------------------------------------------------------------------

    def _look_up(
        self,
        operation: str,
        window: Window | None,
        message: int,
        question: tuple[Any, ...],
        buffer: Buffer | None,
    ) -> Lookup:
        if window is not None and not window.is_of(self):
            raise UsageError(f"{window!r} is of another application")
        number = 0 if window is None or window.is_destroyed else window.number
        size = None if buffer is None else buffer.size
        lent = Lent(window, message, buffer)
        return self.call(operation, (number, message, question, size), lent)  # type: ignore[no-any-return]

    def call(
        self,
        operation: str,
        arguments: tuple[Any, ...],
        extra: Any = None,
        *,
        is_asynchronous: bool = True,
    ) -> Any:
        """Make one call, or have it refused because the resolver is calling the application."""
        if self._actor.port.is_calling and operation != "WSACancelBlockingCall":
            return self._call("InCallback", (operation, *arguments))
        return self._call(operation, arguments, extra, is_asynchronous=is_asynchronous)

    def _call(
        self,
        operation: str,
        arguments: tuple[Any, ...],
        extra: Any = None,
        *,
        is_asynchronous: bool = True,
    ) -> Any:
        message = Submit(operation, arguments, is_asynchronous, None)
        decided = self.runtime.call(self._actor, message, extra)
        if isinstance(decided, Refusal):
            raise WinsockError(decided.code, rule=decided.rule, request=decided.request)
        self.runtime.relieve()
        return decided

    def destroy_window(self, number: int) -> None:
        """Let a window's messages be lost from here on; no rule of Winsock's forbids that."""
        self._call("DestroyWindow", (number,))

    def take(self, request: Request) -> bool:
        """Have it recorded that a message was taken; False if a cleanup was quicker."""
        number = request.number
        message = CompletionScript([number, number], running=False, manner=Manner.TAKEN)
        try:
            self.runtime.call(self._actor, message)
        except WithdrawnError:
            return False
        return True

"""Asynchronous RPC as an application holds it: the documented functions in Python's spelling."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from rescind.actors.runtime import Runtime, UsageError

from ._calls import CANCEL_CALL, COMPLETE_CALL, CURRENT, ClientCall, Mark, Sent, ServerCall, call_of
from ._client import CALL, INITIALIZE, Client
from ._client import CLOSE as CLOSE_BINDING
from ._client import OPEN as OPEN_BINDING
from ._codes import Code
from ._endpoint import RpcEndpoint
from ._errors import RpcError
from ._machines import ClientState
from ._notify import NO_NOTIFICATION, NotifyBy
from ._protocol import PROFILES, Profile, call_status
from ._serving import CLOSE as CLOSE_SERVER
from ._serving import OPEN as OPEN_SERVER
from ._serving import Serving
from ._values import packed
from .drivers import Channel, Listener

CALLS_MAX = 100_000
"""So many calls may be outstanding, or wait to be fetched; one more is refused with 1723."""
RUNNING_MAX = 1_000
"""So many calls a server serves at a time; one more is refused with 1723."""

ASYNC_STATE_SIZE = 112
"""The size of an RPC_ASYNC_STATE on a machine of 64 bits."""
SIGNATURE = 0x43595341


@dataclass(slots=True)
class AsyncState:
    """RPC_ASYNC_STATE: the structure that a call is made with; zero until it is initialised.

    A program that gives none gets one with each call.  What the runtime sets, an application
    must not change; ``user_info`` is its own.  Source: spec/rpc.md section B.1.
    """

    size: int = 0
    signature: int = 0
    lock: int = 0
    flags: int = 0
    stub_info: Any = None
    user_info: Any = None
    runtime_info: int | None = None
    event: int = 0
    notification_type: int = 0
    reserved: tuple[int, int, int, int] = (0, 0, 0, 0)
    call: ClientCall | None = field(default=None, repr=False)
    """The call that it carried last."""
    refused: int = field(default=0, repr=False)
    """The number of the call that failed in the stub, if that was the last."""
    is_fresh: bool = field(default=False, repr=False)
    """Whether it was initialised since its last call."""

    @property
    def is_good(self) -> bool:
        """Tell whether it was initialised, and what the runtime set is as it was."""
        return (self.size, self.signature) == (ASYNC_STATE_SIZE, SIGNATURE)


Endpoint = TypeVar("Endpoint", bound=RpcEndpoint)


class End(Generic[Endpoint]):
    """One end of a connection, as an application holds it: closed behind a ``with``."""

    runtime: Runtime
    _actor: Endpoint

    def __enter__(self) -> Self:
        """Return the end itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    @property
    def number(self) -> int:
        """The actor's number, good as ``a5`` with the replay tools."""
        return self._actor.number

    def close(self) -> None:
        """End everything in order."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop the driver at once."""
        raise NotImplementedError

    def _close(self, operation: str) -> None:
        try:
            self._actor.ask(operation, (self.number,))
        finally:
            if self in self.runtime.owned:
                self.runtime.owned.remove(self)


class Binding(End[Client]):
    """Where a client calls a server: ``binding.call("render", 100)``.

    Threads: any thread may call.
    """

    def __init__(
        self,
        runtime: Runtime,
        channel: Channel,
        *,
        profile: str = "current",
        calls_max: int = CALLS_MAX,
    ) -> None:
        """Be open.

        Args:
            runtime: Whose log tells the calls' story.
            channel: What carries them: ``rpc.grpc_channel(...)``, or one end of ``rpc.twin()``.
            profile: ``current``, or ``strict``: a structure is initialised before each of its
                calls, and a result fetched after its notification only.
            calls_max: So many calls may be outstanding, or wait to be fetched.

        Raises:
            UsageError: There is no such profile, or the bound is below 1.
        """
        found = _profile(profile)
        if calls_max < 1:
            raise UsageError("calls_max is at least 1")
        self.runtime = runtime
        with runtime.holding_baton():
            number = runtime.next_number()
            bounds = (calls_max, channel.message_max)
            self._actor = Client(runtime, number, found, channel, bounds)
            class_number = runtime.class_number(Client)
        runtime.owned.append(self)
        self._actor.ask(OPEN_BINDING, (profile, self._actor.label, class_number, *bounds))

    def __repr__(self) -> str:
        """Show the selector and the channel."""
        return f"<a{self.number} rpc.Binding {self._actor.channel.label}>"

    # --- calls -----------------------------------------------------------------------------------

    def call(  # each is chosen by its name, and most by nobody
        self,
        procedure: str,
        *arguments: Any,
        timeout_s: float | None = None,
        deadline_s: float | None = None,
        notification: NotifyBy = NO_NOTIFICATION,
        metadata: Mapping[str, str] | None = None,
        state: AsyncState | None = None,
    ) -> ClientCall:
        """Call a procedure of the server; returns at once, before anything was sent.

        Whatever goes wrong from here on is the call's result.  Calls of one thread are dispatched
        in their order, and may end in any.

        Args:
            procedure: Its name.
            arguments: What MessagePack has a form for.
            timeout_s: After so long the call ends with 1818, and the server is not told.
            deadline_s: After so long the call ends with 1818, and the server is.
            notification: How to hear of the end; by default one asks for it.
            metadata: What the channel carries beside the arguments; it is not recorded.
            state: The structure to use, from ``initialize``.

        Raises:
            RpcError: 1702 the binding is closed; 1914 the structure is not initialised; 1915 it is
                in use; 87 an argument has no form in MessagePack, or all together are too long;
                1723 too many calls are outstanding.
            UsageError: A time is not above zero.
        """
        payload = packed(arguments)
        size = None if payload is None else len(payload)
        deadline_ns = _nanoseconds(deadline_s, "deadline_s")
        times_ns = [each for each in (deadline_ns, _nanoseconds(timeout_s, "timeout_s")) if each]
        standing = None if state is None else _standing(state)
        given = list(arguments) if payload is not None else []
        said = (procedure, given, size, int(notification.type), deadline_ns, standing)
        sent = Sent(payload, tuple((metadata or {}).items()), notification)
        try:
            call: ClientCall = self._actor.ask(
                CALL, said, sent, timeout_ns=min(times_ns, default=None)
            )
        except RpcError as error:
            if state is not None and error.code not in _USED_WRONGLY:
                state.call, state.refused = None, error.request
            raise
        if state is not None:
            state.call, state.refused, state.is_fresh = call, 0, False
            state.runtime_info = call.get_call_handle()
            state.notification_type = notification.type
        return call

    # --- functions on structures -----------------------------------------------------------------

    def initialize(
        self,
        state: AsyncState | None = None,
        *,
        size: int = ASYNC_STATE_SIZE,
        user_info: Any = None,
    ) -> AsyncState:
        """Initialise a structure, by default a new one; what is the application's stays as it is.

        Raises:
            RpcError: 87 the size is wrong.
        """
        if size != ASYNC_STATE_SIZE:
            self._actor.ask(INITIALIZE, (0, size))
        made = AsyncState(user_info=user_info) if state is None else state
        made.size, made.signature = size, SIGNATURE
        made.lock = made.flags = 0
        made.stub_info = made.runtime_info = None
        made.reserved = (0, 0, 0, 0)
        made.is_fresh = True
        return made

    def get_call_status(self, state: AsyncState) -> int:
        """Return how the structure's call stands: 0, 997, what it failed with; 1702 unused."""
        if state.call is not None:
            return state.call.get_call_status()
        standing = ClientState.FAILED if state.refused else ClientState.INIT
        return call_status(standing, Code.OK, self._actor.profile)

    def cancel_call(self, state: AsyncState, *, abort: bool) -> None:
        """Cancel the structure's call.

        Raises:
            RpcError: 1915 the call was not made yet; 1914 it is over, or its stub raised.
        """
        if state.call is not None:
            state.call.cancel_call(abort=abort)
        else:
            self._actor.ask(CANCEL_CALL, (0, abort, None, "", *_failed(state)))

    def complete_call(self, state: AsyncState) -> Any:
        """Fetch the result of the structure's call.

        Raises:
            RpcError: 1915 the call was not made yet; 1914 it is over, or its stub raised; 997 it is
                pending; else what it failed with.
        """
        if state.call is not None:
            return state.call.complete_call()
        return self._actor.ask(COMPLETE_CALL, (0, *_failed(state)))

    # --- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Close: calls in progress are given up, and the server hears that the client is gone."""
        self._close(CLOSE_BINDING)

    def stop(self) -> None:
        """Stop the channel at once; the runtime's log has failed."""
        self._actor.channel.close()


_USED_WRONGLY = frozenset({Code.INVALID_ASYNC_CALL, Code.INVALID_ASYNC_HANDLE})
"""After these the structure carries what it carried before."""


def _profile(name: str) -> Profile:
    if name not in PROFILES:
        raise UsageError(f"no profile {name!r}; there are {', '.join(sorted(PROFILES))}")
    return PROFILES[name]


def _nanoseconds(time_s: float | None, what: str) -> int | None:
    if time_s is None:
        return None
    if not time_s > 0:
        raise UsageError(f"{what} is a number of seconds above zero, not {time_s!r}")
    return max(1, round(time_s * 1e9))


def _standing(state: AsyncState) -> tuple[int, bool, bool]:
    """Say of a structure what the tables want to know: its last call, and whether it is good."""
    last = state.refused if state.call is None else state.call.number
    return last, state.is_good, state.is_fresh


def _failed(state: AsyncState) -> tuple[bool, ...]:
    return (True,) if state.refused else ()


class Server(End[Serving]):
    """Serves functions to clients: ``Server(runtime, {"render": render}, listener)``.

    A function runs in a thread of the runtime's (up to 32 at a time), a coroutine function in its
    event loop.  What it returns is the result; what it raises ends the call with 1726, and
    ``rpc.Abort(code)`` with that code.

    Threads: any thread may call.
    """

    def __init__(
        self,
        runtime: Runtime,
        functions: Mapping[str, Callable[..., Any]],
        listener: Listener,
        *,
        running_max: int = RUNNING_MAX,
    ) -> None:
        """Listen from here on.

        Args:
            runtime: Whose log tells the calls' story.
            functions: What clients may call, by name.
            listener: Where calls come from: ``rpc.grpc_listener(...)``, or the other end of
                ``rpc.twin()``.
            running_max: So many calls it serves at a time.

        Raises:
            UsageError: The bound is below 1.
            OSError: It can't listen there.
        """
        if running_max < 1:
            raise UsageError("running_max is at least 1")
        self.runtime = runtime
        self._closed = Mark()
        with runtime.holding_baton():
            number = runtime.next_number()
            given = (listener, dict(functions), running_max)
            self._actor = Serving(runtime, number, PROFILES["current"], *given)
            class_number = runtime.class_number(Serving)
        runtime.owned.append(self)
        names = sorted(functions)
        label = self._actor.label
        self._actor.ask(OPEN_SERVER, ("current", label, class_number, running_max, names))
        try:
            listener.open(self._actor.port)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        """Show the selector and the listener."""
        return f"<a{self.number} rpc.Server {self._actor.listener.label}>"

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the server is closed; False after ``timeout_s``."""
        return self.runtime.wait(self._closed, timeout_s)

    def close(self) -> None:
        """Close: nobody hears any more of the calls that run, and their functions hear 1725."""
        try:
            self._close(CLOSE_SERVER)
        finally:
            self._closed.come()

    def stop(self) -> None:
        """Stop the listener at once; the runtime's log has failed."""
        self._actor.listener.close()


# --- inside of a server's function ---------------------------------------------------------------


def current_call() -> ServerCall:
    """Return the call that the running function serves.

    Raises:
        RpcError: 1725 it serves none.
    """
    call = CURRENT.get()
    if call is None:
        raise RpcError(Code.NO_CALL_ACTIVE)
    return call


def test_cancel(handle: int = 0) -> int:  # noqa: PT028  # a documented name, and no test
    """Return 0 when the call was cancelled, 1791 when not: RpcServerTestCancel, upside down.

    Args:
        handle: From ``call.get_call_handle()``; 0 is the call that the running function serves.

    Returns:
        1702 when there is no such handle, 1725 when no call is active here, or it is over.
    """
    call = CURRENT.get() if handle == 0 else call_of(handle)
    if isinstance(call, ServerCall):
        return call.test_cancel()
    return Code.NO_CALL_ACTIVE if handle == 0 else Code.INVALID_BINDING


def is_cancelled() -> bool:
    """Tell whether the client has cancelled the call that the running function serves.

    Raises:
        RpcError: 1725 it serves none, or that one is over.
    """
    return current_call().is_cancelled()


def wait_cancelled(timeout_s: float | None = None) -> bool:
    """Sleep until that call is cancelled, or ``timeout_s`` seconds; tell whether it is.

    Raises:
        RpcError: 1725 the function serves none, or that one is over.
    """
    return current_call().wait_cancelled(timeout_s)

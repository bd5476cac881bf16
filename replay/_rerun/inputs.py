"""What re-enters a re-execution from the log: endpoints' beginnings, answers, errors, payloads."""

import builtins
from contextlib import suppress
from typing import Any

from rescind.actors import native
from rescind.actors.native._requests import Requests
from rescind.actors.newton import _protocol as newton
from rescind.actors.newton._actors import NewtonEndpoint
from rescind.actors.rpc import _protocol as rpc
from rescind.actors.rpc._client import Client
from rescind.actors.rpc._intercept import Traffic
from rescind.actors.rpc._serving import Serving
from rescind.actors.runtime import Runtime
from rescind.actors.runtime._recovery import REASON
from rescind.actors.runtime._survivors import Survivors
from rescind.actors.winsock import _protocol as winsock
from rescind.actors.winsock._actors import Winsock
from rescind.events import (
    Accepted,
    Ask,
    Completed,
    Fail,
    LogReader,
    Proxy,
    Recover,
    Resume,
    Start,
    Stopped,
    Submit,
    Tell,
)
from rescind.events._turn import holds_withheld

from .recorded import Recorded
from .recording import CannotGoOnError, PayloadWithheldError
from .stand_ins import Resolver, Tool, Wire

_NEEDS_PAYLOAD = frozenset({Start, Tell, Ask, Proxy, Resume, Submit, Fail})
"""What handlers compute with.  What drivers report is only handed on, so a stand-in will do."""
_ATOMS = frozenset({type(None), bool, int, float, str, bytes})
"""Values in which nothing has to be brought to life."""


def newton_endpoint(runtime: Runtime, message: Submit) -> NewtonEndpoint:
    """Return the endpoint that a recorded call has made."""
    profile, label, _, *encoding = message.arguments
    tool: Any = Tool(label)
    return NewtonEndpoint(runtime, runtime.next_number(), newton.PROFILES[profile], tool, *encoding)


def winsock_application(runtime: Runtime, message: Submit) -> Winsock:
    """Return the application that a recorded call has made."""
    profile, label, _, *bounds = message.arguments
    resolver: Any = Resolver(label)
    number = runtime.next_number()
    return Winsock(runtime, number, winsock.PROFILES[profile], resolver, (bounds[0], bounds[1]))


def rpc_binding(runtime: Runtime, message: Submit) -> Client:
    """Return the client that a recorded call has made."""
    profile, label, _, *bounds = message.arguments
    channel: Any = Wire(label.partition(" ")[2])
    number = runtime.next_number()
    return Client(runtime, number, rpc.PROFILES[profile], channel, (bounds[0], bounds[1]))


def rpc_server(runtime: Runtime, message: Submit) -> Serving:
    """Return the server that a recorded call has made; its functions are only names."""
    profile, label, _, running_max, names = message.arguments
    listener: Any = Wire(label.partition(" ")[2])
    functions = dict.fromkeys(names, _nothing)
    number = runtime.next_number()
    return Serving(runtime, number, rpc.PROFILES[profile], listener, functions, running_max)


def _nothing() -> None:
    """Stand where a server's function was."""


def rpc_traffic(runtime: Runtime, message: Submit) -> Traffic:
    """Return what the interceptors of a recorded gRPC application reported to."""
    del message
    return Traffic(runtime, runtime.next_number())


def is_plain(value: Any) -> bool:
    """Tell whether nothing in a value has to be brought to life."""
    kind = value.__class__
    return kind in _ATOMS or (kind is tuple and _ATOMS.issuperset(map(type, value)))


def bring_back_error(target: Any, said: Any) -> None:
    """Let work have raised again what it raised."""
    if isinstance(target, native.Request) and target.spec is not None and isinstance(said, str):
        target.spec.error = error_said(said)


def error_said(said: str) -> Exception:
    """Return an exception by its text: of Python's own at least the type.

    Nothing is looked up but those; any other gets a stand-in of the same name.
    """
    name, _, text = said.partition(": ")
    cls = getattr(builtins, name, None)
    made: Exception = type(name, (Exception,), {})(text)
    if isinstance(cls, type) and issubclass(cls, Exception):
        with suppress(TypeError):
            made = cls(text)
    return made


def check_payload(turn: Recorded) -> None:
    """See that what today's code computes with is there.

    Raises:
        PayloadWithheldError: A payload policy kept it out of the log.
    """
    if not turn.replayable and turn.kind in _NEEDS_PAYLOAD and holds_withheld(turn.message):
        raise PayloadWithheldError(turn.number)


def check_requests(turn: Recorded, requests: object) -> None:
    """See that a turn that is left out does not decide of native requests that are executed.

    They belong to both who ask and who answer, and the log does not hold what only those know.

    Raises:
        CannotGoOnError: It does.
    """
    if not isinstance(requests, Requests):
        return
    for event in turn.events:
        is_new = isinstance(event, Accepted) and event.endpoint == requests.number
        is_end = isinstance(event, Completed) and event.request in requests.requests
        if is_new or is_end:
            text = f"a{turn.actor}, which is not executed, has a part in r{event.request}"
            raise CannotGoOnError(text)


def survivors_of(reader: LogReader, behind: int) -> tuple[Survivors, set[int]]:
    """Fold the turns before ``behind``, while others are read.

    Returns:
        What they leave behind, and whom the recovery that begins there has ended: it may have known
        fewer classes than we do.
    """
    survivors, ended, damage = Survivors(), set[int](), reader.damage
    for turn in reader:
        if turn.number < behind:
            survivors.feed(turn)
        elif not isinstance(turn.message, Recover):
            break
        elif Stopped(turn.actor, REASON) in turn.events:
            ended.add(turn.actor)
    reader.damage = damage
    return survivors, ended

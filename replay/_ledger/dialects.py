"""What replay knows of each dialect: the dialect's own pure tables, seen through one shape.

A log names its dialects as text; text chooses a row here and nothing else is ever imported because
a log says so.  A dialect that is not in the registry is read with no rules of its own: its ledger
is shown and the laws that need a table have nothing to forbid.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from rescind.events import How, Submit

from .lives import CancelLife, RequestLife

TIME_OUT = "time-out"
DEADLINE = "deadline"
TIMES = frozenset({TIME_OUT, DEADLINE})
"""The triggers of cancels that nobody called: a request's time ran out."""
CLIENT = "client"
"""The trigger of a cancel whose story goes on in the log of the request's caller."""
FROM_CLIENT = frozenset({CLIENT, "client cancel", "client abort"})
"""The triggers of cancels that a server heard of from its client."""
SERVE = "Serve"
"""The operation of a request that a function of the application answers."""


def _no_name(code: int) -> str | None:
    del code
    return None


def _no_meaning(code: int) -> str:
    del code
    return ""


@dataclass(frozen=True, slots=True)
class Tables:
    """One dialect under one profile.

    Attributes:
        name: The dialect's name in the log.
        states: State number to documented name.
        window_operations: What an open cancel window forbids.
        window_code: The code of that refusal; None where nothing is refused.
        cancelled_codes: The codes that a victim of the given operation may hear; None: any.
        delivery_rank: Rank of an operation among the victims of one cancel; None: no order.
        cancel_rank: Rank of the cancel's own completion among its victims' deliveries.
        synchronous_rank: Rank of a blocked synchronous victim.
        cancel_ends_last: Whether the window may close only after its victims' deliveries.
        time_out_is_cancel: Whether a time-out opens a window and ends it by its own completion.
        is_one_unit: Whether an endpoint and its requests alone speak of each other.
        code_name: A code's documented name.
        code_meaning: A code in a few words.
        because: Rows of the table that decides what a cancel achieves, and why, by their ids.
        triggers: Who ended a request, in words, by the cancel's trigger.
        called: What a request is a call of, and whose, by its submission; None where its
            operation says it.
        caller: Which request of which log a request serves, by its submission.
    """

    name: str = ""
    states: dict[int, str] = field(default_factory=dict[int, str])
    window_operations: frozenset[str] = frozenset()
    window_code: int | None = None
    cancelled_codes: Callable[[RequestLife], frozenset[int | None]] | None = None
    delivery_rank: dict[str, int] | None = None
    cancel_rank: int = 0
    synchronous_rank: int = 0
    cancel_ends_last: bool = False
    time_out_is_cancel: bool = True
    is_one_unit: bool = False
    code_name: Callable[[int], str | None] = _no_name
    code_meaning: Callable[[int], str] = _no_meaning
    because: dict[str, str] = field(default_factory=dict[str, str])
    triggers: Mapping[str, str] = field(default_factory=dict[str, str])
    called: Callable[[Submit], list[str]] | None = None
    caller: Callable[[Submit], tuple[bytes, int] | None] | None = None

    def forbids(self, cancel: CancelLife, operation: str) -> bool:
        """Return whether the cancel's open window refuses this operation."""
        silent = cancel.trigger == TIME_OUT and not self.time_out_is_cancel
        return not silent and operation in self.window_operations


@cache
def tables(dialect: str, profile: str = "") -> Tables:
    """Return the tables of a dialect under a profile, or empty ones for an unknown dialect."""
    loader = _REGISTRY.get(dialect)
    return Tables(name=dialect) if loader is None else loader(profile)


def code_text(table: Tables, code: int | None) -> str:
    """Return a code as people want it: number and name, ``ok`` for success.

    >>> code_text(Tables(), None), code_text(Tables(), -7)
    ('ok', '-7')
    """
    if code is None:
        return "ok"
    name = table.code_name(code)
    return f"{code} {name}" if name else str(code)


def end_text(table: Tables, code: int | None, how: int) -> str:
    """Return how something ended: by its code, or without one in a word.

    >>> end_text(Tables(), None, How.RESULT), end_text(Tables(), None, How.TIMED_OUT)
    ('ok', 'timed out')
    """
    if code is not None or how == How.RESULT:
        return code_text(table, code)
    try:
        return How(how).name.lower().replace("_", " ")
    except ValueError:
        return str(how)


def state_text(table: Tables, state: int | None) -> str:
    """Return a state's documented name, or its number."""
    return "?" if state is None else table.states.get(state, str(state))


def _newton(profile_name: str) -> Tables:
    # Imported here: `rescind info` on a log without this dialect needs none of it.
    from rescind.actors.newton import _codes, _protocol  # noqa: PLC0415

    profile = _protocol.PROFILES.get(profile_name, _protocol.GUIDE)

    def cancelled_codes(request: RequestLife) -> frozenset[int | None]:
        codes = {int(_protocol.cancelled_code(request.operation, profile))}
        if request.operation in _protocol.RECEIVES:
            codes.add(int(profile.release_input_code))
        if not request.asynchronous:
            if request.timed_out is not None:
                codes.add(int(profile.synchronous_time_out_code))
            if request.operation in _protocol.SYNCHRONOUS_UNDO:
                codes.add(int(profile.synchronous_undo_code))
        return frozenset(codes)

    return Tables(
        name="newton",
        states=_protocol.STATES,
        window_operations=_protocol.WINDOW_OPERATIONS,
        window_code=_protocol.WINDOW_CODE,
        cancelled_codes=cancelled_codes,
        delivery_rank=_protocol.DELIVERY_RANK,
        cancel_rank=_protocol.CANCEL_RANK,
        synchronous_rank=_protocol.SYNCHRONOUS_RANK,
        cancel_ends_last=True,
        time_out_is_cancel=profile.time_out_opens_window,
        is_one_unit=True,
        code_name=_codes.name,
        code_meaning=_codes.meaning,
    )


def _native(_profile: str) -> Tables:
    # Imported here for the same reason.
    from rescind.actors.native import _protocol  # noqa: PLC0415

    return Tables(
        name="native",
        cancelled_codes=lambda _: frozenset({None}),
        code_name=_protocol.NAMES.get,
        code_meaning=lambda code: _protocol.MEANINGS.get(code, ""),
    )


def _rpc(profile_name: str) -> Tables:
    # Imported here for the same reason.
    from rescind.actors.rpc import _codes, _protocol, _status  # noqa: PLC0415

    if profile_name == _status.PROFILE:
        return _plain_grpc()

    def called(message: Submit) -> list[str]:
        return [each for each in _arguments(message)[:1] if type(each) is str]

    return Tables(
        name="rpc",
        states=_protocol.STATES,
        window_operations=_protocol.WINDOW_OPERATIONS,
        # On both sides: a server's function that ends as it likes has not been cancelled.
        cancelled_codes=lambda _: frozenset({int(_protocol.CANCELLED_CODE)}),
        delivery_rank=_protocol.DELIVERY_RANK,
        is_one_unit=True,
        code_name=_codes.name,
        code_meaning=_codes.meaning,
        because={row.id: row.because for row in _protocol.CANCELS.values()},
        called=called,
    )


def _winsock(_profile: str) -> Tables:
    # Imported here for the same reason.
    from rescind.actors.winsock import _codes, _protocol  # noqa: PLC0415

    def cancelled_codes(request: RequestLife) -> frozenset[int | None]:
        return frozenset({_protocol.cancelled_code(request.operation)})

    return Tables(
        name="winsock",
        states=_protocol.STATES,
        window_operations=_protocol.WINDOW_OPERATIONS,
        cancelled_codes=cancelled_codes,
        delivery_rank=_protocol.DELIVERY_RANK,
        is_one_unit=True,
        code_name=_codes.name,
        code_meaning=_codes.meaning,
        because={row.id: row.because for row in _protocol.CANCELS.values()},
    )


def _arguments(message: Submit) -> tuple[Any, ...]:
    """Return what was called with, also where a log holds something else in its place."""
    given: Any = message.arguments
    return tuple(given) if type(given) in (list, tuple) else ()


def _plain_grpc() -> Tables:
    # Imported here for the same reason.
    from rescind.actors.rpc import _status  # noqa: PLC0415

    def called(message: Submit) -> list[str]:
        return [each for each in _arguments(message)[:2] if type(each) is str]

    def caller(message: Submit) -> tuple[bytes, int] | None:
        mark = _status.read_mark((*_arguments(message), "", "", "")[2], 2)
        return None if mark is None else (mark[0], mark[1][0])

    return Tables(
        name="rpc",
        cancelled_codes=lambda _: frozenset(map(int, _status.CANCELLED_CODES)),
        delivery_rank=_status.DELIVERY_RANK,
        is_one_unit=True,
        code_name=_status.name,
        code_meaning=_status.meaning,
        triggers=_status.WORDS,
        called=called,
        caller=caller,
    )


_REGISTRY: dict[str, Callable[[str], Tables]] = {
    "native": _native,
    "newton": _newton,
    "rpc": _rpc,
    "winsock": _winsock,
}

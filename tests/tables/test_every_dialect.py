"""What must hold of the tables of every dialect, whatever they say."""

import itertools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

import pytest

import rescind.actors.native._protocol as native
import rescind.actors.newton._codes as newton_codes
import rescind.actors.newton._protocol as newton
import rescind.actors.rpc._codes as rpc_codes
import rescind.actors.rpc._machines as rpc_machines
import rescind.actors.rpc._protocol as rpc
import rescind.actors.tapi._codes as tapi_codes
import rescind.actors.tapi._protocol as tapi
import rescind.actors.winsock._codes as winsock_codes
import rescind.actors.winsock._protocol as winsock

PROTOCOLS: dict[str, Any] = {"newton": newton, "rpc": rpc, "tapi": tapi, "winsock": winsock}
CODES: dict[str, Any] = {
    "newton": newton_codes,
    "rpc": rpc_codes,
    "tapi": tapi_codes,
    "winsock": winsock_codes,
}
LETTER = {"newton": "N", "rpc": "R", "tapi": "T", "winsock": "W"}
DIALECTS = sorted(PROTOCOLS)

ID = re.compile(r"[NRTW]-[0-9A-Z]+-[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Machine:
    """One state machine of a dialect, as far as every one of them goes."""

    states: Iterable[Any]
    events: Iterable[Any]
    rows: tuple[Any, ...]
    impossible: tuple[Any, ...]
    initial: Collection[Any]
    terminal: Collection[Any]


MACHINES: dict[str, Machine] = {
    "winsock lookup": Machine(
        winsock.LookupState,
        winsock.Event,
        winsock.TRANSITIONS,
        winsock.IMPOSSIBLE,
        {winsock.INITIAL},
        winsock.TERMINAL,
    ),
    "rpc client": Machine(
        rpc_machines.ClientState,
        rpc_machines.ClientEvent,
        rpc_machines.CLIENT_TRANSITIONS,
        rpc_machines.CLIENT_IMPOSSIBLE,
        {rpc_machines.CLIENT_INITIAL},
        rpc_machines.CLIENT_TERMINAL,
    ),
    "rpc server": Machine(
        rpc_machines.ServerState,
        rpc_machines.ServerEvent,
        rpc_machines.SERVER_TRANSITIONS,
        rpc_machines.SERVER_IMPOSSIBLE,
        {rpc_machines.SERVER_INITIAL},
        rpc_machines.SERVER_TERMINAL,
    ),
    "tapi request": Machine(
        tapi.RequestState,
        tapi.RequestEvent,
        tapi.REQUEST_TRANSITIONS,
        tapi.REQUEST_IMPOSSIBLE,
        {tapi.REQUEST_INITIAL},
        tapi.REQUEST_TERMINAL,
    ),
    "tapi handle": Machine(
        tapi.HandleState,
        tapi.HandleEvent,
        tapi.HANDLE_TRANSITIONS,
        tapi.HANDLE_IMPOSSIBLE,
        {tapi.HandleState.VOID},
        {tapi.HandleState.GONE},
    ),
    "tapi provider's handle": Machine(
        tapi.ProviderHandleState,
        tapi.HandleEvent,
        tapi.PROVIDER_HANDLE_TRANSITIONS,
        tapi.PROVIDER_HANDLE_IMPOSSIBLE,
        {tapi.ProviderHandleState.TENTATIVE},
        {tapi.ProviderHandleState.INVALID, tapi.ProviderHandleState.CLOSED},
    ),
}
each_machine = pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))
each_dialect = pytest.mark.parametrize("dialect", DIALECTS)


def reach(start: Iterable[Any], step: Callable[[Any], Iterable[Any]]) -> set[Any]:
    """Everything that can be got to from ``start``."""
    found, todo = set(start), list(start)
    while todo:
        for target in step(todo.pop()):
            if target not in found:
                found.add(target)
                todo.append(target)
    return found


def targets(machine: Machine, state: Any) -> set[Any]:
    return {row.next for row in machine.rows if row.state == state}


# --- machines ----------------------------------------------------------------------------------


@each_machine
def test_each_state_and_event_has_one_row_or_one_written_refusal(machine: Machine) -> None:
    said = Counter((row.state, row.event) for row in machine.rows)
    said.update((state, row.event) for row in machine.impossible for state in row.states)
    wanted = set(itertools.product(machine.states, machine.events))
    assert set(said) == wanted
    assert {pair: times for pair, times in said.items() if times > 1} == {}


@each_machine
def test_each_refusal_gives_its_reason(machine: Machine) -> None:
    assert all(row.reason.strip() and len(row.states) for row in machine.impossible)


@each_machine
def test_each_row_can_be_reached(machine: Machine) -> None:
    reached = reach(machine.initial, lambda state: targets(machine, state))
    assert reached == set(machine.states)
    assert [row.id for row in machine.rows if row.state not in reached] == []


@each_machine
def test_each_state_can_finish(machine: Machine) -> None:
    stuck = [
        state
        for state in machine.states
        if not reach([state], lambda at: targets(machine, at)) & set(machine.terminal)
    ]
    assert stuck == []


@each_machine
def test_terminal_states_are_terminal_and_the_others_are_not(machine: Machine) -> None:
    for state in machine.states:
        leaves = targets(machine, state) - {state}
        assert bool(leaves) == (state not in machine.terminal), state


@each_machine
def test_no_row_completes_what_is_over(machine: Machine) -> None:
    assert [
        row.id
        for row in machine.rows
        if row.state in machine.terminal and getattr(row, "completes", False)
    ] == []


def test_a_request_completes_once_on_every_path() -> None:
    """L1: a completing row leads where no other completing row can be reached."""
    for name in ("winsock lookup", "rpc client", "rpc server"):
        machine = MACHINES[name]
        completing = [row for row in machine.rows if row.completes]
        assert completing, name
        for row in completing:
            after = reach([row.next], partial(targets, machine))
            assert [again.id for again in completing if again.state in after] == [], row.id


def test_call_states_are_exhaustive_and_only_idle_is_last() -> None:
    assert set(tapi.CALL_TRANSITIONS) == set(tapi_codes.CallState)
    for state, row in tapi.CALL_TRANSITIONS.items():
        assert row.state is state
        assert bool(row.next - {state}) == (state not in tapi.CALL_TERMINAL)
        ends = reach([state], lambda at: tapi.CALL_TRANSITIONS[at].next)
        assert ends & tapi.CALL_TERMINAL, state
    assert reach(tapi.NEW_INCOMING.next, lambda at: tapi.CALL_TRANSITIONS[at].next) == set(
        tapi_codes.CallState
    )


def test_a_newton_endpoint_reaches_every_state_and_can_be_taken_down_from_each() -> None:
    def step(state: newton.State) -> set[newton.State]:
        found: set[newton.State] = set()
        for row in newton.OPERATIONS.values():
            if state in row.admitted:
                found |= {at for at in (row.pending, row.done, row.failed) if at is not None}
            if state is row.pending:
                found |= {at for at in (row.done, row.failed) if at is not None}
        if state not in (newton.State.UNINIT, newton.State.UNBND):
            found |= set(newton.REMOTE_EVENT_STATE.values())
        return found

    every = set(newton.State) - {newton.State.UNINIT}
    assert reach([newton.State.UNBND], step) == every
    for state in every:
        assert newton.State.UNBND in reach([state], step), state


def test_a_newton_operation_that_moves_the_state_says_where_it_ends() -> None:
    for row in newton.OPERATIONS.values():
        moves = {row.done, row.failed}
        assert (None in moves) == (moves == {None}), row.name
        assert row.admitted, row.name
        assert newton.State.UNINIT not in row.admitted, row.name


# --- rule ids ----------------------------------------------------------------------------------


def objects_with_ids(value: Any, seen: set[int]) -> Iterable[Any]:
    """Every row in a module's value: in tuples, mappings and profiles."""
    if id(value) in seen:
        return
    seen.add(id(value))
    held: Any = value
    inside: Iterable[Any] = ()
    if isinstance(value, Mapping):
        inside = held.values()
    elif isinstance(value, tuple | list | set | frozenset):
        inside = held
    elif isinstance(value, type):
        return
    elif isinstance(getattr(value, "id", None), str):
        yield value
    elif hasattr(value, "admission"):
        inside = [getattr(value, name) for name in value.__dataclass_fields__]
    for item in inside:
        yield from objects_with_ids(item, seen)


def rows_of(dialect: str) -> list[Any]:
    return list(objects_with_ids(PROTOCOLS[dialect].__dict__, set()))


def ids_of(dialect: str) -> list[str]:
    return [row.id for row in rows_of(dialect)] + list(
        getattr(PROTOCOLS[dialect], "PROVIDER_RULES", {})
    )


def test_rule_ids_are_unique_over_all_dialects() -> None:
    times = Counter(rule for dialect in DIALECTS for rule in ids_of(dialect))
    assert {rule: count for rule, count in times.items() if count > 1} == {}
    assert len(times) > 200


@each_dialect
def test_rule_ids_follow_the_one_pattern(dialect: str) -> None:
    odd = [
        rule
        for rule in ids_of(dialect)
        if not ID.fullmatch(rule) or not rule.startswith(LETTER[dialect])
    ]
    assert odd == []


@each_dialect
def test_a_check_is_named_after_the_code_that_it_raises(dialect: str) -> None:
    checks = [row for row in rows_of(dialect) if hasattr(row, "refuses")]
    assert checks
    for check in checks:
        value = f"{check.code & 0xFFFF_FFFF:08X}" if dialect == "tapi" else str(abs(check.code))
        assert check.id.split("-")[1] == value, check.id
        assert check.source


# --- codes -------------------------------------------------------------------------------------


@each_dialect
def test_every_code_has_a_name_and_a_meaning_of_its_own_words(dialect: str) -> None:
    codes = CODES[dialect]
    assert set(codes.MEANINGS) == set(codes.Code)
    for code in codes.Code:
        assert codes.name(code), code
        assert codes.meaning(code).strip(), code
        assert not codes.meaning(code).endswith("."), code
    names = [codes.name(code) for code in codes.Code]
    assert len(set(names)) == len(names)


@each_dialect
def test_a_code_of_nobodys_is_answered_without_an_error(dialect: str) -> None:
    assert CODES[dialect].name(123456) is None
    assert "not documented" in CODES[dialect].meaning(123456)
    assert not CODES[dialect].is_cancelled(123456)
    assert not CODES[dialect].is_cancelled(None)


@each_dialect
def test_every_code_in_a_table_is_a_code_of_the_dialect(dialect: str) -> None:
    code_type = CODES[dialect].Code
    for row in rows_of(dialect):
        for field in ("code", "returns"):
            value = getattr(row, field, None)
            assert value is None or isinstance(value, code_type), row.id
    protocol = PROTOCOLS[dialect]
    assert protocol.CANCELLED_CODE is None or isinstance(protocol.CANCELLED_CODE, code_type)
    assert isinstance(CODES[dialect].CANCELLED_CODES, frozenset)


@each_dialect
def test_the_cancelled_code_counts_as_cancelled(dialect: str) -> None:
    protocol = PROTOCOLS[dialect]
    if protocol.CANCELLED_CODE is not None:
        assert CODES[dialect].is_cancelled(protocol.CANCELLED_CODE)


# --- who cancels -------------------------------------------------------------------------------


TRIGGERS = {
    "native": {native.CANCEL, native.TIME_OUT, native.STOP, native.RESTART, native.TASK},
    "newton": {"Cancel", "Disconnect", "Release", newton.TIME_OUT},
    "rpc": {*rpc.TRIGGERS.values(), rpc.CLIENT_CANCEL, rpc.CLIENT_ABORT},
    "tapi": {*tapi.Order, *tapi.Closing} - {tapi.Closing.FORCED},
    "winsock": {"WSACancelAsyncRequest", "WSACleanup", "WSACancelBlockingCall"},
}
"""Those of dialects with actors are compared with a log in ``test_cancellers``."""
CANCELLING = {"native": native, **PROTOCOLS}


@pytest.mark.parametrize("dialect", sorted(CANCELLING))
def test_who_may_cancel_is_written_down_for_each_trigger(dialect: str) -> None:
    cancellers = CANCELLING[dialect].CANCELLERS
    assert set(cancellers) == TRIGGERS[dialect]
    for trigger, row in cancellers.items():
        assert row.trigger == trigger
        assert all(text.strip() for text in (row.who, row.ends, row.source)), trigger


@pytest.mark.parametrize("dialect", sorted(CANCELLING))
def test_a_victim_without_a_code_hears_what_the_table_says_in_words(dialect: str) -> None:
    protocol = CANCELLING[dialect]
    assert protocol.CANCELLED_CODE is not None or protocol.CANCELLED_WORD.strip()
    assert isinstance(protocol.WINDOW_OPERATIONS, frozenset)


def test_what_a_native_cancel_achieves_is_written_down_for_each_stage() -> None:
    assert set(native.CANCELS) == set(native.Stage)
    assert len(set(native.CANCELS.values())) == len(native.Stage)


# --- what replay reads -------------------------------------------------------------------------


@each_dialect
def test_replay_finds_the_names_that_it_reads(dialect: str) -> None:
    protocol = PROTOCOLS[dialect]
    assert protocol.STATES
    assert all(isinstance(state, int) and name for state, name in protocol.STATES.items())
    assert set(protocol.OPERATIONS) >= protocol.WINDOW_OPERATIONS
    assert set(protocol.DELIVERY_RANK) <= set(protocol.OPERATIONS)
    assert all(name == profile.name for name, profile in protocol.PROFILES.items())


def test_only_newton_has_a_window_that_forbids() -> None:
    forbidding = [dialect for dialect in DIALECTS if PROTOCOLS[dialect].WINDOW_OPERATIONS]
    assert forbidding == ["newton"]


@each_dialect
def test_profiles_differ(dialect: str) -> None:
    profiles = list(PROTOCOLS[dialect].PROFILES.values())
    assert len(profiles) >= 2
    assert len({repr(profile) for profile in profiles}) == len(profiles)


@pytest.mark.parametrize("dialect", ["rpc", "tapi", "winsock"])
def test_the_order_is_a_partial_order(dialect: str) -> None:
    order = PROTOCOLS[dialect].ORDER
    after = {row.first: {r.then for r in order if r.first == row.first} for row in order}
    for row in order:
        assert row.first not in reach([row.then], lambda step: after.get(step, ())), row.id


@pytest.mark.parametrize("dialect", ["rpc", "winsock"])
def test_each_step_of_the_order_is_used(dialect: str) -> None:
    protocol = PROTOCOLS[dialect]
    used = {step for row in protocol.ORDER for step in (row.first, row.then)}
    assert used == set(protocol.Step)


@pytest.mark.parametrize("dialect", ["rpc", "tapi", "winsock"])
def test_the_tables_load_without_what_acts(dialect: str) -> None:
    """Replay reads a table where neither Pykka nor a driver's library may be loaded."""
    code = (
        f"import rescind.actors.{dialect}._protocol, sys; "
        "print(*sorted({'pykka', 'pycares', 'grpc', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == ""


def test_states_are_small_integers_for_the_log() -> None:
    for machine in MACHINES.values():
        assert all(isinstance(state, IntEnum) for state in machine.states)

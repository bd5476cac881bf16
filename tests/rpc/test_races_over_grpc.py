"""Cancels that race with completions over a real wire, and processes that are killed.

``RESCIND_RACES`` says how many calls race (default 200), ``RESCIND_KILLS`` how many processes are
killed (a fiftieth of it, default 200, is killed on each side).
"""

import os
import random
from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest

from rescind import Runtime, rpc
from rescind.events import (
    CancelOutcome,
    CancelRequested,
    Completed,
    Outcome,
    Submit,
    read,
)
from tests.ports import free_port

from .processes import start
from .server_child import FUNCTIONS
from .test_over_grpc import World, assert_sound

RACES = int(os.environ.get("RESCIND_RACES", "200"))
KILLS = max(1, int(os.environ.get("RESCIND_KILLS", "200")) // 50)
SEED = int(os.environ.get("RESCIND_KILL_SEED", random.randrange(1 << 30)))
AT_ONCE = 20
LONGEST_S = 0.01
DOCUMENTED = {None, 1722, 1726, 1727, 1818}
WAIT_S = 20.0


class Side:
    """What one log says of the calls, by the client's number."""

    def __init__(self, path, operation):
        self.codes: dict[int, int | None] = {}
        self.cancels: dict[int, list[tuple[str, int, Any, int]]] = {}
        self.outcomes: dict[int, Outcome] = {}
        numbers: dict[int, int] = {}
        cancelled: dict[int, int] = {}
        for turn in read(path):
            for event in turn.events:
                if isinstance(turn.message, Submit) and hasattr(event, "handle"):
                    is_served = operation == "Serve"
                    call = turn.message.arguments[3][1] if is_served else event.request
                    numbers[event.request] = call
                elif isinstance(event, Completed) and event.request in numbers:
                    self.codes[numbers[event.request]] = event.code
                    if event.by:
                        self.outcomes[event.by] = Outcome.WON
                elif isinstance(event, CancelRequested) and event.scope in numbers:
                    call = numbers[event.scope]
                    cancelled[event.cancel] = call
                    told = (event.trigger, turn.number, turn.cause)
                    self.cancels.setdefault(call, []).append((*told, event.cancel))
                elif isinstance(event, CancelOutcome):
                    self.outcomes[event.cancel] = Outcome(event.outcome)


@pytest.mark.timeout(60 + RACES // 10)
def test_a_cancel_that_races_is_the_same_in_both_logs(tmp_path):
    chance = random.Random(RACES)
    aborted: dict[int, bool] = {}
    ends: dict[int, int | None] = {}
    with ExitStack() as stack:
        world = World(tmp_path, stack)
        for first in range(0, RACES, AT_ONCE):
            calls = [
                world.call("race", LONGEST_S) for _ in range(first, min(first + AT_ONCE, RACES))
            ]
            for call in chance.sample(calls, len(calls)):
                call.wait_done(chance.uniform(0.0001, LONGEST_S / 4))
                aborted[call.number] = chance.random() < 0.3
                call.cancel_call(abort=aborted[call.number])
            for call in calls:
                assert call.wait_done(WAIT_S)
                ends[call.number] = call.get_call_status() or None
    assert_sound(world.client_log)
    assert_sound(world.server_log)
    client = Side(world.client_log, "Call")
    server = Side(world.server_log, "Serve")
    log_id = read(world.client_log).log_id
    assert client.codes == ends
    assert set(server.codes) == set(ends), "the server ends every call"
    seen: Counter[str] = Counter()
    for call, code in ends.items():
        ((trigger, turn, _, cancel),) = client.cancels[call]
        outcome = client.outcomes[cancel]
        seen[f"{trigger} {outcome.name}"] += 1
        theirs = server.cancels.get(call, [])
        for told, _, cause, _ in theirs:
            assert (cause.log, cause.number) == (log_id, turn)
            assert told == ("client abort" if aborted[call] else "client cancel")
        if aborted[call]:
            assert (code, outcome) in {(1818, Outcome.WON), (None, Outcome.TOO_LATE)}
            assert code == 1818 or server.codes[call] is None
        else:
            assert (code, outcome) in {
                (1818, Outcome.WON), (None, Outcome.IGNORED), (None, Outcome.TOO_LATE),
            }  # fmt: skip
            assert server.codes[call] == code
        if code == 1818 and not aborted[call]:
            assert [server.outcomes[each[-1]] for each in theirs] == [Outcome.WON]
    print(f"RESCIND_RACES={RACES}: {dict(seen)}")  # noqa: T201
    assert len(seen) > 1, "something must have been raced for"


@pytest.mark.timeout(60 + 20 * KILLS)
def test_a_server_that_is_killed_leaves_every_call_with_a_documented_code(tmp_path):
    print(f"repeat with RESCIND_KILL_SEED={SEED}")  # noqa: T201
    chance = random.Random(SEED)
    address = f"127.0.0.1:{free_port()}"
    log, server_log = tmp_path / "client.log", tmp_path / "server.log"
    codes: Counter[int | None] = Counter()
    with Runtime.open(log) as runtime, rpc.Binding(runtime, rpc.grpc_channel(address)) as binding:
        for _ in range(KILLS):
            server: Any = start("server_child.py", server_log, address)
            with server:
                assert server.stdout.readline()
                while True:  # the channel waits a moment before it connects again
                    hello = binding.call("echo", 1)
                    assert hello.wait_done(WAIT_S)
                    if hello.get_call_status() == 0:
                        break
                calls = [binding.call("race", 0.05) for _ in range(50)]
                for call in calls[::3]:
                    call.cancel_call(abort=False)
                calls[0].wait_done(chance.uniform(0.0001, 0.03))
                server.kill()
            for call in calls:
                assert call.wait_done(WAIT_S), f"{call} has no end"
                codes[call.get_call_status() or None] += 1
    assert set(codes) <= DOCUMENTED, codes
    print(f"{KILLS} kills: {dict(codes)}")  # noqa: T201
    Runtime.open(server_log).close()
    assert_sound(log)
    assert_sound(server_log)


@pytest.mark.timeout(60 + 20 * KILLS)
def test_a_client_that_is_killed_is_heard_of_and_every_call_ends(tmp_path):
    print(f"repeat with RESCIND_KILL_SEED={SEED}")  # noqa: T201
    chance = random.Random(SEED)
    log, client_log = tmp_path / "server.log", tmp_path / "client.log"
    listener = rpc.grpc_listener()
    functions = {each.__name__: each for each in FUNCTIONS}
    with Runtime.open(log) as runtime, rpc.Server(runtime, functions, listener):
        for kill in range(KILLS):
            arguments = client_log, listener.address, SEED + kill
            client: Any = start("client_child.py", *arguments)
            with client:
                assert client.stdout.readline() == b"called\n"
                with pytest.raises(Exception, match="timed out"):
                    client.wait(chance.uniform(0.001, 0.3))
                client.kill()
    Runtime.open(client_log).close()
    assert_sound(log)
    assert_sound(client_log)
    accepted = Side(log, "Serve")
    assert accepted.codes
    assert set(accepted.codes.values()) <= DOCUMENTED

"""The table of gRPC's statuses, and of who ended a call."""

import re
import subprocess
import sys

import grpc
import pytest

from rescind.actors.rpc import _status
from rescind.actors.rpc._status import CALL, ENDINGS, SERVE, Source, Status, Trigger
from rescind.events import Submit
from rescind.replay._ledger.dialects import tables
from rescind.replay._why.targets import call_text


def test_the_numbers_and_names_are_grpcs() -> None:
    assert {(each.name, each.value[0]) for each in grpc.StatusCode} == {
        (each.name, int(each)) for each in Status
    }
    assert set(_status.MEANINGS) == set(Status)
    assert [_status.name(1), _status.name(17)] == ["CANCELLED", None]


def test_each_ending_has_a_rule_of_its_own() -> None:
    ids = [row.id for row in ENDINGS]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"G-[A-Z]+-[a-z-]+", each) for each in ids)
    for row in ENDINGS:
        assert _status.ended_by(row.operation, row.code, row.source) is row.trigger


@pytest.mark.parametrize("status", set(Status) - _status.CANCELLED_CODES)
@pytest.mark.parametrize("operation", [CALL, SERVE])
def test_other_statuses_are_results_and_nobody_ended_the_call(
    operation: str, status: Status
) -> None:
    assert all(_status.ended_by(operation, status, source) is None for source in Source)


def test_every_trigger_says_who_and_in_words() -> None:
    assert set(_status.CANCELLERS) == set(_status.WORDS) == set(Trigger)
    noted = {Trigger.CANCEL, Trigger.PARENT, Trigger.DROPPED, Trigger.CLIENT}
    assert {row.trigger for row in ENDINGS} | noted == set(Trigger)


def test_replay_reads_the_table_by_the_profile() -> None:
    grpc_, current = tables("rpc", "grpc"), tables("rpc", "current")
    assert grpc_.code_name(10) == "ABORTED"
    assert current.code_name(10) != "ABORTED"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("/shop/Buy",), "a call of /shop/Buy"),
        (["/shop/Buy\x1b[2J", "peer", ""], "a call of /shop/Buy\\x1b[2J, from peer"),
        ((), None),
        ((7, None), None),
        (None, None),
    ],
)
def test_what_a_log_says_of_a_call_is_shown_with_care(arguments: object, told: str | None) -> None:
    message = Submit("Serve", arguments, asynchronous=True, timeout_ns=None)  # type: ignore[arg-type]
    called, caller = tables("rpc", "grpc").called, tables("rpc", "grpc").caller
    assert called is not None
    assert caller is not None
    said = called(message)
    assert (call_text(said, None) if said else None) == told
    assert caller(message) is None


def test_the_table_loads_neither_grpc_nor_pykka() -> None:
    code = "import sys, rescind.actors.rpc._status; print({'grpc', 'pykka'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

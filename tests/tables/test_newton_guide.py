"""The guide's names beside Python's: all of them, and each with what the tables say of it."""

from collections import Counter
from dataclasses import fields
from inspect import signature
from typing import Any

import pytest

from rescind import newton
from rescind.actors.newton._codes import Code, constant
from rescind.actors.newton._constants import OP_CODES, SEND_FLAGS, OpCode, SendFlag
from rescind.actors.newton._forms import FORMS
from rescind.actors.newton._guide import METHODS, SLOTS
from rescind.actors.newton._parameters import refuse_slots
from rescind.actors.newton._protocol import OPERATIONS

# The Reference's pages 20-18 to 20-31, and RequestsPending of the device.
METHODS_OF_THE_GUIDE = {
    *{"Instantiate", "Bind", "UnBind", "Dispose", "Connect", "Listen", "Accept", "Disconnect"},
    *{"Output", "SetInputSpec", "Input", "Partial", "FlushInput", "FlushPartial", "Cancel"},
    *{"Option", "ExceptionHandler", "EventHandler", "State", "RequestsPending"},
    *{"StreamIn", "StreamOut"},
}

# Its pages 20-7 to 20-17, 20-29 and 20-30; an option's form is always that of its data here.
SLOTS_OF_THE_GUIDE = {
    "Option": {"type", "label", "opCode", "result", "data"},
    "CallbackSpec": {"async", "reqTimeout", "CompletionScript"},
    "OutputSpec": {"sendFlags", "form", "target"},
    "OutputTarget": {"offset", "length"},
    "InputSpec": {
        *{"form", "target", "termination", "discardAfter", "rcvFlags", "reqTimeout", "filter"},
        *{"rcvOptions", "partialFrequency", "InputScript", "PartialScript", "CompletionScript"},
    },
    "Terminator": {"condition", "index", "byteCount"},
    "InputTarget": {"data", "offset"},
    "Template": {"arglist", "typelist"},
    "Termination": {"byteCount", "endSequence", "useEOP"},
    "Filter": {"byteProxy", "sevenBit"},
    "Event": {"eventCode", "data", "serviceId", "time"},
    "StreamSpec": {"form", "reqTimeout", "sendFlags, rcvFlags", "target.store", "ProgressScript"},
}


def test_every_method_of_the_guide_has_its_row() -> None:
    named = Counter(row.guide for row in METHODS.values() if row.guide)
    assert named == Counter(METHODS_OF_THE_GUIDE)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_there_under_its_name(name: str) -> None:
    assert hasattr(newton.StreamingEndpoint, name) or name in signature(newton.Endpoint).parameters


def test_every_operation_is_asked_for_by_one_method() -> None:
    asked = Counter(operation for row in METHODS.values() for operation in row.operations)
    assert asked == Counter(OPERATIONS.keys())


def test_every_slot_of_the_guide_has_its_row() -> None:
    found: dict[str, set[str]] = {}
    for row in SLOTS.values():
        found.setdefault(row.spec, set()).add(row.guide)
    assert found == SLOTS_OF_THE_GUIDE


@pytest.mark.parametrize(("spec", "field"), SLOTS)
def test_a_slot_is_there_under_its_name(spec: str, field: str) -> None:
    assert field in {each.name for each in fields(getattr(newton, spec))}


# A value of each slot that is refused where it does not go with the form.
GIVEN: dict[tuple[str, str], dict[str, Any]] = {
    ("Termination", "byte_count"): {"byte_count": 4},
    ("Termination", "end_sequence"): {"end_sequence": [b"\n"]},
    ("Termination", "use_eop"): {"use_eop": True, "rcv_flags": SendFlag.PACKET},
    ("Filter", "byte_proxy"): {"byte_proxy": [[1, 2]]},
    ("Filter", "seven_bit"): {"seven_bit": True},
    ("InputSpec", "partial_frequency_s"): {"partial_frequency_ns": 1},
    ("InputSpec", "rcv_flags"): {"rcv_flags": SendFlag.PACKET},
    ("InputTarget", "data"): {"size": 16},
    ("InputTarget", "offset"): {"offset": 0},
    ("Template", "typelist"): {"typelist": ["long"]},
}
NEEDED: dict[str, dict[str, Any]] = {"binary": {"size": 16}, "template": {"typelist": ["long"]}}


@pytest.mark.parametrize("slot", GIVEN, ids=".".join)
def test_a_slot_goes_with_the_forms_that_do_not_refuse_it(slot: tuple[str, str]) -> None:
    taken = set()
    for form in FORMS:
        slots = {"form": form, **NEEDED.get(form, {}), **GIVEN[slot]}
        if refuse_slots(slots, has_buffer_bytes=slots.pop("size", None)) is None:
            taken.add(form)
    assert taken == SLOTS[slot].forms


def test_every_constant_has_its_name() -> None:
    assert OP_CODES.keys() == set(OpCode)
    assert SEND_FLAGS.keys() == {SendFlag(0), *SendFlag}


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (-16005, "kCommErrRequestCanceled"),
        (-16017, "kCommErrListenerTimeOut"),
        (-16023, "kCommErrOptionNotSupported"),
        (-36003, "TACCESS"),
        (-54000, "kCommScriptNoActiveInputSpec"),
        (-54016, "kCommScriptCharNotSingleByte"),
        (-54021, "kCommOptionFailure"),
        (-54024, "kCommOptionNotSupported"),
        (-54025, "kCommOptionBadOpCode"),
        (-10021, "kOSErrMessageTimedOut"),
        (-10039, "kOSErrCallAborted"),
        (-48803, None),
        (-16999, None),
        (0, None),
    ],
)
def test_a_code_has_its_documented_name(code: int, name: str | None) -> None:
    assert constant(code) == name


def test_no_two_codes_have_one_name() -> None:
    names = Counter(constant(code) for code in Code)
    del names[None]
    assert set(names.values()) == {1}

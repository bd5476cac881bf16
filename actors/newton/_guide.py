"""What the guide calls what Python spells in its own way: methods and slots.

Pure.  For those who have the Programmer's Guide open, and for the reference page, which is made of
these rows.  Sources: the Newton Programmer's Reference 2.0, pages 20-7 to 20-32; spec section 3.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ._forms import FORMS, Form


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the guide's protos, or a function that the application gives to them."""

    python: str
    guide: str
    """Empty: Python's alone."""
    operations: tuple[str, ...]
    """What it asks for: rows of ``OPERATIONS``.  None: it is answered at once."""


METHODS: dict[str, Method] = {
    row.python: row
    for row in (
        Method("__init__", "Instantiate", ()),
        Method("bind", "Bind", ("Bind",)),
        Method("unbind", "UnBind", ("UnBind",)),
        Method("dispose", "Dispose", ()),
        Method("connect", "Connect", ("Connect",)),
        Method("listen", "Listen", ("Listen",)),
        Method("accept", "Accept", ("Accept",)),
        Method("disconnect", "Disconnect", ("Disconnect", "Release")),
        Method("output", "Output", ("Output",)),
        Method("set_input_spec", "SetInputSpec", ("Input",)),
        Method("receive", "", ("Receive",)),
        Method("input", "Input", ()),
        Method("partial", "Partial", ()),
        Method("flush_input", "FlushInput", ()),
        Method("flush_partial", "FlushPartial", ()),
        Method("cancel", "Cancel", ("Cancel",)),
        Method("option", "Option", ("Option",)),
        Method("exception_handler", "ExceptionHandler", ()),
        Method("event_handler", "EventHandler", ()),
        Method("state", "State", ()),
        Method("requests_pending", "RequestsPending", ()),
        Method("stream_in", "StreamIn", ("StreamIn",)),
        Method("stream_out", "StreamOut", ("StreamOut",)),
    )
}
"""By Python's name, in the order of the Reference."""


def _forms(takes: Callable[[Form], bool]) -> frozenset[str]:
    return frozenset(name for name, row in FORMS.items() if takes(row))


_BINARY = _forms(lambda row: row.target == "buffer")
_TEMPLATE = _forms(lambda row: row.target == "template")
_TERMINATED = _forms(lambda row: row.termination != "none")
_WITH_SEQUENCE = _forms(lambda row: row.termination == "all")
_DISCARDING = _forms(lambda row: row.discards)
_FILTERED = _forms(lambda row: row.filters)
_SHOWN = _forms(lambda row: row.partial)

AT_CALL = "at the call"
WHEN_SET = "when set"
WHEN_POSTED = "when posted"
WHEN_CALLED = "when called"


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot of one of the guide's frames, and the field that it is here."""

    spec: str
    """The class."""
    python: str
    guide: str
    read: str = ""
    """When its value is looked at; a change after that has no effect."""
    forms: frozenset[str] = frozenset(FORMS)
    """The forms that it goes with."""


SLOTS: dict[tuple[str, str], Slot] = {
    (row.spec, row.python): row
    for row in (
        Slot("CallbackSpec", "asynchronous", "async", AT_CALL),
        Slot("CallbackSpec", "timeout_s", "reqTimeout", AT_CALL),
        Slot("CallbackSpec", "completion_script", "CompletionScript", WHEN_CALLED),
        Slot("OutputSpec", "send_flags", "sendFlags", AT_CALL),
        Slot("OutputSpec", "form", "form", AT_CALL),
        Slot("OutputSpec", "target", "target", AT_CALL, _BINARY),
        Slot("OutputTarget", "offset", "offset", AT_CALL, _BINARY),
        Slot("OutputTarget", "length", "length", AT_CALL, _BINARY),
        Slot("InputSpec", "input_script", "InputScript", WHEN_CALLED),
        Slot("InputSpec", "completion_script", "CompletionScript", WHEN_CALLED),
        Slot("InputSpec", "form", "form", WHEN_SET),
        Slot("InputSpec", "termination", "termination", WHEN_SET, _TERMINATED),
        Slot("InputSpec", "discard_after", "discardAfter", WHEN_SET, _DISCARDING),
        Slot("InputSpec", "timeout_s", "reqTimeout", WHEN_SET),
        Slot("InputSpec", "target", "target", forms=_BINARY | _TEMPLATE),
        Slot("InputSpec", "rcv_flags", "rcvFlags", WHEN_SET),
        Slot("InputSpec", "filter", "filter", WHEN_SET, _FILTERED),
        Slot("InputSpec", "rcv_options", "rcvOptions", WHEN_SET),
        Slot("InputSpec", "partial_script", "PartialScript", WHEN_CALLED, _SHOWN),
        Slot("InputSpec", "partial_frequency_s", "partialFrequency", WHEN_SET, _SHOWN),
        Slot("InputTarget", "data", "data", WHEN_POSTED, _BINARY),
        Slot("InputTarget", "offset", "offset", WHEN_SET, _BINARY),
        Slot("Template", "arglist", "arglist", forms=_TEMPLATE),
        Slot("Template", "typelist", "typelist", WHEN_SET, _TEMPLATE),
        Slot("Termination", "byte_count", "byteCount", WHEN_SET, _TERMINATED),
        Slot("Termination", "end_sequence", "endSequence", WHEN_SET, _WITH_SEQUENCE),
        Slot("Termination", "use_eop", "useEOP", WHEN_SET, _TERMINATED),
        Slot("Filter", "byte_proxy", "byteProxy", WHEN_SET, _FILTERED),
        Slot("Filter", "seven_bit", "sevenBit", WHEN_SET, _FILTERED),
        Slot("Terminator", "condition", "condition"),
        Slot("Terminator", "byte_count", "byteCount"),
        Slot("Terminator", "index", "index"),
        Slot("Option", "label", "label", AT_CALL),
        Slot("Option", "data", "data", AT_CALL),
        Slot("Option", "op_code", "opCode", AT_CALL),
        Slot("Option", "type", "type", AT_CALL),
        Slot("Option", "result", "result"),
        Slot("Event", "event_code", "eventCode"),
        Slot("Event", "data", "data"),
        Slot("Event", "service_id", "serviceId"),
        Slot("Event", "time_ms", "time"),
        Slot("StreamSpec", "form", "form"),
        Slot("StreamSpec", "timeout_s", "reqTimeout"),
        Slot("StreamSpec", "flags", "sendFlags, rcvFlags"),
        Slot("StreamSpec", "store", "target.store"),
        Slot("StreamSpec", "progress_script", "ProgressScript"),
    )
}
"""By class and field; a field that is not here is Python's alone."""

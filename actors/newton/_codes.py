"""The result codes of the Newton endpoint interface: value, name, meaning.

Names follow Apple's headers without their prefixes, which ``constant`` puts back; meanings are in
our own words.
Source: spec/newton.md section 7.
"""

from enum import IntEnum


class Code(IntEnum):
    """Every code that an endpoint may report."""

    COMMAND_IN_PROGRESS = -16001
    BAD_COMMAND = -16002
    TOOL_BUSY = -16003
    BUFFER_OVERFLOW = -16004
    REQUEST_CANCELED = -16005
    BAD_PARAMETER = -16006
    NO_CONNECTION_END = -16007
    ALREADY_CONNECTED = -16008
    NOT_CONNECTED = -16009
    INCOMPATIBLE_REMOTE = -16010
    RETRANS_LIMIT_REACHED = -16011
    NO_DATA_AVAILABLE = -16012
    CONNECTION_ABORTED = -16013
    NOT_SUPPORTED = -16014
    NO_REQUEST_PENDING = -16015
    NO_EVENT_PENDING = -16016
    LISTENER_TIME_OUT = -16017
    ALREADY_BOUND = -16018
    NOT_BOUND = -16019
    RELEASING_CONNECTION = -16020
    NO_PHONE_NUMBER = -16021
    RESOURCE_NOT_AVAILABLE = -16022
    OPTION_NOT_SUPPORTED = -16023
    METHOD_NOT_IMPLEMENTED = -16024

    TBADADDR = -36001
    TBADOPT = -36002
    TACCESS = -36003
    TBADF = -36004
    TNOADDR = -36005
    TOUTSTATE = -36006
    TBADSEQ = -36007
    TSYSERR = -36008
    TLOOK = -36009
    TBADDATA = -36010
    TBUFOVFLW = -36011
    TFLOW = -36012
    TNODATA = -36013
    TNODIS = -36014
    TNOUDERR = -36015
    TBADFLAG = -36016
    TNOREL = -36017
    TNOTSUPPORT = -36018
    TSTATECHNG = -36019
    TNOSTRUCTYPE = -36020
    TBADNAME = -36021
    TBADQLEN = -36022
    TADDRBUSY = -36023
    TINDOUT = -36024
    TPROVMISMATCH = -36025
    TRESQLEN = -36026
    TRESADDR = -36027
    TQFULL = -36028
    TPROTO = -36029
    TALRDYSYNC = -36030

    NO_ACTIVE_INPUT_SPEC = -54000
    BAD_FORM = -54001
    ZERO_LENGTH_DATA = -54002
    EXPECTED_SPEC = -54003
    INVALID_OPTION = -54004
    INVALID_END_SEQUENCE = -54005
    INAPPROPRIATE_PARTIAL = -54006
    INAPPROPRIATE_TERMINATION = -54007
    INAPPROPRIATE_TARGET = -54008
    INAPPROPRIATE_FILTER = -54009
    EXPECTED_TARGET = -54010
    EXPECTED_TEMPLATE = -54011
    INPUT_SPEC_ALREADY_ACTIVE = -54012
    INVALID_PROXY = -54013
    NO_ENDPOINT_AVAILABLE = -54014
    INAPPROPRIATE_CALL = -54015
    CHAR_NOT_SINGLE_BYTE = -54016
    OPTION_FAILURE = -54021
    OPTION_PART_SUCCESS = -54022
    OPTION_READ_ONLY = -54023
    OPTION_NOT_SUPPORTED_HERE = -54024
    OPTION_BAD_OP_CODE = -54025
    OPTION_NOT_FOUND = -54026
    OPTION_TRUNCATED = -54027

    MESSAGE_TIMED_OUT = -10021
    CALL_ABORTED = -10039
    NO_SERVICE_OPTION = -26004
    UNKNOWN_SERVICE = -26005
    WRONG_ARGUMENT_COUNT = -48803
    SERIAL_OVERRUN = -18003


MEANINGS: dict[Code, str] = {
    Code.COMMAND_IN_PROGRESS: "a command is already running",
    Code.BAD_COMMAND: "unknown or unsuitable command",
    Code.TOOL_BUSY: "every request slot of the tool is taken",
    Code.BUFFER_OVERFLOW: "a buffer overflowed",
    Code.REQUEST_CANCELED: "the request was canceled",
    Code.BAD_PARAMETER: "bad parameter",
    Code.NO_CONNECTION_END: "the connection end does not exist yet",
    Code.ALREADY_CONNECTED: "already connected",
    Code.NOT_CONNECTED: "not connected, or the line was cut",
    Code.INCOMPATIBLE_REMOTE: "the two sides could not agree",
    Code.RETRANS_LIMIT_REACHED: "too many retransmissions",
    Code.NO_DATA_AVAILABLE: "no data for a get that does not block",
    Code.CONNECTION_ABORTED: "the connection was torn down",
    Code.NOT_SUPPORTED: "not supported by this tool",
    Code.NO_REQUEST_PENDING: "no request is pending",
    Code.NO_EVENT_PENDING: "no event is pending",
    Code.LISTENER_TIME_OUT: "no caller came in time",
    Code.ALREADY_BOUND: "already bound",
    Code.NOT_BOUND: "not bound",
    Code.RELEASING_CONNECTION: "the connection is being released",
    Code.NO_PHONE_NUMBER: "no number to call",
    Code.RESOURCE_NOT_AVAILABLE: "a resource is not available",
    Code.OPTION_NOT_SUPPORTED: "the tool does not know this option",
    Code.METHOD_NOT_IMPLEMENTED: "the tool does not implement this call",
    Code.TBADADDR: "bad address",
    Code.TBADOPT: "bad options, or none where some are needed",
    Code.TACCESS: "a cancel is in progress",
    Code.TBADF: "bad endpoint",
    Code.TNOADDR: "no address",
    Code.TOUTSTATE: "wrong state for this call",
    Code.TBADSEQ: "bad sequence",
    Code.TSYSERR: "system error",
    Code.TLOOK: "an event wants attention first",
    Code.TBADDATA: "bad amount of data",
    Code.TBUFOVFLW: "a buffer is too small",
    Code.TFLOW: "flow control forbids it",
    Code.TNODATA: "no data",
    Code.TNODIS: "no disconnect to look at",
    Code.TNOUDERR: "no data error to look at",
    Code.TBADFLAG: "bad flags",
    Code.TNOREL: "no release to look at",
    Code.TNOTSUPPORT: "not supported",
    Code.TSTATECHNG: "the state is changing",
    Code.TNOSTRUCTYPE: "unknown structure type",
    Code.TBADNAME: "bad name",
    Code.TBADQLEN: "bad queue length",
    Code.TADDRBUSY: "the address is in use",
    Code.TINDOUT: "an indication is outstanding",
    Code.TPROVMISMATCH: "the providers differ",
    Code.TRESQLEN: "queue length where none may be",
    Code.TRESADDR: "Accept on another endpoint",
    Code.TQFULL: "the queue is full",
    Code.TPROTO: "protocol error",
    Code.TALRDYSYNC: "a synchronous call is already pending",
    Code.NO_ACTIVE_INPUT_SPEC: "no input spec is active",
    Code.BAD_FORM: "unknown form, or data that does not fit it",
    Code.ZERO_LENGTH_DATA: "nothing to send",
    Code.EXPECTED_SPEC: "a spec is missing",
    Code.INVALID_OPTION: "not an option",
    Code.INVALID_END_SEQUENCE: "bad end sequence",
    Code.INAPPROPRIATE_PARTIAL: "partial input does not go with this form",
    Code.INAPPROPRIATE_TERMINATION: "this termination does not go with this form",
    Code.INAPPROPRIATE_TARGET: "this target does not go with this form, or is out of range",
    Code.INAPPROPRIATE_FILTER: "a filter does not go with this form",
    Code.EXPECTED_TARGET: "the form needs a target",
    Code.EXPECTED_TEMPLATE: "the form needs a template",
    Code.INPUT_SPEC_ALREADY_ACTIVE: "an input spec is already active",
    Code.INVALID_PROXY: "bad byte proxy",
    Code.NO_ENDPOINT_AVAILABLE: "there is no endpoint (any more)",
    Code.INAPPROPRIATE_CALL: "the call does not go with this endpoint",
    Code.CHAR_NOT_SINGLE_BYTE: "a character that needs more than one byte",
    Code.OPTION_FAILURE: "the option failed",
    Code.OPTION_PART_SUCCESS: "the option succeeded in part",
    Code.OPTION_READ_ONLY: "the option can only be read",
    Code.OPTION_NOT_SUPPORTED_HERE: "the option is not supported here",
    Code.OPTION_BAD_OP_CODE: "bad option operation",
    Code.OPTION_NOT_FOUND: "no such option",
    Code.OPTION_TRUNCATED: "the option's data was cut",
    Code.MESSAGE_TIMED_OUT: "a message timed out",
    Code.CALL_ABORTED: "the call was aborted after it had succeeded, and undone",
    Code.NO_SERVICE_OPTION: "the options name no service",
    Code.UNKNOWN_SERVICE: "unknown service",
    Code.WRONG_ARGUMENT_COUNT: "a script takes another number of arguments",
    Code.SERIAL_OVERRUN: "serial overrun or framing error",
}

CANCELLED_CODES = frozenset(
    {Code.REQUEST_CANCELED, Code.CONNECTION_ABORTED, Code.CALL_ABORTED},
)
"""The codes under which a device reports a canceled request (spec/newton.md 5.10)."""


def name(code: int) -> str | None:
    """Return the code's name in Python spelling, or None for a code of nobody's."""
    return Code(code).name if code in MEANINGS else None


_PREFIXES = {10: "kOSErr", 16: "kCommErr", 36: "", 54: "kCommScript"}
"""What the documented names of a group begin with; its number is the codes' thousands."""


def constant(code: int) -> str | None:
    """Return the documented name, like ``kCommErrRequestCanceled``, or None if we know of none.

    Sources: the Reference's tables 20-4 and 20-5 for -54xxx, Apple's headers for the others.
    """
    prefix = _PREFIXES.get(-code // 1000)
    if code not in MEANINGS or prefix is None:
        return None
    found = Code(code)
    if not prefix:
        return found.name
    if found is Code.OPTION_NOT_SUPPORTED_HERE:  # there are two of that name
        return "kCommOptionNotSupported"
    if found <= Code.OPTION_FAILURE:
        prefix = "kComm"
    return prefix + "".join(word.capitalize() for word in found.name.split("_"))


def meaning(code: int) -> str:
    """Return what the code means, in a few words."""
    return MEANINGS[Code(code)] if code in MEANINGS else "a code that is not documented"


def is_cancelled(code: int | None) -> bool:
    """Tell whether a result means that the request was canceled."""
    return code in CANCELLED_CODES

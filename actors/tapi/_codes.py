"""The documented numbers of telephony: result codes with name and meaning, states, privileges.

Values are what a caller sees: signed 32 bits, so that 0x80000048 is -2147483576.  Names are the
documented ones without their prefix; meanings are in our own words.
Source: spec/tapi.md section A.6.
"""

from enum import IntEnum

_BASE = -0x8000_0000
"""0x80000000 read as signed; documented error numbers count from here."""


class Code(IntEnum):
    """Every LINEERR code, and the three TAPIERR codes that turn up beside them."""

    ALLOCATED = _BASE + 0x01
    BADDEVICEID = _BASE + 0x02
    BEARERMODEUNAVAIL = _BASE + 0x03
    CALLUNAVAIL = _BASE + 0x05
    COMPLETIONOVERRUN = _BASE + 0x06
    CONFERENCEFULL = _BASE + 0x07
    DIALBILLING = _BASE + 0x08
    DIALDIALTONE = _BASE + 0x09
    DIALPROMPT = _BASE + 0x0A
    DIALQUIET = _BASE + 0x0B
    INCOMPATIBLEAPIVERSION = _BASE + 0x0C
    INCOMPATIBLEEXTVERSION = _BASE + 0x0D
    INIFILECORRUPT = _BASE + 0x0E
    INUSE = _BASE + 0x0F
    INVALADDRESS = _BASE + 0x10
    INVALADDRESSID = _BASE + 0x11
    INVALADDRESSMODE = _BASE + 0x12
    INVALADDRESSSTATE = _BASE + 0x13
    INVALAPPHANDLE = _BASE + 0x14
    INVALAPPNAME = _BASE + 0x15
    INVALBEARERMODE = _BASE + 0x16
    INVALCALLCOMPLMODE = _BASE + 0x17
    INVALCALLHANDLE = _BASE + 0x18
    INVALCALLPARAMS = _BASE + 0x19
    INVALCALLPRIVILEGE = _BASE + 0x1A
    INVALCALLSELECT = _BASE + 0x1B
    INVALCALLSTATE = _BASE + 0x1C
    INVALCALLSTATELIST = _BASE + 0x1D
    INVALCARD = _BASE + 0x1E
    INVALCOMPLETIONID = _BASE + 0x1F
    INVALCONFCALLHANDLE = _BASE + 0x20
    INVALCONSULTCALLHANDLE = _BASE + 0x21
    INVALCOUNTRYCODE = _BASE + 0x22
    INVALDEVICECLASS = _BASE + 0x23
    INVALDEVICEHANDLE = _BASE + 0x24
    INVALDIALPARAMS = _BASE + 0x25
    INVALDIGITLIST = _BASE + 0x26
    INVALDIGITMODE = _BASE + 0x27
    INVALDIGITS = _BASE + 0x28
    INVALEXTVERSION = _BASE + 0x29
    INVALGROUPID = _BASE + 0x2A
    INVALLINEHANDLE = _BASE + 0x2B
    INVALLINESTATE = _BASE + 0x2C
    INVALLOCATION = _BASE + 0x2D
    INVALMEDIALIST = _BASE + 0x2E
    INVALMEDIAMODE = _BASE + 0x2F
    INVALMESSAGEID = _BASE + 0x30
    INVALPARAM = _BASE + 0x32
    INVALPARKID = _BASE + 0x33
    INVALPARKMODE = _BASE + 0x34
    INVALPOINTER = _BASE + 0x35
    INVALPRIVSELECT = _BASE + 0x36
    INVALRATE = _BASE + 0x37
    INVALREQUESTMODE = _BASE + 0x38
    INVALTERMINALID = _BASE + 0x39
    INVALTERMINALMODE = _BASE + 0x3A
    INVALTIMEOUT = _BASE + 0x3B
    INVALTONE = _BASE + 0x3C
    INVALTONELIST = _BASE + 0x3D
    INVALTONEMODE = _BASE + 0x3E
    INVALTRANSFERMODE = _BASE + 0x3F
    LINEMAPPERFAILED = _BASE + 0x40
    NOCONFERENCE = _BASE + 0x41
    NODEVICE = _BASE + 0x42
    NODRIVER = _BASE + 0x43
    NOMEM = _BASE + 0x44
    NOREQUEST = _BASE + 0x45
    NOTOWNER = _BASE + 0x46
    NOTREGISTERED = _BASE + 0x47
    OPERATIONFAILED = _BASE + 0x48
    OPERATIONUNAVAIL = _BASE + 0x49
    RATEUNAVAIL = _BASE + 0x4A
    RESOURCEUNAVAIL = _BASE + 0x4B
    REQUESTOVERRUN = _BASE + 0x4C
    STRUCTURETOOSMALL = _BASE + 0x4D
    TARGETNOTFOUND = _BASE + 0x4E
    TARGETSELF = _BASE + 0x4F
    UNINITIALIZED = _BASE + 0x50
    USERUSERINFOTOOBIG = _BASE + 0x51
    REINIT = _BASE + 0x52
    ADDRESSBLOCKED = _BASE + 0x53
    BILLINGREJECTED = _BASE + 0x54
    INVALFEATURE = _BASE + 0x55
    NOMULTIPLEINSTANCE = _BASE + 0x56
    INVALAGENTID = _BASE + 0x57
    INVALAGENTGROUP = _BASE + 0x58
    INVALPASSWORD = _BASE + 0x59
    INVALAGENTSTATE = _BASE + 0x5A
    INVALAGENTACTIVITY = _BASE + 0x5B
    DIALVOICEDETECT = _BASE + 0x5C
    USERCANCELLED = _BASE + 0x5D
    INVALADDRESSTYPE = _BASE + 0x5E
    INVALAGENTSESSIONSTATE = _BASE + 0x5F
    DISCONNECTED = _BASE + 0x60
    SERVICE_NOT_RUNNING = _BASE + 0x61
    REQUESTFAILED = -16
    REQUESTCANCELLED = -17
    INVALPOINTER_REQUEST = -18


MEANINGS: dict[Code, str] = {
    Code.ALLOCATED: "the device is already in use",
    Code.BADDEVICEID: "no such device",
    Code.BEARERMODEUNAVAIL: "the bearer mode is not available",
    Code.CALLUNAVAIL: "no call appearance is free",
    Code.COMPLETIONOVERRUN: "too many call completions are waiting",
    Code.CONFERENCEFULL: "the conference takes no more parties",
    Code.DIALBILLING: "the address holds a billing tone that can't be dialled here",
    Code.DIALDIALTONE: "the address waits for a dial tone that can't be heard here",
    Code.DIALPROMPT: "the address holds a prompt",
    Code.DIALQUIET: "the address waits for silence that can't be heard here",
    Code.INCOMPATIBLEAPIVERSION: "the API version does not fit",
    Code.INCOMPATIBLEEXTVERSION: "the extension version does not fit",
    Code.INIFILECORRUPT: "the telephony settings can't be read",
    Code.INUSE: "the line is in use",
    Code.INVALADDRESS: "not an address that can be dialled",
    Code.INVALADDRESSID: "no such address on the line",
    Code.INVALADDRESSMODE: "bad address mode",
    Code.INVALADDRESSSTATE: "bad address state",
    Code.INVALAPPHANDLE: "not an application handle",
    Code.INVALAPPNAME: "bad application name",
    Code.INVALBEARERMODE: "bad bearer mode",
    Code.INVALCALLCOMPLMODE: "bad call completion mode",
    Code.INVALCALLHANDLE: "not a call handle, or no longer one",
    Code.INVALCALLPARAMS: "bad call parameters",
    Code.INVALCALLPRIVILEGE: "bad call privilege",
    Code.INVALCALLSELECT: "bad selection of calls",
    Code.INVALCALLSTATE: "the call is not in a state for this",
    Code.INVALCALLSTATELIST: "bad list of call states",
    Code.INVALCARD: "bad calling card",
    Code.INVALCOMPLETIONID: "no such call completion",
    Code.INVALCONFCALLHANDLE: "not a conference call's handle",
    Code.INVALCONSULTCALLHANDLE: "not a consultation call's handle",
    Code.INVALCOUNTRYCODE: "bad country code",
    Code.INVALDEVICECLASS: "bad device class",
    Code.INVALDEVICEHANDLE: "bad device handle",
    Code.INVALDIALPARAMS: "bad dialling parameters",
    Code.INVALDIGITLIST: "bad digits",
    Code.INVALDIGITMODE: "bad digit mode",
    Code.INVALDIGITS: "bad termination digits",
    Code.INVALEXTVERSION: "bad extension version",
    Code.INVALGROUPID: "no such group",
    Code.INVALLINEHANDLE: "not a line handle, or no longer one",
    Code.INVALLINESTATE: "the line is not in a state for this",
    Code.INVALLOCATION: "bad location",
    Code.INVALMEDIALIST: "bad list of media modes",
    Code.INVALMEDIAMODE: "bad media mode",
    Code.INVALMESSAGEID: "no such message",
    Code.INVALPARAM: "bad parameter",
    Code.INVALPARKID: "no call is parked there",
    Code.INVALPARKMODE: "bad park mode",
    Code.INVALPOINTER: "bad pointer",
    Code.INVALPRIVSELECT: "bad selection of privileges",
    Code.INVALRATE: "bad data rate",
    Code.INVALREQUESTMODE: "bad request mode",
    Code.INVALTERMINALID: "no such terminal",
    Code.INVALTERMINALMODE: "bad terminal mode",
    Code.INVALTIMEOUT: "bad time-out",
    Code.INVALTONE: "bad tone",
    Code.INVALTONELIST: "bad list of tones",
    Code.INVALTONEMODE: "bad tone mode",
    Code.INVALTRANSFERMODE: "bad transfer mode",
    Code.LINEMAPPERFAILED: "no line fits what was asked for",
    Code.NOCONFERENCE: "the call is in no conference",
    Code.NODEVICE: "the device is gone",
    Code.NODRIVER: "the service provider is missing or failed",
    Code.NOMEM: "out of memory",
    Code.NOREQUEST: "no request is waiting",
    Code.NOTOWNER: "only an owner of the call may do this",
    Code.NOTREGISTERED: "the application is not registered for requests",
    Code.OPERATIONFAILED: "the operation failed, or its call or line was closed",
    Code.OPERATIONUNAVAIL: "the operation is not available here",
    Code.RATEUNAVAIL: "the data rate is not available",
    Code.RESOURCEUNAVAIL: "a resource is not available",
    Code.REQUESTOVERRUN: "too many requests are waiting",
    Code.STRUCTURETOOSMALL: "the structure is too small",
    Code.TARGETNOTFOUND: "no application can take the call",
    Code.TARGETSELF: "the application that would take the call is the one that gives it",
    Code.UNINITIALIZED: "nobody has initialised telephony yet",
    Code.USERUSERINFOTOOBIG: "the user-to-user information is too long",
    Code.REINIT: "telephony is being restarted",
    Code.ADDRESSBLOCKED: "the address is blocked",
    Code.BILLINGREJECTED: "the billing was rejected",
    Code.INVALFEATURE: "bad feature",
    Code.NOMULTIPLEINSTANCE: "the provider can be installed only once",
    Code.INVALAGENTID: "no such agent",
    Code.INVALAGENTGROUP: "no such group of agents",
    Code.INVALPASSWORD: "wrong password",
    Code.INVALAGENTSTATE: "bad agent state",
    Code.INVALAGENTACTIVITY: "bad agent activity",
    Code.DIALVOICEDETECT: "the address waits for a voice that can't be heard here",
    Code.USERCANCELLED: "the user cancelled",
    Code.INVALADDRESSTYPE: "bad address type",
    Code.INVALAGENTSESSIONSTATE: "bad agent session state",
    Code.DISCONNECTED: "the remote service was disconnected",
    Code.SERVICE_NOT_RUNNING: "the telephony service is not running",
    Code.REQUESTFAILED: "a simple-telephony request failed",
    Code.REQUESTCANCELLED: "a simple-telephony request was cancelled; no operation may report it",
    Code.INVALPOINTER_REQUEST: "bad pointer in a simple-telephony request",
}

CANCELLED_CODES = frozenset({Code.OPERATIONFAILED})
"""The code of an operation whose call or line was closed; an operation that failed for another
reason has it too, so the code alone proves no cancel: the completion's cause does."""

_TAPIERR = {
    Code.REQUESTFAILED: "TAPIERR_REQUESTFAILED",
    Code.REQUESTCANCELLED: "TAPIERR_REQUESTCANCELLED",
    Code.INVALPOINTER_REQUEST: "TAPIERR_INVALPOINTER",
}


def name(code: int) -> str | None:
    """Return the documented name, or None for a code of nobody's."""
    if code not in MEANINGS:
        return None
    return _TAPIERR.get(Code(code), f"LINEERR_{Code(code).name}")


def meaning(code: int) -> str:
    """Return what the code means; a device's own code is to be read as a failure (A.6)."""
    if code in MEANINGS:
        return MEANINGS[Code(code)]
    device_specific = _BASE + 0x4000_0000 <= code < 0
    return "a device's own error" if device_specific else "a code that is not documented"


def is_cancelled(code: int | None) -> bool:
    """Tell whether a result is the one that a closed call or line leaves."""
    return code in CANCELLED_CODES


def as_documented(code: int) -> str:
    """Return an error as the documentation writes it, unsigned: ``0x80000048``."""
    return f"0x{code & 0xFFFF_FFFF:08X}"


class CallState(IntEnum):
    """A call (A.3); the values are the documented bits."""

    IDLE = 0x1
    OFFERING = 0x2
    ACCEPTED = 0x4
    DIALTONE = 0x8
    DIALING = 0x10
    RINGBACK = 0x20
    BUSY = 0x40
    SPECIALINFO = 0x80
    CONNECTED = 0x100
    PROCEEDING = 0x200
    ONHOLD = 0x400
    CONFERENCED = 0x800
    ONHOLDPENDCONF = 0x1000
    ONHOLDPENDTRANSFER = 0x2000
    DISCONNECTED = 0x4000
    UNKNOWN = 0x8000


CALL_STATES: dict[int, str] = {state: f"LINECALLSTATE_{state.name}" for state in CallState}
"""The documented constant of each call state."""

PREDEFINED_BITS = 0x00FF_FFFF
"""The high eight bits may carry a device's own substate (A.3)."""


class Privilege(IntEnum):
    """What an application may do with a call (A.5)."""

    NONE = 0x1
    MONITOR = 0x2
    OWNER = 0x4


OPEN_PRIVILEGES = frozenset({0x1, 0x2, 0x4, 0x6})
"""What lineOpen takes: none, monitor, owner, or the last two together; else INVALPRIVSELECT."""

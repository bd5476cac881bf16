"""The Newton endpoint interface as tables: states, admission, transitions, delivery order.

No thread, clock, socket or log in sight.  Everything here is read by the actors that live by it,
by ``rescind check`` and by the documentation.  Sources are sections of spec/newton.md.

Theory.  An endpoint is a state machine over ten states whose control operations (Bind, Connect,
...) take it through a pending state to one of two others, so that control operations can't be
pipelined.  Outputs and the armed input spec leave the state alone and pile up.  A cancel does not
touch the state machine: it is a *window* beside it.  While the window is open every new request is
refused, and it closes only when the last victim's completion was delivered.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

from rescind.actors.kernel._rules import Admission, Canceller, Check

from ._codes import Code
from ._constants import EventCode
from ._forms import FORM_REFUSALS, FormError
from ._parameters import INPUT_REFUSALS, wire_form


class State(IntEnum):
    """The endpoint's states (section 4)."""

    UNINIT = 0
    UNBND = 1
    IDLE = 2
    OUT_CON = 3
    IN_CON = 4
    DATA_XFER = 5
    OUT_REL = 6
    IN_REL = 7
    IN_FLUX = 8
    OUT_LSTN = 9


STATES: dict[int, str] = {
    State.UNINIT: "kUninit",
    State.UNBND: "kUnbnd",
    State.IDLE: "kIdle",
    State.OUT_CON: "kOutCon",
    State.IN_CON: "kInCon",
    State.DATA_XFER: "kDataXfer",
    State.OUT_REL: "kOutRel",
    State.IN_REL: "kInRel",
    State.IN_FLUX: "kInFlux",
    State.OUT_LSTN: "kOutLstn",
}
"""The documented constant of each state."""


class Channel(StrEnum):
    """A tool's independent lanes; one request each is in hand, others wait (section 1.5)."""

    GET = "get"
    PUT = "put"
    CONTROL = "control"
    KILL = "kill"


ANY = frozenset(State) - {State.UNINIT}
"""Every state of an endpoint that exists."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: where it is admitted and what it does to the state (sections 2 and 4).

    ``pending``, ``done`` and ``failed`` are the states while it is outstanding, after success and
    after failure or cancel; None leaves the state alone.
    """

    name: str
    channel: Channel
    admitted: frozenset[State]
    pending: State | None = None
    done: State | None = None
    failed: State | None = None


OPERATIONS: dict[str, Operation] = {
    row.name: row
    for row in (
        Operation(
            "Bind", Channel.CONTROL, frozenset({State.UNBND}),
            State.IN_FLUX, State.IDLE, State.UNBND,
        ),
        Operation(
            "UnBind", Channel.CONTROL, frozenset({State.IDLE}),
            State.IN_FLUX, State.UNBND, State.IDLE,
        ),
        Operation(
            "Connect", Channel.CONTROL, frozenset({State.IDLE}),
            State.OUT_CON, State.DATA_XFER, State.IDLE,
        ),
        Operation(
            "Listen", Channel.CONTROL, frozenset({State.IDLE}),
            State.OUT_LSTN, State.IN_CON, State.IDLE,
        ),
        Operation(
            "Accept", Channel.CONTROL, frozenset({State.IN_CON}),
            None, State.DATA_XFER, State.IDLE,
        ),
        # Disconnect with cancelPending; its pending state begins after the cancel phase (5.6).
        Operation(
            "Disconnect", Channel.CONTROL,
            frozenset({State.DATA_XFER, State.IN_REL, State.OUT_REL, State.IN_CON}),
            State.IN_FLUX, State.IDLE, State.DATA_XFER,
        ),
        # Disconnect without cancelPending: the orderly release of section 5.7.
        Operation(
            "Release", Channel.CONTROL, frozenset({State.DATA_XFER, State.IN_REL}),
            State.OUT_REL, State.IDLE, State.DATA_XFER,
        ),
        Operation("Output", Channel.PUT, frozenset({State.DATA_XFER})),
        Operation("StreamOut", Channel.PUT, frozenset({State.DATA_XFER})),
        Operation("Input", Channel.GET, frozenset({State.DATA_XFER})),
        # What had come in before the line was gone can still be read, until -16009 (6.11).
        Operation(
            "Receive", Channel.GET, frozenset({State.DATA_XFER, State.IN_REL, State.IDLE})
        ),
        Operation("StreamIn", Channel.GET, frozenset({State.DATA_XFER})),
        Operation("Option", Channel.CONTROL, ANY),
        Operation("Cancel", Channel.KILL, ANY),
    )
}  # fmt: skip
"""Every operation that can be outstanding.

``Input`` is an armed input spec, ``Receive`` one piece of input without scripts; ``StreamIn`` and
``StreamOut`` are one chunk each.
"""

RECEIVES = frozenset({"Input", "Receive", "StreamIn"})
"""What posts a receive; there is one at a time."""

NOT_CONNECTED_MEANS_IDLE = frozenset({"Disconnect", "Release"})
"""A tool that answers one of these with -16009 makes it -36006 with state kIdle (section 2)."""


EVENT_NAMES: dict[int, str] = {
    EventCode.TOOL_SPECIFIC: "tool-specific event",
    EventCode.DISCONNECT: "remote disconnect",
    EventCode.RELEASE: "remote orderly release",
    EventCode.IDLE_TIMER: "idle timer",
    EventCode.LISTEN_TIMER: "listen timer",
    EventCode.PROGRESS: "progress",
    EventCode.TAPI: "TAPI event",
}

CONNECTED = frozenset({State.IN_CON, State.DATA_XFER, State.OUT_REL, State.IN_REL})
"""States with a connection that the other side may end."""

REMOTE_EVENT_STATE: dict[tuple[int, int], State] = {
    **{(EventCode.DISCONNECT, state): State.IDLE for state in CONNECTED},
    **{(EventCode.RELEASE, state): State.IN_REL for state in CONNECTED},
}
"""Where a tool's event moves the state, before anybody hears of it (3.5)."""


class Facts(NamedTuple):
    """What the admission checks know of a call and its endpoint."""

    state: int
    is_window_open: bool
    is_synchronous_pending: bool
    operation: str
    is_asynchronous: bool


def _is_disposed(facts: Facts) -> bool:
    return facts.state == State.UNINIT


def _is_in_window(facts: Facts) -> bool:
    return facts.is_window_open


def _is_out_of_state(facts: Facts) -> bool:
    return facts.state not in OPERATIONS[facts.operation].admitted


def _beside(*operations: str) -> Callable[[Facts], bool]:
    """Return the check for a second synchronous call.

    A cancel may be synchronous while another call blocks: it is there to end that call.
    """
    return lambda facts: (
        facts.is_synchronous_pending
        and not facts.is_asynchronous
        and facts.operation not in operations
    )


# After Dispose an endpoint is uninitialised again, for good.
DISPOSED = Check("N-54014-disposed", Code.NO_ENDPOINT_AVAILABLE, _is_disposed, "6.4")
WINDOW = Check("N-36003-window", Code.TACCESS, _is_in_window, "5.5")
STATE = Check("N-36006-state", Code.TOUTSTATE, _is_out_of_state, "4")
SYNCHRONOUS = Check(
    "N-36030-synchronous", Code.TALRDYSYNC, _beside("Cancel", "Disconnect"), "1.7, 6.6"
)
SYNCHRONOUS_ROM = Check("N-36030-synchronous-rom", Code.TALRDYSYNC, _beside("Cancel"), "1.7, 6.6")


UTF_8 = "utf-8"
ENCODINGS = frozenset(
    {UTF_8, "ascii", "latin-1", "mac-roman", "cp1252", "cp437", "shift-jis", "utf-16-be"}
)
"""What strings may be translated to and from; a closed list, because logs name one of them."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One reading of the places where the guide and the device differ (section 5)."""

    name: str
    admission: Admission[Facts]
    """Admission checks in their order; parameters are checked by the call afterwards."""
    time_out_cancels_all: bool
    """Whether a time-out ends all that is outstanding, or only its own request's channel (5.8)."""
    time_out_opens_window: bool
    """Whether new work is refused while a time-out is ending what is outstanding (5.8)."""
    synchronous_time_out_code: Code
    """What a blocked call hears whose own time ran out (5.8)."""
    connection_cancel_code: Code
    """What a canceled Connect, Listen, Accept or release in hand hears (5.10)."""
    synchronous_undo_code: Code
    """What a synchronous call hears whose success came while a cancel was ending it (5.10)."""
    release_input_code: Code
    """What an input spec hears that an orderly release ends (5.7)."""
    spares_what_runs_on: bool
    """Whether what the tool cannot stop goes on as if nothing had been asked (5.10)."""
    time_out_restarts_in_binary: bool
    """Whether each arrival starts the time-out of binary input anew, or only a block does (5.8)."""
    streams_need_spec: bool
    """Whether StreamIn and StreamOut refuse to do without a spec (section 2)."""


GUIDE = Profile(
    name="guide",
    admission=Admission(Facts, DISPOSED, WINDOW, STATE, SYNCHRONOUS),
    time_out_cancels_all=True,
    time_out_opens_window=True,
    synchronous_time_out_code=Code.REQUEST_CANCELED,
    connection_cancel_code=Code.REQUEST_CANCELED,
    synchronous_undo_code=Code.REQUEST_CANCELED,
    release_input_code=Code.REQUEST_CANCELED,
    spares_what_runs_on=False,
    time_out_restarts_in_binary=True,
    streams_need_spec=False,
)
ROM = Profile(
    name="rom",
    admission=Admission(Facts, DISPOSED, STATE, SYNCHRONOUS_ROM, WINDOW),
    time_out_cancels_all=False,
    time_out_opens_window=False,
    synchronous_time_out_code=Code.MESSAGE_TIMED_OUT,
    connection_cancel_code=Code.CONNECTION_ABORTED,
    synchronous_undo_code=Code.CALL_ABORTED,
    release_input_code=Code.CONNECTION_ABORTED,
    spares_what_runs_on=True,
    time_out_restarts_in_binary=False,
    streams_need_spec=True,
)
PROFILES = {profile.name: profile for profile in (GUIDE, ROM)}
DEFAULT_PROFILE = GUIDE

TIME_OUT = "time-out"

CANCELLERS: dict[str, Canceller] = {
    row.trigger: row
    for row in (
        Canceller("Cancel", "the application, also in a script", "all that is outstanding", "5.1"),
        Canceller(
            "Disconnect", "the application, also in a script",
            "all that is outstanding, then the connection", "5.6",
        ),
        Canceller(
            "Release", "the application, by Disconnect without cancelPending",
            "the input spec, once all Outputs have completed", "5.7",
        ),
        Canceller(
            TIME_OUT, "a request's own deadline", "all (guide), or its channel (rom)", "5.1, 5.8"
        ),
    )
}  # fmt: skip
"""Who may cancel, by the trigger."""

SYNCHRONOUS_UNDO: dict[str, str] = {
    "Bind": "UnBind",
    "Connect": "Disconnect",
    "Listen": "Disconnect",
    "Accept": "Disconnect",
}
"""What undoes a synchronous call that succeeded while a cancel was ending it (5.10)."""

IN_HAND_ABORTED = frozenset({"Connect", "Listen", "Accept", "Release"})
"""Operations whose cancel tears the connection down (5.10)."""

CANCELLED_CODE = Code.REQUEST_CANCELED
RECOVERED_CODE: int = Code.CONNECTION_ABORTED
"""What a request ends with whose process ended first: with it went the connection."""
WINDOW_CODE = Code.TACCESS
WINDOW_OPERATIONS = frozenset(OPERATIONS)
"""What a cancel window forbids: everything."""

DELIVERY_RANK: dict[str, int] = {
    "Input": 0,
    "Receive": 0,
    "StreamIn": 0,
    "Output": 1,
    "StreamOut": 1,
    "Bind": 2,
    "UnBind": 2,
    "Connect": 2,
    "Listen": 2,
    "Accept": 2,
    "Option": 2,
    "Release": 2,
    "Disconnect": 3,
    "Cancel": 3,
}
"""Order among the deliveries of one cancel; equal ranks as submitted (section 5.4, 9)."""

DELIVERY_TIES = "submitted"
"""Order among equal ranks of one cancel."""

CANCEL_RANK = 3
"""The cancel's own completion, or that of the request whose time-out started it."""
SYNCHRONOUS_RANK = 4
"""A blocked synchronous victim hears last of all (5.2, 5.3)."""


CALL_REFUSALS: dict[str, tuple[Code, str]] = {
    "N-54012-active": (
        Code.INPUT_SPEC_ALREADY_ACTIVE, "SetInputSpec, or a receive, while one is posted",
    ),
    "N-54000-spec": (Code.NO_ACTIVE_INPUT_SPEC, "Input or Partial while no spec is active"),
    "N-54015-form": (Code.INAPPROPRIATE_CALL, "Input for a form but string and bytes"),
    "N-54006-partial": (Code.INAPPROPRIATE_PARTIAL, "Partial for a form but string and bytes"),
    "N-54004-options": (Code.INVALID_OPTION, "Option without options"),
    "N-36002-options": (Code.TBADOPT, "Option with an empty sequence of them"),
}  # fmt: skip
"""What single calls are refused for, besides their data and specs: code and meaning."""

REFUSALS: dict[str, Code] = {
    **{rule: code for rule, (code, _) in CALL_REFUSALS.items()},
    **FORM_REFUSALS,
    **{row.rule: row.code for row in INPUT_REFUSALS.values()},
}
"""Parameter checks, made after admission: rule id to code (sections 3 and 7)."""

READABLE_FORMS = frozenset({"string", "bytes"})
"""What ``Input`` and ``Partial`` may be called for (R 25)."""


def refuse_output(arguments: Sequence[Any], encoding: str) -> str | None:
    """Return the rule by which this data cannot be sent, or None."""
    data = arguments[0]
    if len(arguments) == 1 and data and type(data) is bytes:
        return None  # nearly every Output
    try:
        wire_form(data, arguments[1] if len(arguments) > 1 else {}, encoding)
    except FormError as error:
        return error.rule
    return None


def refuse_options(options: Sequence[Any] | None) -> str | None:
    """Return the rule by which ``Option`` cannot be asked for these, or None."""
    if options is None:
        return "N-54004-options"
    return None if options else "N-36002-options"


def cancelled_code(operation: str, profile: Profile, trigger: str = "") -> Code:
    """Return what a request of this operation hears when ``trigger`` cancels it."""
    if trigger == "Release":
        return profile.release_input_code
    if operation in IN_HAND_ABORTED:
        return profile.connection_cancel_code
    return CANCELLED_CODE

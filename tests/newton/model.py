"""A small model of the endpoint's rules, written from spec/newton.md and from nothing else.

The model stands at the two borders of an endpoint.  At one the application calls and its scripts
hear; at the other a tool is asked and reports.  From what passes there it says what a call may
raise, what a script may hear, and, when nothing moves any more, what must have been heard by now.
While something moves, the order of what is on its way is the schedule's business: the model then
allows whatever some order leads to.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from .stage import (
    ABORTED,
    ALREADY_SYNCHRONOUS,
    CANCELED,
    GONE,
    IN_PROGRESS,
    NOT_CONNECTED,
    SPEC_ACTIVE,
    TIMED_OUT,
    WRONG_STATE,
)

NO_SPEC = -54000
UNBND, IDLE, OUT_CON, IN_CON, XFER, OUT_REL, IN_REL, FLUX, OUT_LSTN = range(1, 10)
CONNECTED = {IN_CON, XFER, OUT_REL, IN_REL}
EVENTS = {2: IDLE, 3: IN_REL}
"""Where the remote's disconnect and its release take a connection (3.5)."""


@dataclass(frozen=True)
class Row:
    """One row of the tables of sections 2 and 4."""

    work: str
    """What the tool is asked for."""
    admitted: set[int]
    pending: int | None = None
    done: int | None = None
    failed: int | None = None
    rank: int = 2
    """When a cancel ends it: input first, Outputs, then control requests (section 9)."""


ANY = set(range(1, 10))
ROWS = {
    "bind": Row("Bind", {UNBND}, FLUX, IDLE, UNBND),
    "unbind": Row("UnBind", {IDLE}, FLUX, UNBND, IDLE),
    "connect": Row("Connect", {IDLE}, OUT_CON, XFER, IDLE),
    "listen": Row("Listen", {IDLE}, OUT_LSTN, IN_CON, IDLE),
    "accept": Row("Accept", {IN_CON}, None, XFER, IDLE),
    "disconnect": Row("Disconnect", CONNECTED, FLUX, IDLE, XFER),
    "release": Row("Release", {XFER, IN_REL}, OUT_REL, IDLE, XFER),
    "output": Row("Output", {XFER}, rank=1),
    "arm": Row("Input", {XFER}, rank=0),
    "receive": Row("Receive", {XFER, IN_REL, IDLE}, rank=0),
    "option": Row("Option", ANY),
    "cancel": Row("", ANY),
}
RECEIVES = {"arm", "receive"}
ABORTS = {"connect", "listen", "accept", "release"}
"""Whose cancel tears a connection down (5.10)."""
CANCELS = {"cancel", "disconnect", "release"}


@dataclass(frozen=True)
class Reading:
    """Where the guide and the device differ (section 5), as data."""

    name: str
    checks: tuple[str, ...]
    """The admission checks in their order, after that for a disposed endpoint."""
    beside: set[str]
    """What may be called synchronously while a synchronous call is pending."""
    forbids_at_time_out: bool
    aborted: int
    """What a canceled request hears that was making or ending the connection."""
    released: int
    """What the input spec hears that an orderly release ends."""
    late: int
    """What a synchronous call raises that timed out."""
    spares: bool
    """Whether what the tool cannot stop goes on, and the cancel fails (5.10)."""


GUIDE = Reading(
    "guide", ("window", "state", "synchronous"), {"cancel", "disconnect"},
    forbids_at_time_out=True, aborted=CANCELED, released=CANCELED, late=CANCELED,
    spares=False,
)  # fmt: skip
ROM = Reading(
    "rom", ("state", "synchronous", "window"), {"cancel"},
    forbids_at_time_out=False, aborted=ABORTED, released=ABORTED, late=TIMED_OUT,
    spares=True,
)  # fmt: skip
READINGS = {reading.name: reading for reading in (GUIDE, ROM)}


@dataclass(eq=False)
class Asked:
    """One accepted request, and what was heard of it."""

    name: str
    operation: str
    number: int
    timeout_ns: int | None = None
    deadline_ns: int | None = None
    request: Any = None
    codes: list[int | None] = field(default_factory=list)
    is_back: bool = False
    """Its script has returned."""
    is_silent: bool = False
    """An input spec that its own script has replaced or ended (3.3)."""
    is_ambiguous: bool = False
    """It may have moved the state before a later call was accepted."""
    met_window: bool = False
    """An input spec whose script returned while a cancel may have been in progress (6.5)."""
    victims: "list[Asked]" = field(default_factory=list)
    """For Cancel and Disconnect: what it certainly ends."""

    @property
    def row(self) -> Row:
        return ROWS[self.operation]

    @property
    def is_open(self) -> bool:
        return not self.codes and not self.is_silent


@dataclass(eq=False)
class Kill:
    """A cancel as the tool sees it."""

    cancel: int
    victims: list[Asked]
    codes: list[int | None] = field(default_factory=list)
    """What the tool said when it had stopped."""


@dataclass
class Model:
    """What is known of one endpoint."""

    reading: Reading
    now_ns: Callable[[], int]
    """The runtime's clock."""
    states: set[int] = field(default_factory=lambda: {UNBND})
    """Where the endpoint can be; more than one only while something moves."""
    is_disposed: bool = False
    is_at_rest: bool = True
    has_time_outs: bool = False
    asked: list[Asked] = field(default_factory=list)
    kills: dict[int, Kill] = field(default_factory=dict)
    answers: dict[int, list[int | None]] = field(default_factory=dict)
    """What the tool has said of each request."""
    pieces: dict[int, deque[tuple[Any, Any]]] = field(default_factory=dict)
    """What the tool has handed over for each receive and nobody has heard of."""
    performed: list[int] = field(default_factory=list)
    events: deque[int] = field(default_factory=deque)
    """Events that the tool has reported and nobody has heard of."""
    ambiguous_events: int = 0
    """How many of the first may have moved the state before a later call was accepted."""
    armed: Asked | None = None
    in_input_script: Asked | None = None
    said_codes: list[int | None] = field(default_factory=list)
    """All that the tool has answered, in order."""
    blocked: list[Asked] = field(default_factory=list)
    """The synchronous calls that are pending, without their numbers."""

    # --- what a call may raise -------------------------------------------------------------------

    def allowed(self, operation: str, state: int | None, *, waits: bool = False) -> set[int | None]:
        """Return what a call may raise now; None means that it is accepted."""
        facts = product(self.windows(), self.occupied(operation), self.synchronous())
        return {
            self._verdict(operation, state, window, is_occupied, blocked and waits)
            for window, is_occupied, blocked in facts
        }

    def _verdict(
        self, operation: str, state: int | None, window: bool, occupied: bool, blocked: bool
    ) -> int | None:
        if state is None:
            return GONE
        refused = {
            "window": (window, IN_PROGRESS),
            "state": (state not in ROWS[operation].admitted, WRONG_STATE),
            "synchronous": (blocked and operation not in self.reading.beside, ALREADY_SYNCHRONOUS),
        }
        for check in self.reading.checks:
            is_refused, code = refused[check]
            if is_refused:
                return code
        return SPEC_ACTIVE if occupied else None

    def allowed_for_spec(self, state: int | None) -> set[int | None]:
        """Return what Input, Partial and the like may raise: they need an active spec."""
        if state is None:
            return {GONE}
        armed = self.armed
        if armed is None or not armed.is_open or armed.operation != "arm":
            return {NO_SPEC}
        return {None} if self.is_certain(armed) else {None, NO_SPEC}

    def allowed_to_disarm(self, state: int | None) -> set[int | None]:
        """Return what SetInputSpec(nil) may raise: it may be called in any state (3.3)."""
        if state is None:
            return {GONE}
        return {SPEC_ACTIVE if each else None for each in self.occupied("arm")}

    def windows(self) -> set[bool]:
        """Tell whether a cancel is in progress that refuses new requests (5.5)."""
        if self.is_at_rest:
            return {any(self._forbids(kill) for kill in self.kills.values() if not kill.codes)}
        called = [*self.of(*CANCELS), *self.blocked]
        waiting = [each for each in called if each.is_open and each.operation in CANCELS]
        for each in waiting:
            kill = self.kills.get(each.number)
            is_begun = each.number and (each.operation == "cancel" or each.victims)
            if each.operation != "release" and is_begun and (kill is None or not kill.codes):
                return {True}
            if any(not victim.is_back for victim in each.victims):
                return {True}
        return {True, False} if waiting or self.has_time_outs else {False}

    def _forbids(self, kill: Kill) -> bool:
        is_called = any(each.number == kill.cancel for each in self.asked)
        return is_called or self.reading.forbids_at_time_out

    def occupied(self, operation: str) -> set[bool]:
        """Tell whether a receive is posted that stands in the way of another one."""
        if operation not in RECEIVES or self.armed is None or not self.armed.is_open:
            return {False}
        if self.armed is self.in_input_script and operation == "arm":
            return {False}
        return {True} if self.is_certain(self.armed) else {True, False}

    def synchronous(self) -> set[bool]:
        """Tell whether a synchronous call is pending."""
        if not self.blocked:
            return {False}
        return {True, False} if all(each.is_ambiguous for each in self.blocked) else {True}

    def is_certain(self, asked: Asked) -> bool:
        """Tell whether nothing can have ended a request that has not been told."""
        return (
            not self.answers.get(asked.number)
            and not any(asked in kill.victims for kill in self.kills.values() if kill.codes)
            and not asked.met_window
            and not asked.is_silent
        )

    def of(self, *operations: str) -> Iterator[Asked]:
        return (each for each in self.asked if each.operation in operations)

    # --- the application's border ----------------------------------------------------------------

    def accept(self, asked: Asked) -> None:
        """A call was accepted."""
        row = asked.row
        self.has_time_outs |= asked.timeout_ns is not None
        self._start_time_out(asked)
        if asked.operation in {"cancel", "disconnect"}:
            asked.victims = self.certain_victims()
        if row.pending is not None:
            for each in self.asked:
                each.is_ambiguous |= each.is_open and not self.is_certain(each)
            self.ambiguous_events = len(self.events)
            if asked.operation != "disconnect":
                self.states = {row.pending}
        if asked.operation in RECEIVES:
            if self.armed is not None and self.armed is self.in_input_script:
                self.armed.is_silent = not self.armed.codes
            self.armed = asked
        self.asked.append(asked)

    def _start_time_out(self, asked: Asked) -> None:
        if asked.timeout_ns is not None:
            asked.deadline_ns = self.now_ns() + asked.timeout_ns

    def _is_late(self, asked: Asked) -> bool:
        return asked.deadline_ns is not None and asked.deadline_ns <= self.now_ns()

    def certain_victims(self) -> list[Asked]:
        """Return what a cancel that is called now certainly ends."""
        return [each for each in self.asked if self._must_end(each)]

    def _must_end(self, asked: Asked) -> bool:
        """Tell whether a cancel that is called now ends a request that its script will hear of."""
        is_read = asked is self.in_input_script or bool(self.pieces.get(asked.number))
        return (
            asked.is_open
            and self.is_certain(asked)
            and not is_read
            and asked.number not in self.kills
        )

    def disarm(self) -> None:
        """SetInputSpec(nil) was accepted."""
        if self.armed is not None and self.armed is self.in_input_script:
            self.armed.is_silent = not self.armed.codes

    def hear(self, asked: Asked, code: int | None) -> None:
        """A CompletionScript is called, or a synchronous call has returned."""
        assert not asked.codes, f"{asked.name} is told {code} after {asked.codes}"
        assert not self.is_disposed, f"{asked.name} hears {code} after Dispose"
        assert not asked.is_silent, f"{asked.name} hears {code} although it was replaced"
        expected = set(self.codes_of(asked))
        assert code in expected, f"{asked.name} hears {code} instead of {expected}"
        assert not any(victim.is_open for victim in asked.victims), f"{asked.name} is told too soon"
        asked.codes.append(code)
        moved = {self._moved(asked, code, state) for state in self.states}
        self.states = self.states | moved if asked.is_ambiguous else moved

    def codes_of(self, asked: Asked) -> Iterator[int | None]:
        """Yield every code that a request may hear by now."""
        is_ending = asked.operation in {"disconnect", "release"}
        for answer in self.answers.get(asked.number, ()):
            yield WRONG_STATE if is_ending and answer == NOT_CONNECTED else answer
        for kill in self.kills.values():
            if asked in kill.victims:
                yield self.reading.aborted if asked.operation in ABORTS else CANCELED
                if asked.operation in RECEIVES and self._is_released(kill):
                    yield self.reading.released
            if kill.cancel == asked.number:
                yield from (code for code in kill.codes if code or asked.operation == "cancel")
                if self._is_late(asked):
                    yield CANCELED
        if asked.met_window:
            yield IN_PROGRESS

    def _is_released(self, kill: Kill) -> bool:
        releases = [*self.of("release"), *self.blocked]
        return any(
            each.operation == "release" and each.number in (0, kill.cancel) for each in releases
        )

    def _moved(self, asked: Asked, code: int | None, state: int) -> int:
        row = asked.row
        if code is None:
            return state if row.done is None else row.done
        if asked.operation in {"disconnect", "release"} and code == WRONG_STATE:
            return IDLE
        is_over = row.pending not in (None, state)  # the remote was faster, or nothing had begun
        return state if row.failed is None or is_over else row.failed

    def hear_input(self, asked: Asked, data: Any, terminator: Any) -> None:
        """An InputScript is called."""
        assert asked.is_open, f"{asked.name} hears {data!r} after its end"
        assert not self.is_disposed, "an InputScript after Dispose"
        expected = self.pieces[asked.number].popleft()
        assert (data, terminator) == expected, f"{(data, terminator)} instead of {expected}"

    def hear_event(self, code: int) -> None:
        """The EventHandler is called."""
        assert not self.is_disposed, "an event after Dispose"
        assert code == self.events.popleft()
        moved = {EVENTS.get(code, each) if each in CONNECTED else each for each in self.states}
        self.states = self.states | moved if self.ambiguous_events else moved
        self.ambiguous_events = max(self.ambiguous_events - 1, 0)

    # --- the tool's border -----------------------------------------------------------------------

    def ask(self, request: int, work: str) -> None:
        """The tool is asked for something."""
        if work == "Take" or request == 0:
            return
        posted_again = work == "Input" and request in self.performed
        assert posted_again or request not in self.performed, f"r{request} is asked for twice"
        self.performed.append(request)
        asked = next((each for each in self.asked if each.number == request), None)
        if posted_again and asked is not None:
            self._start_time_out(asked)
        if work == "Disconnect":
            if asked is not None:
                untold = [each.name for each in asked.victims if each.is_open]
                assert not untold, f"{asked.name} reaches the tool before {untold} were told"
            self.states = {FLUX}
        if work == "Release":
            self.states = {OUT_REL}
            outputs = [each for each in self.of("output") if each.is_open]
            before = [each.name for each in outputs if self.is_certain(each)]
            assert not before, f"the tool is to release before {before} have ended"

    def stop(self, cancel: int, operations: frozenset[str]) -> None:
        """The tool is told to stop."""
        assert cancel not in self.kills, f"{cancel} is stopped twice"
        victims = [
            each for each in self.asked
            if each.is_open and each.row.work in operations and each.number != cancel
        ]  # fmt: skip
        for kill in self.kills.values():  # what another cancel was ending is the later one's now
            kill.victims = [each for each in kill.victims if each not in victims]
        self.kills[cancel] = Kill(cancel, victims)
        for each in self.blocked:
            each.is_ambiguous = True

    def said(self, request: int, code: int | None) -> None:
        """The tool has answered."""
        self.answers.setdefault(request, []).append(code)
        self.said_codes.append(code)
        if all(each.number != request for each in self.asked):
            for each in self.blocked:  # it may be one of them
                each.is_ambiguous = True

    def handed_over(self, request: int, data: Any, terminator: Any) -> None:
        """The tool has handed over a piece: of a Receive it is the result."""
        self.pieces.setdefault(request, deque()).append((data, terminator))
        asked = next((each for each in self.of("arm") if each.number == request), None)
        if asked is None:
            self.said(request, None)
        elif terminator is not None:
            asked.deadline_ns = None

    def has_stopped(self, cancel: int, code: int | None, spared: Sequence[int]) -> None:
        """The tool says that it has stopped, or failed to, and what runs on all the same."""
        if cancel not in self.kills:
            return
        kill = self.kills[cancel]
        if spared and self.reading.spares:
            for each in kill.victims:
                if each.number in spared:
                    each.deadline_ns = None  # its time-out has had no effect
            kill.victims = [each for each in kill.victims if each.number not in spared]
            for each in self.of(*CANCELS):
                each.victims = [victim for victim in each.victims if victim.number not in spared]
        kill.codes.append(None if spared and not self.reading.spares else code)

    def arrived(self, request: int) -> None:
        for each in self.of(*RECEIVES):
            if each.number == request:
                self._start_time_out(each)

    # --- rest ------------------------------------------------------------------------------------

    def rest(self, state: int | None) -> None:
        """Nothing moves any more: what is to be heard was heard."""
        self.is_at_rest = True
        if self.is_disposed:
            assert state is None
            return
        assert state in self.states, f"in state {state} instead of {self.states}"
        self.states = {state}
        assert not self.events, f"nobody heard of the events {list(self.events)}"
        is_stopping = any(not kill.codes for kill in self.kills.values())
        for each in self.asked:
            each.is_ambiguous = each.met_window = False
            each.is_back = each.is_back or bool(each.codes)
            if each.is_open:
                self._assert_is_open(each, is_stopping)

    def _assert_is_open(self, asked: Asked, is_stopping: bool) -> None:
        name, number = asked.name, asked.number
        assert not self.answers.get(number), f"{name} was answered and has not been told"
        ended = [k.cancel for k in self.kills.values() if k.codes and asked in k.victims]
        assert not ended, f"{name} was ended by {ended} and has not been told"
        assert not self.pieces.get(number), f"{name} has not heard of {self.pieces[number]}"
        assert is_stopping or not self._is_late(asked), f"{name} has not been told that it is late"
        if asked.operation == "release" and any(each.is_open for each in self.of("output")):
            assert number not in self.performed, f"{name} overtakes an Output"
        elif number not in self.performed:
            assert asked.operation in CANCELS, f"{name} has not reached the tool"
            assert number in self.kills, f"{name} has not begun"
            assert not self.kills[number].codes, f"{name} has stopped and not been told"


# --- bytes ---------------------------------------------------------------------------------------


@dataclass
class Wire:
    """What comes in from outside, and the pieces that it falls into (3.3).

    ``found`` is what the tool must have reported so far, in order: pieces, and -16009s.
    """

    buffer: bytes = b""
    waiting: list[tuple[bytes, bool]] = field(default_factory=list)
    packets: list[int] = field(default_factory=list)
    """Where packets end in the buffer."""
    seen: int = 0
    """How much of the buffer the last Partial saw."""
    posted: tuple[int, dict[str, Any]] | None = None
    has_ended: bool = False
    found: list[tuple[Any, ...]] = field(default_factory=list)
    shown: set[bytes] = field(default_factory=set)
    """All that the buffer ever held."""

    def post(self, request: int, slots: dict[str, Any]) -> None:
        self.posted = (request, slots)
        self._search()

    def feed(self, data: bytes, *, eop: bool) -> None:
        self.waiting.append((data, eop))
        self._search()

    def end(self) -> None:
        self.has_ended = True
        self._search()

    def take(self) -> None:
        """Input() was called: all that there is, and the receive stays posted (R 25)."""
        if self.posted is not None and self.buffer:
            data, self.packets = self.buffer, []
            self._cut(len(data))
            self.found.append((self.posted[0], self._told(data), None))

    def flush(self, *, partial: bool) -> None:
        self._cut(self.seen if partial else len(self.buffer))
        if not partial:
            self.waiting.clear()

    def partial(self) -> Any:
        if self.posted is None or not self.buffer:
            return None
        self.seen = len(self.buffer)
        return self._told(self.buffer)

    def _search(self) -> None:
        while self.posted is not None and not self._find():
            if not self.waiting:
                break
            data, is_packet_end = self.waiting.pop(0)
            slots = self.posted[1]
            if slots.get("seven_bit"):
                data = bytes(each & 0x7F for each in data)
            proxies = dict(slots.get("byte_proxy", ()))
            kept = (proxies.get(each, each) for each in data)
            self.buffer += bytes(each for each in kept if each is not None)
            if is_packet_end and len(self.buffer) > max(self.packets, default=0):
                self.packets.append(len(self.buffer))
        if self.posted is not None and self.has_ended:
            if self.posted[1].get("rcv_flags") and self.buffer:
                self._deliver(len(self.buffer), ["useEOP", None])
            else:
                self.found.append((self.posted[0], NOT_CONNECTED))
                self.posted = None

    def _find(self) -> bool:
        """Deliver the next piece, if there is one; else keep the newest bytes."""
        assert self.posted is not None
        slots = self.posted[1]
        self.shown.add(self.buffer)
        sequences, count = slots.get("end_sequence", ()), slots.get("byte_count")
        in_packets = bool(slots.get("rcv_flags"))
        count = None if in_packets else count  # useEOP is the default there (G 16)
        for length in range(1, len(self.buffer) + 1):
            if length == count:
                return self._deliver(length, ["byteCount", None])
            for index, sequence in enumerate(sequences):
                if self.buffer[:length].endswith(sequence):
                    return self._deliver(length, ["endSequence", index])
            if in_packets and length in self.packets:
                return self._deliver(length, ["useEOP", None])
        if count is None:
            self._cut(len(self.buffer) - len(self._kept(self.buffer)))
            self.shown.add(self.buffer)
        return False

    def _deliver(self, length: int, end: list[Any]) -> bool:
        assert self.posted is not None
        request = self.posted[0]
        piece = self.buffer[:length]
        self.found.append((request, self._told(piece), [*end, len(self._kept(piece))]))
        self._cut(length)
        self.posted = None
        return True

    def _kept(self, data: bytes) -> bytes:
        """Return what is told of a piece: its newest bytes, if nothing else limits it."""
        assert self.posted is not None
        slots = self.posted[1]
        is_limited = "byte_count" in slots and not slots.get("rcv_flags")
        return data if is_limited else data[-slots.get("discard_after", 1024) :]

    def _told(self, data: bytes) -> Any:
        assert self.posted is not None
        data = self._kept(data)
        is_text = self.posted[1].get("form") != "bytes"
        return data.decode("utf-8", "replace") if is_text else data

    def _cut(self, count: int) -> None:
        self.buffer = self.buffer[count:]
        self.packets = [each - count for each in self.packets if each > count]
        self.seen = max(self.seen - count, 0)

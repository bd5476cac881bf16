"""Cancels that race with what a real peer takes and sends, over TCP.

``RESCIND_RACES`` says how many requests race in each test and profile (default 300).
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from rescind import newton
from rescind.events import Killed, read

from .sockets import WAIT_S, Line, assert_no_thread_is_left
from .stage import CANCELED, IN_PROGRESS, code_of

RACES = int(os.environ.get("RESCIND_RACES", "300"))
AT_ONCE = 8
SIZES = (1, 100, 3000, 12_000)
"""Some fit into the kernel's buffers, and some wait for the peer."""
PIECE = newton.Termination(byte_count=16)
LONGEST_S = 0.001
"""About as long as a round takes that nobody cancels."""


@pytest.fixture(params=["guide", "rom"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    line = Line(request.param)
    yield line
    line.close()
    assert_no_thread_is_left()


class Race:
    """Requests by their numbers in the race, and what their scripts heard, in order."""

    def __init__(self, line: Line, seed: int) -> None:
        self.line = line
        self.chance = random.Random(seed)
        self.heard: list[tuple[int, int | None]] = []
        self._told = threading.Condition()

    def hear(self, number: int, code: int | None) -> None:
        with self._told:
            self.heard.append((number, code))
            self._told.notify_all()

    def spec(self, number: int) -> newton.CallbackSpec:
        return newton.CallbackSpec(True, None, lambda _ep, _options, code: self.hear(number, code))

    def wait_for(self, numbers: set[int]) -> None:
        """Return once all of these have been told."""
        with self._told:
            are_told = lambda: numbers <= {number for number, _ in self.heard[-4 * AT_ONCE :]}  # noqa: E731
            assert self._told.wait_for(are_told, WAIT_S), (numbers, self.heard[-AT_ONCE:])

    def against_a_cancel(self, work: Callable[[], None], number: int) -> int:
        """Do something while a second thread cancels; returns how much was heard before its end."""
        delay_s = self.chance.uniform(0, LONGEST_S)
        waits = self.chance.random() < 0.5
        heard_before: list[int] = []

        def cancel() -> None:
            time.sleep(delay_s)
            if waits:
                self.line.endpoint.cancel()
                heard_before.append(len(self.heard))
            else:
                self.line.endpoint.cancel(self.spec(number))

        thread = threading.Thread(target=cancel)
        thread.start()
        work()
        thread.join(WAIT_S)
        assert not thread.is_alive()
        if waits:
            return heard_before[0]
        self.wait_for({number})
        return self.heard.index((number, None))

    def codes(self) -> dict[int, int | None]:
        """Return the codes; nobody was told twice."""
        codes = dict(self.heard)
        assert len(codes) == len(self.heard)
        return codes


def drain(peer: Any, chance: random.Random, received: bytearray) -> None:
    """Take what comes until the other side hangs up, sometimes slowly."""
    while data := peer.recv(chance.choice([100, 5000, 65_536])):
        received += data
        if chance.random() < 0.2:
            time.sleep(chance.uniform(0, LONGEST_S / 4))


def taken_of(line: Line) -> dict[int, int]:
    """Return how many bytes the tool said were sent of each request that was cut short."""
    turns = [turn for turn in read(line.runtime.log) if isinstance(turn.message, Killed)]
    return {number: count for turn in turns for number, count in turn.message.taken.items()}


@pytest.mark.timeout(3600)
def test_an_output_is_sent_whole_or_as_far_as_the_log_says_and_told_once(line: Line) -> None:
    race = Race(line, RACES)
    peer = line.connect()
    received = bytearray()
    reader = threading.Thread(target=drain, args=(peer, random.Random(1), received))
    reader.start()
    sent: dict[int, tuple[int, bytes]] = {}
    refused = 0

    def send(number: int) -> None:
        data = race.chance.randbytes(race.chance.choice(SIZES))
        request = line.endpoint.output(data, race.spec(number))
        sent[number] = (request.number, data)

    def send_all(numbers: range) -> None:
        nonlocal refused
        for number in numbers:
            code = code_of(partial(send, number))
            assert code in (None, IN_PROGRESS)
            refused += code is not None

    for first in range(0, RACES, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, RACES))
        end = race.against_a_cancel(partial(send_all, numbers), RACES + first)
        race.wait_for(set(numbers) & sent.keys())
        late = [number for number, code in race.heard[end:] if code == CANCELED]
        assert not late, f"{late} were canceled after the cancel's own end"
    line.endpoint.disconnect()
    reader.join(WAIT_S)
    codes, taken = race.codes(), taken_of(line)
    expected = b"".join(
        data if codes[number] is None else data[: taken.get(request, 0)]
        for number, (request, data) in sent.items()
    )
    assert bytes(received) == expected
    outcomes = Counter(codes[number] for number in sent)
    cut = len(taken)
    print(f"RESCIND_RACES={RACES}: {dict(outcomes)}, {cut} cut short, {refused} refused")  # noqa: T201
    assert set(outcomes) == {None, CANCELED}, "both must have been raced for"


@pytest.mark.timeout(3600)
def test_a_receive_gets_its_piece_or_leaves_it_to_the_next_one(line: Line) -> None:
    race = Race(line, RACES)
    peer = line.connect()
    sent = b""
    got: list[bytes] = []
    requests: dict[int, Any] = {}

    def receive(number: int) -> None:
        script = race.spec(number).completion_script
        wanted = newton.InputSpec(None, script, form="bytes", termination=PIECE)
        requests[number] = line.endpoint.receive(wanted, asynchronous=True)

    def receive_and_send(number: int) -> None:
        nonlocal sent
        assert code_of(partial(receive, number)) in (None, IN_PROGRESS)
        data = race.chance.randbytes(race.chance.choice([7, 16, 20]))
        time.sleep(race.chance.uniform(0, LONGEST_S / 2))
        peer.sendall(data)
        sent += data

    for number in range(RACES):
        race.against_a_cancel(partial(receive_and_send, number), RACES + number)
        if number in requests:
            line.endpoint.cancel()  # the first one may have come before there was a receive
            race.wait_for({number})
            request = requests[number]
            assert (number, request.result) in race.heard
            if request.result is None:
                got.append(request.get().data)
    codes = race.codes()
    outcomes = Counter(codes[number] for number in requests)
    assert got + rest_of(line, peer, sent, got) == as_pieces(sent)
    print(f"RESCIND_RACES={RACES}: {dict(outcomes)}, {RACES - len(requests)} refused")  # noqa: T201
    assert set(outcomes) == {None, CANCELED}, "both must have been raced for"


def as_pieces(data: bytes) -> list[bytes]:
    """Return what comes of data whose last piece is filled up with zeros."""
    data += bytes(-len(data) % 16)
    return [data[start : start + 16] for start in range(0, len(data), 16)]


def rest_of(line: Line, peer: Any, sent: bytes, got: list[bytes]) -> list[bytes]:
    """Fill the last piece up, and receive what nobody has received yet."""
    peer.sendall(bytes(-len(sent) % 16))
    wanted = newton.InputSpec(form="bytes", termination=PIECE)
    left = len(as_pieces(sent)) - len(got)
    return [line.endpoint.receive(wanted).get().data for _ in range(left)]


@pytest.mark.timeout(3600)
def test_an_input_spec_hears_every_piece_and_its_one_end(line: Line) -> None:
    race = Race(line, RACES)
    peer = line.connect()
    sent = b""
    got: list[bytes] = []
    outcomes: Counter[int | None] = Counter()
    armed = -1

    def arm(number: int) -> bool:
        spec = newton.InputSpec(
            lambda _ep, data, _terminator, _options: got.append(data),
            race.spec(number).completion_script, form="bytes", termination=PIECE,
        )  # fmt: skip
        return code_of(lambda: line.endpoint.set_input_spec(spec)) is None

    def send() -> None:
        nonlocal sent
        data = race.chance.randbytes(race.chance.choice([7, 16, 40]))
        time.sleep(race.chance.uniform(0, LONGEST_S))
        peer.sendall(data)
        sent += data

    for number in range(RACES):
        if armed < 0:
            assert arm(number)
            armed = number
        race.against_a_cancel(send, RACES + number)
        told = dict(race.heard[-2 * AT_ONCE :])
        if armed in told:
            outcomes[told[armed]] += 1
            armed = -1
        else:
            outcomes[None] += 1  # its script ran just then, and nothing was posted (6.5)
    line.endpoint.cancel()
    race.codes()
    assert got + rest_of(line, peer, sent, got) == as_pieces(sent)
    print(f"RESCIND_RACES={RACES}: {dict(outcomes)}")  # noqa: T201
    assert {CANCELED} <= set(outcomes) <= {None, CANCELED, IN_PROGRESS}

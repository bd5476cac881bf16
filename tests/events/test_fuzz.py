"""The reader against whatever bytes come: only documented errors, bounded memory, no wrong read.

``RESCIND_MUTATIONS`` says how many damaged logs there are (default 3000), ``RESCIND_MUTATION_SEED``
repeats them.  A failure names the seed that begins with its case.
"""

import faulthandler
import os
import random
import tracemalloc
from contextlib import suppress
from functools import cache
from itertools import pairwise

import pytest

from rescind.events import MemoryStorage, RescindError, Tell, read
from rescind.events._segment import Opening, Window, read_preamble
from rescind.events.testing import LogCheck, Remains

from .logs import FrozenStorage, open_log, record, segments_of
from .mutations import HOSTILE, bases, damage, forge, forged_mark, framed, parsed, recovered

MUTATIONS = int(os.environ.get("RESCIND_MUTATIONS", "3000"))
SEED = int(os.environ.get("RESCIND_MUTATION_SEED", random.randrange(1 << 30)))
MEASURED_EVERY = 20

pytestmark = pytest.mark.timeout(60 + MUTATIONS // 20)


@pytest.fixture(autouse=True)
def _long():
    # In its large size this runs longer than pytest waits before it shows all stacks.
    faulthandler.cancel_dump_traceback_later()


def fuzz(case, share):
    """Run ``case(dice, base, segments)`` for each seed, and say which one failed."""
    for seed in range(SEED, SEED + max(1, int(MUTATIONS * share))):
        dice = random.Random(f"{seed} {case.__name__}")
        base = dice.randrange(len(bases()))
        segments = {number: bytearray(data) for number, data in bases()[base].items()}
        try:
            if seed % MEASURED_EVERY:
                case(dice, base, segments)
            else:
                assert peak_of(case, dice, base, segments) < memory_limit(base)
        except BaseException as error:
            error.add_note(f"repeat with RESCIND_MUTATION_SEED={seed} RESCIND_MUTATIONS=1")
            raise


def peak_of(function, *arguments):
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def memory_limit(base):
    return 4_000_000 + 300 * sum(map(len, bases()[base].values()))


@cache
def originals(base):
    return list(read(FrozenStorage(bases()[base])))


@cache
def originals_raw(base):
    return dict(read(FrozenStorage(bases()[base])).raw())


@cache
def check_of(base):
    return LogCheck.of(originals(base))


def assert_accounted(reader, numbers):
    """Numbers ascend, and none of them is also reported as lost."""
    assert all(before < after for before, after in pairwise(numbers))
    for place in reader.damage:
        if place.first is not None:
            last = float("inf") if place.last is None else place.last
            assert not any(place.first <= number <= last for number in numbers), place


def read_in_every_way(storage, dice):
    """Ask a log everything that can be asked; what comes is not judged, only how."""
    reader = read(storage, verify_chain=dice.random() < 0.5)
    numbers = [turn.number for turn in reader]
    assert_accounted(reader, numbers)
    reader.info()
    if (keyframe := reader.keyframe()) is not None:
        list(reader.entries(keyframe))
    wanted = {
        "start": dice.choice([1, 2, 7, 40, 1 << 63]),
        "since_ns": dice.choice([None, 0, 1_700_000_000, 1 << 63]),
        dice.choice(["actor", "about"]): dice.choice([None, 1, 2, 5, 1 << 63]),
    }
    list(read(storage, **wanted))
    list(read(storage).follow(idle_s=0))
    return numbers


# --- cases ---------------------------------------------------------------------------------------


def light(dice, base, segments):
    """One harm and one reading: cheap, so that most of the logs can be of this sort."""
    is_raw = dice.random() < 0.5
    (damage if is_raw else forge)(segments, dice)
    with suppress(RescindError):
        reader = read(FrozenStorage(segments), verify_chain=dice.random() < 0.5)
        turns = list(reader)
        assert_accounted(reader, [turn.number for turn in turns])
        if is_raw:
            assert not [*check_of(base)._wrong(turns)]


def raw(dice, base, segments):
    for _ in range(dice.randint(1, 4)):
        if segments:
            damage(segments, dice)
    left = Remains("raw damage", {n: bytes(segments[n]) for n in sorted(segments)})
    assert check_of(base).problems(left, go_on=dice.random() < 0.3) == []
    if dice.random() < 0.2:
        with suppress(RescindError):
            recover_and_check(base, segments)


def recover_and_check(base, segments):
    """Recover a log; the new one has all that could be read, and accounts for all that is known."""
    reader = read(FrozenStorage(segments), verify_chain=True)
    readable = {turn.number for turn in reader}
    known = max([0, *readable, *(place.last or 0 for place in reader.damage)])
    target, recovery = recovered(FrozenStorage(segments))
    saved = [turn.number for turn in read(target)] if target.segments() else []
    assert readable <= set(saved)
    assert recovery.records == len(saved)
    assert all(originals_raw(base)[number] == record for number, record in read(target).raw())
    left = Remains("recovered", segments_of(target), accounted=known if saved else 0)
    found = check_of(base).problems(left)
    if recovery.guessed:
        # What kinds are called may be gone with the preambles; the records say the same.
        found = [problem for problem in found if "read wrongly" not in problem]
    assert found == []


def forged(dice, base, segments):
    for _ in range(dice.randint(1, 3)):
        forge(segments, dice)
    if dice.random() < 0.2:
        damage(segments, dice)
    storage = FrozenStorage(segments)
    storage.set_mark(forged_mark(dice) if dice.random() < 0.3 else b"", sync=False)
    with suppress(RescindError):
        numbers = read_in_every_way(storage, dice)
        if dice.random() < 0.3:
            recovered(storage)
        if dice.random() < 0.3:
            write_on(storage, numbers)


def write_on(storage, numbers):
    """Go on writing; what was read before is read again, and the new record or why not."""
    # A mark that says a segment failed although others follow it is believed only until now.
    disowned = [place for place in read(storage).info().damage if place.row == "torn-disowned"]
    log = open_log(storage=storage)
    number = log.append(record(log, Tell("later")))
    log.write(log.seal())
    log.close()
    reader = read(storage)
    again = [turn.number for turn in reader]
    # A log that lies may have taken the new number already, or said that it is another log.
    assert disowned or again[: len(numbers)] == numbers
    assert number in again or not all(place.torn for place in reader.damage)
    assert_accounted(reader, again)


class Growing(MemoryStorage):
    """A log that grows under its reader's eyes until it is what it was to be."""

    def __init__(self, segments, dice):
        super().__init__()
        self._dice = dice
        self._rest = dict(segments)
        for _ in range(dice.randrange(4)):
            self._grow()

    def _grow(self):
        if not self._rest:
            return False
        number = min(self._rest)
        size = self._dice.choice([0, 1, 40, 200, 1_000, 5_000])
        self._segments.setdefault(number, bytearray()).extend(self._rest[number][:size])
        self._rest[number] = self._rest[number][size:]
        if not self._rest[number]:
            del self._rest[number]
        return True

    def segments(self):
        self._grow()
        return super().segments()

    def size(self, segment):
        self._grow()
        return super().size(segment)

    def read(self, segment, offset, length):
        self._grow()
        return super().read(segment, offset, length)

    def wait(self, timeout_s):  # noqa: ARG002 - the contract's
        return self._grow()


def growing(dice, base, segments):
    turns = originals(base)
    reader = read(storage := Growing(segments, dice), verify_chain=dice.random() < 0.5)
    seen = list(reader)
    assert seen == turns[: len(seen)]
    if reader.log_id != bytes(16):
        followed = list(read(Growing(segments, dice) if dice.random() < 0.5 else storage).follow(0))
        assert followed == turns[: len(followed)]
    while storage.wait(0):
        pass
    assert list(read(storage)) == turns
    forge(segments, dice)
    with suppress(RescindError):
        for options in ({"verify_chain": True}, {"actor": 1}, {"start": 5}):
            list(read(Growing(segments, dice), **options))
        list(read(Growing(segments, dice)).follow(0.01))


@pytest.mark.parametrize(
    ("case", "share"), [(light, 0.9), (raw, 0.04), (forged, 0.05), (growing, 0.01)]
)
def test_whatever_is_done_to_a_log_only_documented_errors_come_and_no_wrong_read(case, share):
    fuzz(case, share)


def test_a_log_that_grows_is_followed_to_its_end_each_turn_once():
    for base, segments in enumerate(bases()):
        for seed in range(10):
            storage = Growing(segments, random.Random(seed))
            while not isinstance(read_preamble(Window(storage, min(segments))), Opening):
                storage.wait(0)
            assert list(read(storage).follow(0.01)) == originals(base)


# --- hostile values, one by one ------------------------------------------------------------------


@pytest.mark.parametrize("sort", "BKIEG")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_costs_no_more_than_its_block(sort, name):
    base, number, preamble, blocks, block = first_block(sort)
    whole, half = block.body, len(block.body) // 2
    for body in (HOSTILE[name], whole[:half] + HOSTILE[name] + whole[half:]):
        block.body = body
        changed = bases()[base] | {number: framed(number, preamble, blocks)}
        assert peak_of(look_at, changed) < memory_limit(base)


def first_block(sort):
    """Find a block of a sort: base, segment, the segment's preamble and blocks, and the block."""
    for base, segments in enumerate(bases()):
        for number in segments:
            preamble, blocks = parsed(segments, number)
            for block in blocks:
                if block.sort == ord(sort):
                    return base, number, preamble, blocks, block
    raise AssertionError(f"no log here has a block {sort}")


def look_at(segments):
    with suppress(RescindError):
        read_in_every_way(FrozenStorage(segments), random.Random(1))

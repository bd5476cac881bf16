"""A ledger that forgets judges as one that does not, and its memory is bounded."""

import tracemalloc
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from rescind.events import (
    Accepted,
    CancelBegan,
    Completed,
    Delivered,
    How,
    Log,
    LogDamagedError,
    Origin,
    Start,
    Submit,
    read,
)
from rescind.replay import LAWS, Court, Ledger, Verdict, check, info
from rescind.replay._ledger import forgetting as _forgetting
from rescind.replay._ledger.forgetting import ForgetfulLedger
from rescind.replay._ledger.numbers import NumberSet
from rescind.replay._ledger.sound import sound
from rescind.replay._upkeep.census import Census

from .mutations.stories import NAMES, recorded
from .mutations.table import TABLE
from .recording import flush, save

BOUNDS: list[dict[str, Any]] = [
    {"kept": 0},
    {"kept": 3},
    {"kept": 0, "open_max": 4},
    {"kept": 10_000},
]


def written(turns, path):
    """Write turns as a new log, without what only the application can read."""
    plain = []
    for turn in turns:
        message = turn.message
        for name, nothing in (("arguments", ()), ("args", []), ("kwargs", {}), ("value", None)):
            if name in getattr(message, "_fields", ()):
                message = message._replace(**{name: nothing})
        events: list[Any] = [event for event in turn.events if isinstance(event, tuple)]
        for name in ("arguments", "value"):
            events = [e._replace(**{name: None}) if name in e._fields else e for e in events]
        events = [e._replace(arguments=()) if "arguments" in e._fields else e for e in events]
        plain.append(replace(turn, message=message, events=tuple(events)))
    return save(plain, path)


def heard(reader, ledger):
    court = Court(LAWS, tuple, ledger)
    for turn in sound(reader):
        court.feed(turn)
    return court


def judged(court):
    return [
        (report.law, report.judged, sorted(map(repr, report.findings)), report.counts)
        for report in court.close()
    ]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_judged_as_if_nothing_was_forgotten(name, bounds, tmp_path):
    reader = read(written(recorded(name), tmp_path / "a.log"))
    whole = judged(heard(list(reader), None))
    assert judged(heard(reader, ForgetfulLedger(reader, **bounds))) == whole


def counted(turns, ledger):
    census = Census(ledger)
    for turn in turns:
        ledger.feed(turn)
    census.end()
    names = ("requests", "rejected", "outstanding", "cancels", "windows", "victims")
    return [getattr(census, name) for name in names], census.codes, census.classes


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_counted_as_if_nothing_was_forgotten(name, bounds, tmp_path):
    reader = read(written(recorded(name), tmp_path / "a.log"))
    whole = counted(list(reader), Ledger())
    assert counted(reader, ForgetfulLedger(reader, **bounds)) == whole


def test_endpoints_that_were_forgotten_are_still_counted(writer, monkeypatch, tmp_path):
    monkeypatch.setattr(_forgetting, "TRIMMED_TO", 10)
    for number in range(10, 2010):
        wire = writer.kinds[_kind("Opened")], number, "newton", "guide", "tcp"
        closed = writer.kinds[_kind("Closed")], number, "disposed"
        writer.turn(number, Origin.APP, 0, Submit("x", (), True, None), wire, closed)
    writer.close()
    census = info(read(tmp_path / "a.log")).census
    assert len(census.endpoints) + census.endpoints_left_out == 2001
    assert len(census.endpoints) < 1010
    assert census.endpoints[0].number == 1, "who is open is not left out"


ALTERED = [
    pytest.param(law, alter, id=f"{law}: {text}")
    for law, alterations in TABLE.items()
    if law != "L10"  # a log numbers its turns itself
    for text, alter in alterations.items()
]


@pytest.mark.parametrize(("law", "alter"), ALTERED)
def test_an_altered_log_is_judged_as_if_nothing_was_forgotten(law, alter, tmp_path):
    found = [altered for name in NAMES for altered, _ in islice(alter(recorded(name)), 1)]
    for number, altered in enumerate(found[:2]):
        reader = read(written(altered, tmp_path / f"{number}.log"))
        whole = judged(heard(list(reader), None))
        for bounds in BOUNDS[:3]:
            assert judged(heard(reader, ForgetfulLedger(reader, **bounds))) == whole, bounds
        report = check(reader)
        assert not report.damage
        assert law in {each.law for each in report.laws if each.verdict is Verdict.BROKEN}


class Writer:
    """Writes turns of one endpoint as fast as it can be done."""

    def __init__(self, path):
        self.log = Log.create_or_open(path)
        self.kinds = self.log.kind_ids
        self.log.class_("shop.Endpoint", 1, "")
        self.turn(1, Origin.APP, 0, Start(1, [], {}), (self.kinds[_kind("Born")], 1, 1, 0),
                  (self.kinds[_kind("Opened")], 1, "newton", "guide", "tcp"))  # fmt: skip

    def wire(self, kind):
        return (self.kinds[type(kind)], *kind)

    def turn(self, actor, origin, cause, message, *events):
        self.log.append((actor, 10**18, origin, cause, self.wire(message), list(events), None))
        if self.log.last_number % 1000 == 0:
            flush(self.log)

    def submit(self, request):
        event = self.wire(Accepted(request, 1, "Output", True, None, True))
        self.turn(1, Origin.APP, 0, Submit("Output", (), True, None), event)

    def say(self, *events):
        self.turn(1, Origin.APP, 0, Submit("x", (), True, None), *map(self.wire, events))

    def close(self):
        flush(self.log)
        self.log.close()


def _kind(name):
    from rescind import events

    return getattr(events, name)


@pytest.fixture
def writer(tmp_path):
    return Writer(tmp_path / "a.log")


def memory_of(path, **bounds):
    """Return what a check takes at most, in bytes, and its court."""
    tracemalloc.start()
    try:
        reader = read(path)
        court = heard(reader, ForgetfulLedger(reader, **bounds))
        reports = court.close()
        return tracemalloc.get_traced_memory()[1], {each.law: each for each in reports}
    finally:
        tracemalloc.stop()


def lives(writer, first, count):
    for number in range(first, first + count):
        writer.submit(number)
        writer.say(Completed(number, None, How.RESULT, 0), Delivered([number, number], "script"))


def test_memory_does_not_grow_with_the_log(writer, tmp_path):
    lives(writer, 2, 24_000)
    writer.close()
    forgetful = memory_of(tmp_path / "a.log", kept=100)[0]
    whole = memory_of(tmp_path / "a.log", kept=10**9)[0]
    assert 3 * forgetful < whole  # an eighth, but for what waits for the garbage collector


def test_sparse_numbers_do_not_take_more_than_dense_ones(writer, tmp_path):
    for number in range(3_000):
        lives(writer, 10 + 1_000 * number, 1)
    writer.close()
    reader = read(tmp_path / "a.log")
    ledger = ForgetfulLedger(reader, kept=10)
    ledger.forgotten._ranges_max = 100
    court = heard(reader, ledger)
    assert len(ledger.forgotten.ranges) <= 100
    assert court.verdict is Verdict.HOLDS


def test_of_many_requests_at_once_the_oldest_are_put_aside_and_none_is_lost(writer, tmp_path):
    for number in range(2, 1_002):
        writer.submit(number)
    for number in range(2, 902):
        writer.say(Completed(number, None, How.RESULT, 0), Delivered([number, number], "script"))
    writer.close()
    reader = read(tmp_path / "a.log")
    ledger = ForgetfulLedger(reader, kept=10, open_max=50)
    court = heard(reader, ledger)
    assert len(ledger.requests) <= 50
    reports = {each.law: each for each in court.close()}
    assert reports["L1"].counts == {Verdict.OPEN: 100}
    assert {law for law, each in reports.items() if each.verdict is Verdict.BROKEN} == set()


def test_a_range_of_very_many_victims_is_heard_of_and_costs_no_memory(writer, tmp_path):
    lives(writer, 2, 10)
    writer.say(CancelBegan(5_000_000, [20, 9_000_000]))
    writer.close()
    peak, reports = memory_of(tmp_path / "a.log")
    assert reports["L3"].verdict is Verdict.BROKEN
    assert peak < 20_000_000


def test_ranges_that_name_more_than_there_can_be_are_damage(writer, tmp_path):
    for _ in range(3):
        writer.say(Delivered([20, 9_000_000], "script"))
    writer.close()
    with pytest.raises(LogDamagedError, match="name more requests than there can be"):
        list(sound(read(tmp_path / "a.log")))


def test_what_is_said_again_of_very_many_is_found_and_looked_up_only_so_often(writer, tmp_path):
    lives(writer, 2, 300)
    for number in range(2, 302):
        writer.say(Completed(number, None, How.RESULT, 0))
    writer.close()
    _, reports = memory_of(tmp_path / "a.log", kept=0, recalls_max=20)
    counts = reports["L1"].counts
    assert counts[Verdict.BROKEN] == 20
    assert all(len(each.turns) == 2 for each in reports["L1"].of(Verdict.BROKEN))
    assert counts[Verdict.OPEN] == 280


# --- sets of numbers ------------------------------------------------------------------------------


def test_a_set_of_numbers_is_a_set():
    made, plain = NumberSet(), set()
    for step in range(2_000):
        number = (step * step * 7 + step) % 300
        if step % 3:
            made.add(number)
            plain.add(number)
        else:
            made.discard(number)
            plain.discard(number)
        assert (number in made) == (number in plain)
        assert made.highest == max(plain, default=-1)
    assert list(made) == sorted(plain)
    assert len(made) == len(plain)
    assert list(made.between(50, 80)) == sorted(n for n in plain if 50 <= n <= 80)


def test_a_set_that_takes_too_many_ranges_says_that_it_is_an_approximation():
    made = NumberSet(ranges_max=10)
    for number in range(0, 100, 2):
        made.add(number)
    assert not made.is_exact
    assert len(made.ranges) <= 10
    assert all(number in made for number in range(0, 100, 2))

"""Turns pass filters, and every kind has words."""

from rescind.events import (
    Cause,
    Completed,
    InputScript,
    Opaque,
    Origin,
    Submit,
    Tell,
    Turn,
    Unknown,
    Violation,
)
from rescind.replay import Ledger, TurnFilter, turns
from rescind.replay._words.describe import event_text, kind_text, numbers_text
from rescind.replay._words.text import MARGIN, Clock, as_text
from rescind.replay._words.turns import turn_json, turn_lines

from .recording import everything, incident


def numbers(**wanted):
    return [turn.number for turn in turns(incident().turns, TurnFilter(**wanted))]


def test_a_filter_takes_what_an_actor_took():
    assert numbers(actor=5) == [15]


def test_a_filter_takes_all_that_has_to_do_with_a_number():
    assert numbers(about=5) == [7, 11, 15, 22]


def test_a_filter_takes_an_origin():
    assert numbers(origin="io") == [3, 12, 26]


def test_a_filter_takes_a_message_or_an_event_by_its_name():
    assert numbers(kind="Rejected") == [20]
    assert numbers(kind="killed") == [12]


def test_a_filter_takes_bounds_and_a_limit():
    assert numbers(first=4, last=6) == [4, 5, 6]
    assert len(list(turns(incident().turns, TurnFilter(), limit=3))) == 3


def test_a_limit_reads_no_further_than_needed():
    read = []

    def log():
        for turn in incident().turns:
            read.append(turn.number)
            yield turn

    assert len(list(turns(log(), TurnFilter(last=3)))) == 3
    assert read == [1, 2, 3, 4]


def screen(turn):
    ledger = Ledger()
    ledger.feed(turn)
    return as_text(turn_lines(turn, ledger, Clock(turn.time_ns)))


def test_every_turn_of_a_recording_fits_and_has_a_document():
    ledger = Ledger()
    for turn in everything().turns:
        ledger.feed(turn)
        text = as_text(turn_lines(turn, ledger, Clock(turn.time_ns)))
        assert max(map(len, text.splitlines())) <= MARGIN
        assert turn_json(turn, ledger)["turn"] == turn.number


def odd(message, *events, cause=None, origin=Origin.ACTOR):
    return Turn(1, 5, 1, 7, origin, cause, message, events, None, True)


def test_a_kind_of_a_later_version_is_shown_as_it_was_written():
    later = Unknown("Quarantined", 3, ("actor", "why"), (7, "\x1b[2J"))
    assert kind_text(later) == "Quarantined actor=7 why='\\x1b[2J'"
    turn = odd(later, later, origin=9)
    assert "Quarantined" in screen(turn)
    assert turn_json(turn, Ledger())["message"]["fields"] == {"actor": 7, "why": "\x1b[2J"}
    assert list(turns([turn], TurnFilter(kind="quarantined", about=7, origin="9"))) == [turn]


def test_payloads_are_cut_and_marked():
    text = screen(odd(Tell(b"x" * 5000)))
    assert "(5,000)" in text
    assert len(text) < 200
    assert turn_json(odd(Tell(Opaque("shop.Basket"))), Ledger())["message"] == {
        "kind": "Tell",
        "fields": {"value": {"$opaque": "shop.Basket"}},
    }


def test_a_turn_of_many_events_is_folded():
    turn = odd(None, *[Violation(1, "r", "t")] * 9)
    assert "and 5 more events" in screen(turn)


def test_a_cause_elsewhere_is_marked():
    assert "←3 r4" in screen(odd(None, cause=Cause(3, 4)))
    assert "←abab" in screen(odd(None, cause=Cause(3, 0, b"\xab" * 16)))


def test_ranges_are_folded():
    assert numbers_text([4, 6, 2, 2]) == "r4..r6 r2"
    assert numbers_text([n for n in range(1, 40, 2) for _ in "ab"]).endswith("and 14 more")


def test_the_words_of_a_kind_need_no_ledger():
    assert kind_text(InputScript(4)) == "InputScript request=4 asked=False"
    assert event_text(Completed(4, -7, 0, 0), Ledger()) == "Completed r4: -7"
    assert "Submit" in kind_text(Submit("x", (), True, None))

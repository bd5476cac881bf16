"""Kinds that an application declares: in the log under their names, and back again."""

from dataclasses import FrozenInstanceError
from typing import Any, cast

import pytest

from rescind.events import (
    Declared,
    Opaque,
    Tell,
    Unknown,
    UsageError,
    declared_as,
    event,
    message,
    read,
)
from rescind.events._codec import Bindings
from rescind.events._msgpack import ExtType, pack
from rescind.events._packing import DECLARED

from .logs import open_log, record


@message(name="crawler.Fetch")
class Fetch:
    url: Any
    depth: int = 0


@event(name="crawler.Fetched")
class Fetched:
    url: str
    size: int


@message(name="crawler.Stop")
class Stop:
    pass


class Crowd:
    """Nothing that a log can carry."""


def declared(cls: type) -> Declared:
    found = declared_as(cls)
    assert found is not None
    return found


def turns_of(*records):
    """Write records, each ``(message, events)``, and return the turns that a reader sees."""
    log = open_log()
    for what, events in records:
        log.append(record(log, what, *events))
    log.write(log.seal())
    return list(read(log))


def test_a_declared_kind_is_a_frozen_class_with_slots():
    fetch = Fetch("a")
    assert (fetch.url, fetch.depth, [*cast("Any", fetch)]) == ("a", 0, ["a", 0])
    assert fetch == Fetch("a", 0) != Fetch("b")
    assert not hasattr(fetch, "__dict__")
    with pytest.raises(FrozenInstanceError):
        fetch.url = "b"  # type: ignore[misc]


def test_an_event_stands_in_the_record_under_its_name_and_fields():
    (turn,) = turns_of((Tell("go"), [Fetched("a", 512)]))
    assert turn.events == (Unknown("crawler.Fetched", 1, ("url", "size"), ("a", 512)),)
    assert turn.replayable


def test_a_message_is_a_value_wherever_one_may_stand():
    (turn,) = turns_of((Tell([Fetch("a"), {"next": Fetch("b", 1)}, Stop()]), []))
    kind = ("crawler.Fetch", 1, ("url", "depth"))
    assert turn.message.value == (
        Unknown(*kind, ("a", 0)),
        {"next": Unknown(*kind, ("b", 1))},
        Unknown("crawler.Stop", 1, (), ()),
    )
    assert turn.replayable


def test_it_is_shown_as_its_class_would_write_it():
    (turn,) = turns_of((Tell([Fetch("a", 2)]), []))
    assert repr(turn.message.value) == "(crawler.Fetch(url='a', depth=2),)"


def test_fields_of_the_application_are_not_mistaken_for_numbers_of_the_log():
    @event(name="shop.Refunded")
    class Refunded:
        request: int
        code: int

    log = open_log()
    log.append(record(log, Tell("x"), Refunded(77, -5), actor=3))
    log.write(log.seal())
    assert [turn.number for turn in read(log, about=77)] == []
    assert [turn.number for turn in read(log, about=3)] == [1]
    log.close()
    assert [turn.number for turn in read(log, about=77)] == []


def test_what_a_field_cannot_carry_is_opaque_and_the_rest_is_kept():
    (turn,) = turns_of((Tell(Fetch(Crowd(), 3)), []))
    assert turn.message.value.values == (Opaque(f"{__name__}.Crowd"), 3)
    assert not turn.replayable


def test_a_value_that_holds_itself_is_cut_off():
    inside: list[Any] = []
    fetch = Fetch(inside)
    inside.append(fetch)
    (turn,) = turns_of((Tell(fetch), []))
    assert not turn.replayable


def test_what_was_read_becomes_a_value_of_the_class_again():
    (turn,) = turns_of((Tell(Fetch("a", 2)), []))
    read_back = turn.message.value
    assert declared(Fetch).revive(read_back) == Fetch("a", 2)
    assert declared(Fetch).role == "message"


@pytest.mark.parametrize(
    ("version", "values", "made"),
    [
        (1, ("a",), ("a", "http", 0)),
        (2, ("a", "ftp"), ("a", "ftp", 0)),
        (3, ("a", "ftp", 7), ("a", "ftp", 7)),
    ],
)
def test_older_versions_are_brought_to_the_present_one(version, values, made):
    @message(name="crawler.Link", version=3, upcasters={1: lambda old: (*old, "http")})
    class Link:
        url: str
        scheme: str
        depth: int = 0

    old = Unknown("crawler.Link", version, (), values)
    assert declared(Link).revive(old) == Link(*made)


@pytest.mark.parametrize(("version", "values"), [(1, ()), (1, ("a", 1, 2)), (2, ("a",))])
def test_what_does_not_fit_is_refused(version, values):
    with pytest.raises(ValueError, match="cannot become version 1"):
        declared(Fetch).revive(Unknown("crawler.Fetch", version, (), values))


def test_no_code_of_the_class_runs_when_a_value_comes_back():
    @message(name="crawler.Alarm")
    class Alarm:
        text: str

        def __post_init__(self):
            raise AssertionError("a log must not make this run")

    assert declared(Alarm).revive(Unknown("crawler.Alarm", 1, (), ("x",))).text == "x"


@pytest.mark.parametrize("options", [{"name": "Cancel"}, {"name": ""}, {"version": 0}])
def test_a_name_of_the_vocabulary_or_no_version_is_refused(options):
    if options == {"name": ""}:
        options = {"name": "x"}
    with pytest.raises(UsageError):
        message(**options)(type("Bad", (), {}))


def test_a_class_that_was_not_declared_has_no_number():
    log = open_log()
    with pytest.raises(TypeError, match="declare it"):
        _ = log.kind_ids[Crowd]
    log.close()


def test_a_log_whose_values_nest_without_end_is_read_with_bounded_depth():
    inner = b"\x91\x01"
    for _ in range(500):
        inner = pack([1, ExtType(DECLARED, inner)])
    found = Bindings().read_extension(DECLARED, inner)
    depth = 0
    while isinstance(found, Unknown):
        (found,) = found.values
        depth += 1
    assert 10 < depth <= 64
    assert isinstance(found, ExtType)

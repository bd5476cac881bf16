"""Strict runtimes refuse what the log cannot hold, where it comes from."""

from typing import Any

import pytest

from rescind import Actor, Runtime, event, message
from rescind.events import Raised, Turn, UnrecordableError, check_recordable
from tests.runtime.recordings import Recordings, turns

THING = object()


def holds_opaque(turn: Turn) -> bool:
    return not turn.replayable


@message
class Put:
    what: Any
    inside: Any = ()


@event
class Kept:
    what: Any


class Keeper(Actor):
    """Does with what it is given what the message says."""

    kept: Any = None

    def __init__(self, what: Any = None) -> None:
        self.what = what

    def on_put(self, m: Put) -> Any:
        return getattr(self, m.what)()

    def event(self) -> None:
        self.record(Kept(THING))

    def apply_kept(self, e: Kept) -> None:
        self.kept = e.what

    def result(self) -> Any:
        return [1, THING]

    def timer(self) -> None:
        self.send_after(1.0, THING)

    def ask(self) -> Any:
        ref: Any = self.actor_ref
        return ref.request(Put(THING))

    def args(self) -> Any:
        return self.work(str, THING)

    def works(self) -> Any:
        return self.work(object)


@pytest.fixture
def strict(recordings: Recordings) -> Runtime:
    return recordings.open("stepped", strict=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (THING, "it is a object, for which"),
        ([1, {"a": (2, THING)}], "it[1]['a'][1] is a object, for which"),
        ({THING: 1}, "it's key is a object, for which"),
        (Put("x", inside=[THING]), "it.inside[0] is a object, for which"),
        (Raised(THING), "it.error is a object, for which"),  # type: ignore[arg-type]
        ({"big": 1 << 64}, "it['big'] is a int, for which"),
        ("\ud800", "it is a str, for which"),
        (holds_opaque, "it is a function, for which"),
    ],
)
def test_the_message_says_which_part_it_is(value: Any, text: str) -> None:
    with pytest.raises(UnrecordableError) as caught:
        check_recordable(value, "it")
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("value", [None, 1, "x", [1, {"a": b"x"}], Put(1), {1: 2.5}, ()])
def test_what_can_be_recorded_passes(value: Any) -> None:
    check_recordable(value, "it")


def test_a_reference_can_be_recorded(strict: Runtime) -> None:
    check_recordable(strict.start(Keeper), "it")


def test_what_holds_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(UnrecordableError):
        check_recordable(circle, "it")


def test_the_caller_is_told_at_the_call(strict: Runtime) -> None:
    ref: Any = strict.start(Keeper)
    before = len(turns(strict))
    for call in (ref.tell, ref.ask, ref.request, lambda it: strict.start(Keeper, it)):
        with pytest.raises(UnrecordableError, match="is a object"):
            call(THING)
    with pytest.raises(UnrecordableError, match=r"kwargs\['what'\] is a object"):
        strict.start(Keeper, what=THING)
    with pytest.raises(UnrecordableError, match="is a object"):
        ref.proxy().what = THING
    assert len(turns(strict)) == before


@pytest.mark.parametrize("what", ["event", "result", "timer", "ask", "args"])
@pytest.mark.parametrize("way", ["ask", "request"])
def test_a_handler_fails_with_it_and_leaves_nothing(strict: Runtime, what: str, way: str) -> None:
    ref: Any = strict.start(Keeper)
    call = ref.ask if way == "ask" else lambda it: ref.request(it).get()
    with pytest.raises(UnrecordableError, match="is a object"):
        call(Put(what))
    assert not any(map(holds_opaque, turns(strict)))
    assert ref.proxy().kept.get() is None


def test_work_that_ends_with_it_has_failed(strict: Runtime) -> None:
    ref: Any = strict.start(Keeper)
    with pytest.raises(UnrecordableError, match="the result is a object"):
        ref.request(Put("works")).get()
    assert not any(map(holds_opaque, turns(strict)))


def test_otherwise_the_log_says_what_type_it_was(recordings: Recordings) -> None:
    runtime = recordings.open("stepped")
    assert runtime.start(Keeper).ask(Put("result")) == [1, THING]
    assert [each for each in turns(runtime) if holds_opaque(each)]

"""L12: what keyframes tell is what the events before them make; what does not is found."""

import json
import re
import shutil
from typing import Any

import pytest
from click.testing import CliRunner

from rescind import Actor, Runtime, Stepped
from rescind.actors.native import Twin
from rescind.events import Retention, prune, read
from rescind.replay import Verdict, check
from rescind.replay._laws.keyframes import KeyframesTell
from rescind.replay._laws.law import Court
from rescind.replay._ledger.fold import new_ledger
from rescind.replay._state.classes import keyframe_law
from rescind.replay.cli import cli
from tests.native.stores import Asker, Kept, Put, Store, Wait

from .plot import OFTEN, Plot
from .recording import spoil


class Till(Actor):
    """Keeps what it is given, and nothing else; asks a child of its own."""

    total: int = 0

    def __init__(self, title: str) -> None:
        self.title = title
        self.names: list[str] = []

    def on_start(self) -> None:
        Store.start("branch", self.actor_ref)

    def on_put(self, m: Put) -> None:
        self.record(Kept(m.name, m.amount))

    def on_wait(self, m: Wait) -> Any:
        return self.work(len, m.name)

    def apply_kept(self, e: Kept) -> None:
        self.total += e.amount
        self.names.append(e.name)


@pytest.fixture(scope="module")
def plot(tmp_path_factory):
    path = tmp_path_factory.mktemp("law") / "log"
    plot = Plot(path)
    plot.act()
    plot.runtime.close()
    return path


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Event-sourced actors over two processes; requests that wait, and one under a cancel."""
    path = tmp_path_factory.mktemp("law") / "shop"
    for life in range(2):
        runtime: Any = Runtime.open(path, dispatcher=Stepped(), classes=[Till], end_others=True)
        Twin(runtime)
        runtime.log.keyframes_from(runtime.entries, OFTEN)
        store = runtime.refs(Till)[0] if life else runtime.start(Till, "shop")
        runtime.start(Asker, store)
        for amount in range(60):
            store.tell(Put(f"item {amount}", amount))
            if amount % 9 == 0:
                store.request(Wait("abc"))
            runtime.dispatcher.run()
        runtime.close()
    return path


def judge(path, alter=lambda parts: parts, *, law=KeyframesTell, turns=None):
    """Return the report of L12 over a log, its keyframes altered on their way."""
    reader = read(path)
    court = Court([law], lambda: reader.damage, new_ledger(reader), alter(reader.parts()))
    for turn in reader if turns is None else turns:
        court.feed(turn)
    (report,) = court.close()
    return report


def test_keyframes_of_real_recordings_hold(plot, shop):
    for path in (plot, shop):
        reports = {each.law: each for each in check(read(path)).laws}
        assert {law: each.findings for law, each in reports.items() if each.findings} == {}
        assert reports["L12"].verdict is Verdict.HOLDS
        assert reports["L12"].judged > 5
    assert judge(shop, law=keyframe_law(read(shop), [Till])).verdict is Verdict.HOLDS


def test_a_log_without_keyframes_holds_and_nothing_is_judged(plot):
    report = judge(plot, lambda _: ())
    assert (report.verdict, report.judged) == (Verdict.HOLDS, 0)


def test_where_the_beginning_is_gone_the_first_is_open_and_those_behind_it_are_judged(
    plot, tmp_path_factory
):
    copy = tmp_path_factory.mktemp("law") / "copy"
    shutil.copytree(plot, copy)
    prune(copy, Retention(segments_max=12))
    report = judge(copy)
    assert report.verdict is Verdict.OPEN
    assert report.counts == {Verdict.OPEN: 1}
    assert report.judged > 3
    last = max(
        frame.number
        for frame, part in read(copy).parts()
        if any(is_kind("endpoint")(entry.state) for entry in part.entries)
    )
    lies = edit(is_kind("endpoint"), lambda state: state | {"driver": "other"}, frames={last})
    assert judge(copy, lies).counts == {Verdict.OPEN: 1, Verdict.BROKEN: lies.count}


def test_behind_a_gap_the_next_keyframe_is_open_and_none_is_broken(plot):
    turns = [turn for turn in read(plot) if not 300 <= turn.number < 310]
    report = judge(plot, turns=turns)
    assert report.counts == {Verdict.OPEN: 1}


@pytest.mark.parametrize("end", [1, 57, 58, 200, 333, 600])
def test_a_log_cut_at_any_turn_raises_no_false_alarm(plot, end):
    turns = [turn for turn in read(plot) if turn.number <= end]
    report = judge(plot, before(end + 1), turns=turns)
    assert report.verdict is Verdict.HOLDS, report.findings[:3]


def before(number):
    """Keep what a log that ends so early would hold."""
    return lambda parts: ((frame, part) for frame, part in parts if part.as_of < number)


# --- ten alterations -----------------------------------------------------------------------------


def is_kind(kind):
    return lambda state: isinstance(state, dict) and state["kind"] == kind


def is_done(state):
    return is_kind("request")(state) and "completed" in state


def is_doomed(state):
    return is_kind("request")(state) and "doomed" in state


def has_window(state):
    return is_kind("endpoint")(state) and any(each["open"] for each in state["windows"])


class edit:  # noqa: N801  # reads as the verb that it is
    """Changes the states that are wanted, or with None takes their entries away."""

    def __init__(self, wanted, change, frames=None):
        self.wanted, self.change, self.frames = wanted, change, frames
        self.count = 0

    def __call__(self, parts):
        for frame, part in parts:
            kept = []
            for entry in part.entries:
                is_here = self.frames is None or frame.number in self.frames
                if is_here and self.wanted(entry.state):
                    self.count += 1
                    if self.change is not None:
                        kept.append(entry._replace(state=self.change(entry.state)))
                else:
                    kept.append(entry)
            yield frame, part._replace(entries=kept)


def with_one_more(parts):
    for frame, part in parts:
        yield frame, part._replace(entries=[*part.entries, part.entries[-1]._replace(actor=9999)])


def with_one_twice(parts):
    for frame, part in parts:
        yield frame, part._replace(entries=[*part.entries, part.entries[-1]])


def stamped_later(parts):
    for frame, part in parts:
        yield frame, part._replace(as_of=part.as_of + 1)


def closed(state):
    return state | {"windows": [each | {"open": False} for each in state["windows"]]}


def begun_earlier(state):
    windows = [each | {"began": each["began"] - 1} for each in state["windows"]]
    return state | {"windows": windows}


ALTERATIONS: dict[str, Any] = {
    "an endpoint in another state": edit(is_kind("endpoint"), lambda s: s | {"state": 77}),
    "an endpoint left out": edit(is_kind("endpoint"), None),
    "a request left out": edit(is_kind("request"), None),
    "a request that never was": with_one_more,
    "an entry twice": with_one_twice,
    "a request of another operation": edit(is_kind("request"), lambda s: s | {"operation": "No"}),
    "a completion with another code": edit(is_done, lambda s: s | {"code": -7}),
    "a completion by another turn": edit(is_done, lambda s: s | {"completed": 1}),
    "a completion that did not happen": edit(
        lambda s: is_kind("request")(s) and "accepted" in s,
        lambda s: s | {"completed": s["accepted"], "code": None, "how": 0, "by": 0},
    ),
    "a victim of no cancel": edit(is_doomed, lambda s: s | {"doomed": 0}),
    "a victim of another cancel": edit(is_doomed, lambda s: s | {"doomed": 4}),
    "a window shut": edit(has_window, closed),
    "a window that began earlier": edit(has_window, begun_earlier),
    "a part that stands elsewhere": stamped_later,
    "an entry without sense": edit(is_kind("endpoint"), lambda s: s | {"driver": 5}),
    "a log that is not whole": edit(is_kind("log"), lambda s: s | {"is_whole": False}),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_altered_keyframe_is_found(plot, name):
    alter = ALTERATIONS[name]
    report = judge(plot, alter)
    assert report.verdict is Verdict.BROKEN
    assert isinstance(alter, edit) is False or alter.count > 0
    assert all(finding.turns for finding in report.findings)


def test_an_actor_with_another_parent_watcher_or_class_is_found(shop):
    reader = read(shop)
    is_child = lambda s: is_kind("actor")(s) and "parent" in s  # noqa: E731
    for change in (lambda s: s | {"parent": 99}, lambda s: s | {"incarnation": 3}):
        assert judge(shop, edit(is_child, change)).verdict is Verdict.BROKEN
    other = lambda parts: (  # noqa: E731
        (frame, part._replace(entries=[e._replace(cls=e.cls + (e.cls > 0)) for e in part.entries]))
        for frame, part in parts
    )
    assert judge(shop, other).verdict is Verdict.BROKEN
    assert reader.keyframe() is not None


def test_a_state_that_its_events_do_not_make_is_found_only_with_its_class(shop):
    def richer(state):
        told = dict(zip(state["state"][::2], state["state"][1::2], strict=True))
        told["total"] = told.get("total", 0) + 1
        return state | {"state": tuple(each for pair in told.items() for each in pair)}

    lies = edit(lambda s: isinstance(s, dict) and "state" in s and "args" in s, richer)
    assert judge(shop, lies).verdict is Verdict.HOLDS
    report = judge(shop, lies, law=keyframe_law(read(shop), [Till]))
    assert report.verdict is Verdict.BROKEN
    assert re.search(r" has total \d+, and its events make \d+$", report.findings[0].text)


def l12_with_classes(path):
    """Return what the command says of L12 when it knows the classes."""
    result = CliRunner().invoke(cli, ["check", str(path), "--json", "--classes", __name__])
    return next(law for law in json.loads(result.stdout)["laws"] if law["law"] == "L12")


def test_the_command_judges_states_by_the_classes_of_a_module_that_is_named(shop, monkeypatch):
    assert l12_with_classes(shop)["verdict"] == "holds"
    monkeypatch.setattr(Till, "apply_kept", lambda self, _: setattr(self, "total", -1))
    law = l12_with_classes(shop)
    assert law["verdict"] == "broken"
    assert any(" has total " in finding["text"] for finding in law["findings"])
    report = next(each for each in check(read(shop)).laws if each.law == "L12")
    assert report.verdict is Verdict.HOLDS, "without the class nothing is known of it"


def test_a_state_that_cannot_be_rebuilt_is_open(shop, monkeypatch):
    def fails(self, event):
        raise ValueError("not today")

    monkeypatch.setattr(Till, "apply_kept", fails)
    law = l12_with_classes(shop)
    assert (law["verdict"], law["broken"]) == ("open", 0)
    assert "not today" in law["findings"][0]["text"]


def test_states_behind_a_gap_are_judged_from_what_a_keyframe_tells_there(shop, tmp_path):
    copy = shutil.copytree(shop, tmp_path / "copy")
    first = min(copy.glob("*.seg"))
    spoil(first, first.read_bytes().index(b"item 20"))
    law = l12_with_classes(copy)
    assert law["judged"] > 5
    assert (law["open"], law["broken"]) == (1, 0), "the one keyframe behind the gap"


def test_a_module_that_is_not_there_is_a_sentence(shop):
    result = CliRunner().invoke(cli, ["check", str(shop), "--classes", "no.such.module"])
    assert "--classes no.such.module" in str(result.exception)

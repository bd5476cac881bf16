"""The pytest plugin, in runs of pytest of its own: what it finds, what it tells, what it costs."""

import re
import shlex

import pytest

import rescind.actors.native
from rescind.events import read
from rescind.replay import sequences
from rescind.replay._sequences import screen as _sequences_screen

pytest_plugins = ["pytester"]

# A run inside this process forgets what it was the first to import, and so imports nothing anew.
_LOADED = (rescind.Actor, rescind.actors.native.SteppedRuntime, _sequences_screen)

ACTORS = """
import pytest
from rescind import Actor, event, message


@message
class Fetch:
    name: str


@event
class Stored:
    page: str


class Store(Actor):
    count: int = 0

    def on_fetch(self, m: Fetch):
        self.first = self.work(len, m.name, then=self.first_came)
        self.second = self.work(len, m.name, then=self.second_came)

    def first_came(self, m: Fetch, page):
        self.second.cancel("the first was faster")
        self.record(Stored(m.name))

    def second_came(self, m: Fetch, page):
        self.first.cancel("the second was faster")
        self.record(Stored(m.name))

    def apply_stored(self, e: Stored):
        self.count += 1


def fetched(rescind):
    store = rescind.start(Store)
    store.tell(Fetch("news"))
    rescind.run()
    return store.proxy().count.get()
"""
RACE = """
@pytest.mark.rescind(seeds=100)
def test_race(rescind):
    with open("ran", "a") as ran:
        print(rescind.dispatcher.seed, file=ran)
    print("printed under", rescind.dispatcher.seed)
    assert fetched(rescind) == 1
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Return a function that runs a test file with this plugin and no other."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(text="", *options):
        if text:
            pytester.makepyfile(test_it=ACTORS + text)
        always = ("-p", "rescind.pytest_plugin", "--strict-markers")
        return pytester.runpytest_inprocess(*always, *options)

    return run


def story_of(result):
    """Return what stands below the plugin's heading."""
    text = result.stdout.str()
    found = re.search(r"^-+ (rescind.*?) -+\n(.*?)^(?:=|_|-----)", text, re.MULTILINE | re.DOTALL)
    assert found, text
    return found[1], found[2]


def field(story, name):
    (found,) = re.findall(rf"^{name} +(.*)$", story, re.MULTILINE)
    return found


# --- many schedules ------------------------------------------------------------------------------


def test_a_race_is_found_and_the_command_that_is_printed_repeats_it(run, pytester):
    result = run(RACE)
    result.assert_outcomes(failed=1)
    title, story = story_of(result)
    assert "cancel too late by 0: ok stands" in story
    log = pytester.path / field(story, "log")
    recorded = (log / "00000001.seg").read_bytes()
    assert len(list(sequences(read(log)))) == 2

    called, *words = shlex.split(field(story, "again"))
    assert called == "pytest"
    again = run("", *words)
    again.assert_outcomes(failed=1)
    assert story_of(again) == (title, story)
    assert (log / "00000001.seg").read_bytes() == recorded


def test_it_runs_the_seeds_in_order_and_stops_at_the_first_that_fails(run, pytester):
    title, story = story_of(run(RACE))
    seed = int(title.removeprefix("rescind, schedule "))
    assert seed > 0  # else nothing is said of those before
    assert field(story, "again") == f"pytest test_it.py::test_race --rescind-seed={seed}"
    assert (pytester.path / "ran").read_text().split() == [str(n) for n in range(seed + 1)]


def test_only_what_the_failing_schedule_printed_is_shown(run):
    result = run(RACE)
    assert len(re.findall("printed under", result.stdout.str())) == 2  # the source, and the output


def test_a_passed_test_is_one_test_and_tells_nothing(run, pytester):
    text = """
    @pytest.mark.rescind(seeds=7)
    def test_it(rescind):
        with open("ran", "a") as ran:
            print(rescind.dispatcher.seed, file=ran)
    """
    result = run(text.replace("\n    ", "\n"))
    result.assert_outcomes(passed=1)
    assert "schedule" not in result.stdout.str()
    assert (pytester.path / "ran").read_text().split() == [str(n) for n in range(7)]


FIXTURES = """
import pytest

@pytest.fixture(scope="module")
def shared():
    log("shared made")
    yield
    log("shared gone")

@pytest.fixture
def own(rescind, shared):
    log(f"own made {rescind.dispatcher.seed}")
    yield rescind
    assert not rescind.closing
    log("own gone")

def log(text):
    with open("ran", "a") as ran:
        print(text, file=ran)

@pytest.mark.rescind(seeds=2)
def test_it(own, tmp_path):
    (tmp_path / "new").mkdir()
"""


def test_a_schedule_has_fixtures_of_its_own_and_shares_those_of_a_wider_scope(run, pytester):
    pytester.makepyfile(test_a=FIXTURES, test_b="def test_after(): pass")
    run().assert_outcomes(passed=2)
    assert (pytester.path / "ran").read_text().splitlines() == [
        "shared made",
        *("own made 0", "own gone", "own made 1", "own gone"),
        "shared gone",
    ]


def test_a_teardown_that_fails_ends_the_schedules_and_the_next_module_goes_on(run, pytester):
    failing = FIXTURES.replace('log("own gone")', 'assert not "torn"')
    pytester.makepyfile(test_a=failing, test_b="def test_after(): pass")
    result = run()
    result.assert_outcomes(passed=2, errors=1)
    assert story_of(result)[0] == "rescind, schedule 0"
    assert "shared gone" in (pytester.path / "ran").read_text()


def test_what_is_shared_may_fail_as_it_is_taken_down(run, pytester):
    pytester.makepyfile(test_a=FIXTURES.replace('log("shared gone")', 'assert not "shared"'))
    result = run()
    result.assert_outcomes(passed=1, errors=1)
    assert "own made 1" in (pytester.path / "ran").read_text()


def test_a_fixture_that_fails_ends_the_schedules_too(run):
    text = """
@pytest.fixture
def broken(rescind):
    assert rescind.dispatcher.seed < 3

@pytest.mark.rescind(seeds=9)
def test_it(broken): pass
"""
    result = run(text)
    result.assert_outcomes(errors=1)
    assert field(story_of(result)[1], "again").endswith("--rescind-seed=3")


def test_skips_and_expected_failures_stay_what_they_are(run):
    text = """
@pytest.mark.rescind(seeds=3)
def test_skips(rescind):
    pytest.skip("not here")

@pytest.mark.xfail
@pytest.mark.rescind(seeds=100)
def test_race(rescind):
    assert fetched(rescind) == 1

@pytest.mark.xfail(strict=True)
@pytest.mark.rescind(seeds=100)
def test_known_race(rescind):
    assert fetched(rescind) == 1
"""
    result = run(text)
    result.assert_outcomes(skipped=1, xfailed=2)
    assert "again" not in result.stdout.str()


def test_a_failure_that_is_expected_and_comes_under_no_schedule_fails_the_test(run):
    text = """
@pytest.mark.xfail(strict=True)
@pytest.mark.rescind(seeds=3)
def test_passes(rescind):
    with open("ran", "a") as ran:
        print(rescind.dispatcher.seed, file=ran)
"""
    result = run(text)
    result.assert_outcomes(failed=1)
    assert story_of(result)[0] == "rescind, schedule 2"


@pytest.mark.parametrize(
    "mark", ["rescind(seeds=0)", "rescind(seeds='9')", "rescind(9)", "rescind(seed=9)"]
)
def test_a_marker_that_says_nothing_is_refused_before_anything_runs(run, mark):
    result = run(f"@pytest.mark.{mark}\ndef test_it(rescind): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: test_it.py::test_it: @pytest.mark.rescind takes seeds=, *: a number from 1 on"]
    )


def test_a_marked_test_without_the_fixture_is_refused_too(run):
    result = run("@pytest.mark.rescind(seeds=9)\ndef test_it(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: test_it.py::test_it: * is for tests that take the fixture 'rescind'"]
    )


# --- one schedule --------------------------------------------------------------------------------


def test_without_the_marker_a_test_runs_once_first_come_first_served(run):
    text = """
def test_in_order(rescind):
    assert fetched(rescind) == 1
    assert not "reached"
"""
    title, story = story_of(run(text))
    assert title == "rescind"
    assert field(story, "again") == "pytest test_it.py::test_in_order"


def test_the_option_runs_one_schedule_of_every_test_that_uses_the_fixture(run):
    text = """
@pytest.mark.rescind(seeds=100)
def test_marked(rescind):
    assert rescind.dispatcher.seed == 17

def test_unmarked(rescind):
    assert rescind.dispatcher.seed == 17
    assert not "reached"
"""
    result = run(text, "--rescind-seed=17")
    result.assert_outcomes(passed=1, failed=1)
    again = "pytest test_it.py::test_unmarked --rescind-seed=17"
    assert field(story_of(result)[1], "again") == again


def test_the_fixture_is_a_runtime_with_its_steps_and_a_twin(run):
    text = """
def test_steps(rescind):
    from rescind import Runtime

    assert isinstance(rescind, Runtime)
    assert Runtime.current() is rescind
    twin = rescind.twin
    store = Store.start()
    store.tell(Fetch("news"))
    assert not twin.pending
    while rescind.step():
        pass
    first, second = twin.pending
    twin.complete(first, 4)
    rescind.run()
    assert twin.told == [second]
    assert rescind.clock.now_ns() == 0
    rescind.advance(2.5)
    assert rescind.clock.now_ns() == 2_500_000_000
    assert store.proxy().count.get() == 1

def test_a_twin_that_comes_too_late_says_so(rescind):
    from rescind.events import UsageError

    rescind.start(Store).tell(Fetch("news"))
    rescind.step()
    with pytest.raises(UsageError, match="given away already"):
        rescind.twin
"""
    run(text).assert_outcomes(passed=2)


# --- the laws ------------------------------------------------------------------------------------

BREAKS = """
from rescind.events import CompletionScript, Origin

def break_a_law(rescind):
    store = rescind.start(Store).actor
    lost = CompletionScript([99, 99], running=False, manner="handler")
    with rescind.baton:
        rescind.note(store, lost, Origin.ACTOR, 1)
"""


@pytest.mark.not_repeatable("it records what no code decides")
def test_a_test_that_is_passed_but_broke_a_law_fails(run):
    result = run(BREAKS + "def test_it(rescind): break_a_law(rescind)")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["L2 broken: r99 is in a run of deliveries * (turns 3)"])
    assert field(story_of(result)[1], "again") == "pytest test_it.py::test_it"


@pytest.mark.not_repeatable("it records what no code decides")
def test_a_law_may_be_broken_after_the_test(run):
    text = """
@pytest.fixture
def breaks(rescind):
    yield
    break_a_law(rescind)

def test_it(breaks): pass
"""
    result = run(BREAKS + text)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["L2 broken: r99 is in a run of deliveries * (turns 3)"])


# --- what is told --------------------------------------------------------------------------------

MANY = """
@pytest.mark.parametrize("name", ["a b/c"])
def test_many(rescind, name):
    store = rescind.start(Store)
    for _ in range(7):
        store.request(Fetch("news")).cancel(reason=name)
    rescind.run()
    assert not "reached"
"""


def test_of_many_cancellations_the_last_are_shown(run):
    _, story = story_of(run(MANY))
    assert story.startswith("the last 5 of 7 cancellations\n")
    assert len(re.findall("^c[0-9]+ ", story, re.MULTILINE)) == 5
    assert "7 cancellations, 7 victims, 0 refused: 7 holds" in story
    assert field(story, "again") == "pytest 'test_it.py::test_many[a b/c]'"


def test_the_log_is_kept_where_the_run_has_a_place_for_it(run, pytester):
    _, story = story_of(run(MANY))
    assert field(story, "log") == ".pytest_cache/d/rescind/test_it.py-test_many-a-b-c-.log"
    _, story = story_of(run(MANY, "-p", "no:cacheprovider"))
    assert len(list(sequences(read(field(story, "log"))))) == 7
    (pytester.path / ".pytest_cache" / "d").rename(pytester.path / "away")
    (pytester.path / ".pytest_cache" / "d").write_text("in the way")
    _, story = story_of(run(MANY))
    assert story.startswith("the log cannot be shown or kept: ")
    assert field(story, "again") == "pytest 'test_it.py::test_many[a b/c]'"


def test_a_story_is_told_once_and_only_of_a_runtime_of_the_same_schedule(run):
    text = """
made = []

@pytest.fixture
def second_fails():
    made.append(1)
    assert len(made) < 2

@pytest.fixture
def never_ends_well(rescind):
    yield
    assert not "torn down"

@pytest.mark.rescind(seeds=3)
def test_without(second_fails, rescind): pass

def test_twice(never_ends_well):
    assert not "reached"
"""
    result = run(text)
    result.assert_outcomes(failed=1, errors=2)
    assert re.findall("^again .*$", result.stdout.str(), re.MULTILINE) == [
        "again  pytest test_it.py::test_twice"
    ]


# --- what it costs -------------------------------------------------------------------------------


def test_nothing_of_ours_is_loaded_before_a_test_asks_for_it(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        """
        import sys

        def test_it(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("rescind.pytest_plugin")
            ours = {name for name in sys.modules if name.startswith("rescind")}
            assert ours == {"rescind", "rescind.pytest_plugin"}
            assert not {"pykka", "msgpack"} & set(sys.modules)
        """
    )
    result = pytester.runpytest_subprocess("-p", "rescind.pytest_plugin")
    result.assert_outcomes(passed=1)


def test_the_marker_and_the_option_are_in_pytests_help(run):
    run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.rescind(seeds=1): *"])
    run("", "--help").stdout.fnmatch_lines(["*--rescind-seed=N*"])

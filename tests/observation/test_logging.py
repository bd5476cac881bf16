"""What is logged where: nothing while all goes well, failures as the page says."""

import logging
import re
from pathlib import Path

import pytest

from rescind import Actor, newton
from rescind.actors.native import Twin
from rescind.events import DeadLetter
from tests.native.actors import Patient
from tests.runtime.actors import Doubler, Sums
from tests.runtime.helpers import PATIENCE_S

from .actors import Crawler, Fetch, Shop, Shopper

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "watch-a-running-program.md"
MANY = 1_000


@pytest.fixture
def runtime(recordings, dispatcher):
    return recordings.open(dispatcher)


@pytest.fixture
def stepped(recordings):
    return recordings.open("stepped")


@pytest.fixture
def said(caplog):
    """Return what was logged under ``rescind``: logger, level and text, from one level up."""
    caplog.set_level(logging.DEBUG, "rescind")

    def read(level):
        return [
            (each.name, each.levelname, each.getMessage())
            for each in caplog.records
            if each.name.split(".")[0] == "rescind" and each.levelno >= level
        ]

    return read


def test_the_page_names_every_logger_there_is_and_no_other():
    named = re.findall(r"^\| `([\w.]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    sources = [*(ROOT / "src" / "rescind").glob("*.py")]
    for folder in ("actors", "events", "replay"):
        sources += (ROOT / folder).rglob("*.py")
    text = "\n".join(each.read_text(encoding="utf-8") for each in sources)
    taken = re.findall(r"getLogger\((.*)\)", text)
    assert {f'"{name}"' for name in named} == set(taken)
    assert all(name.startswith("rescind.") for name in named)


def test_nothing_is_logged_while_all_goes_well(runtime, connect, said):
    sums, doubler = runtime.start(Sums), runtime.start(Doubler)
    shopper = runtime.start(Shopper, runtime.start(Crawler))
    endpoint, _ = connect(runtime)
    before = said(logging.DEBUG)
    for n in range(MANY):
        sums.tell(n)
        assert doubler.ask(n) == 2 * n
    requests = [shopper.request(Shop(["slow"])) for _ in range(MANY // 10)]
    for each in requests:
        each.cancel("enough")
    spec = newton.CallbackSpec(True, None, lambda *_: None)
    outputs = [endpoint.output("x", spec) for _ in range(MANY)]
    endpoint.cancel(asynchronous=True).get()
    for each in outputs:
        assert each.wait_done(PATIENCE_S)
    for each in requests:
        assert each.wait_done(PATIENCE_S)
    for _ in range(10):
        with pytest.raises(newton.CommError):
            endpoint.connect()
    runtime.flush()
    assert said(logging.DEBUG) == before
    runtime.close()
    assert said(logging.INFO) == []


def test_cancelled_requests_that_nobody_hears_of_are_no_news(stepped, connect, said):
    endpoint, _ = connect(stepped)
    for _ in range(3):
        endpoint.output("x", asynchronous=True)
    endpoint.cancel(asynchronous=True).get()
    stepped.dispatcher.run()
    assert said(logging.INFO) == []
    assert [(name, level) for name, level, _ in said(logging.DEBUG) if "newton" in name] == [
        ("rescind.newton", "DEBUG")
    ] * 3


def test_actors_that_start_and_stop_are_said_at_debug(stepped, said):
    ref = stepped.start(Doubler)
    ref.stop()
    assert [text.split()[0] for _, _, text in said(logging.DEBUG)] == [
        "Registered", "Unregistered", "Stopped",
    ]  # fmt: skip


# --- failures, as the page's table says ----------------------------------------------------------


class Fails(Actor):
    def on_receive(self, _):
        raise LookupError("as asked")


def tell(runtime, _connect):
    runtime.start(Fails).tell("fail")
    runtime.dispatcher.run()


def ask(runtime, _connect):
    with pytest.raises(LookupError):
        runtime.start(Fails).ask("fail")


def request(runtime, _connect):
    with pytest.raises(LookupError):
        runtime.start(Fails).request("fail").get()


def callback(runtime, _connect):
    made = runtime.start(Crawler).request(Fetch("abc"))
    made.add_done_callback(lambda _: 1 / 0)
    made.get()
    runtime.dispatcher.run()


def grace(runtime, _connect):
    Twin(runtime)
    made = runtime.start(Patient).request(Fetch("abc"))
    runtime.dispatcher.run()
    made.cancel()
    runtime.dispatcher.advance(5)


def listener(runtime, _connect):
    runtime.subscribe(lambda _: 1 / 0, DeadLetter)
    ref = runtime.start(Doubler)
    ref.tell(1)
    ref.stop(urgent=True)
    runtime.dispatcher.run()


def unheard(runtime, connect):
    endpoint, twin = connect(runtime)
    endpoint.output("x", asynchronous=True)
    runtime.dispatcher.run()
    twin.complete_next(code=-36008)
    runtime.dispatcher.run()


def script(runtime, connect):
    endpoint, twin = connect(runtime)
    endpoint.exception_handler = lambda *_: None
    endpoint.output("x", newton.CallbackSpec(True, None, lambda *_: 1 / 0))
    runtime.dispatcher.run()
    twin.complete_next()
    runtime.dispatcher.run()


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        (tell, ("rescind.actors", "ERROR")),
        (ask, ("rescind.actors", "INFO")),
        (request, ("rescind.actors", "INFO")),
        (callback, ("rescind.requests", "ERROR")),
        (grace, ("rescind.requests", "WARNING")),
        (listener, ("rescind.runtime", "ERROR")),
        (unheard, ("rescind.newton", "WARNING")),
        (script, ("rescind.delivery", "DEBUG")),
    ],
)
def test_a_failure_is_logged_once_where_the_page_says(recordings, connect, said, fail, expected):
    runtime = recordings.open("stepped")
    fail(runtime, connect)
    found = [(name, level) for name, level, text in said(logging.DEBUG) if "egister" not in text]
    found = [each for each in found if each != ("rescind.actors", "DEBUG")]
    assert found == [expected]

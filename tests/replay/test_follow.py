"""Turns shown as they become durable, by a program of its own beside the writer."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import rescind.replay
from rescind.events import Born, Log, Opened, Origin, Start, Tell

from .recording import flush, spoil

SOURCE = str(Path(rescind.replay.__file__).parents[2])

pytestmark = pytest.mark.skipif(os.name == "nt", reason="interrupts are sent differently there")


class Writer:
    """Tells an actor something, again and again; each is a batch of its own."""

    def __init__(self, path, **options):
        self._log = Log.create_or_open(path, **options)
        cls = self._log.class_("shop.Endpoint", 1, "")
        born = (self._wire(Born(1, cls, 0)), self._wire(Opened(1, "newton", "guide", "tcp")))
        self._add(1, Start(cls, [], {}), born)

    def _wire(self, kind):
        return (self._log.kind_ids[type(kind)], *kind)

    def _add(self, actor, message, events=()):
        self._log.append((actor, 10**18, Origin.APP, 0, self._wire(message), events, None))
        flush(self._log)

    def tell(self, *values, actor=1):
        for value in values:
            self._add(actor, Tell(value))

    def event(self, event):
        self._add(1, Tell(0), (self._wire(event),))

    def close(self):
        self._log.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.log"


@pytest.fixture
def writer(path):
    made = Writer(path)
    yield made
    made.close()


@contextmanager
def following(path, *options, command="turns"):
    program = [sys.executable, "-m", "rescind.replay", command, str(path), "-f"]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen(
        [*program, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, encoding="utf-8", env=environment,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def documents(process, count):
    return [json.loads(process.stdout.readline()) for _ in range(count)]


def values(found):
    return [each["message"]["fields"].get("value") for each in found]


def test_turns_are_shown_as_they_come_and_a_limit_ends_it(path, writer):
    writer.tell("early")
    with following(path, "--limit", "4") as process:
        assert "cause   message" in process.stdout.readline()
        writer.tell("late", "later", "too late")
        # Not communicate(), which does not know what readline() has read ahead.
        rest, errors = process.stdout.read(), process.stderr.read()
        process.wait()
    assert [line.split()[-1] for line in rest.splitlines() if "Tell" in line] == [
        "value='early'", "value='late'", "value='later'",
    ]  # fmt: skip
    assert (process.returncode, errors) == (0, "")


def test_json_is_one_document_per_line(path, writer):
    with following(path, "--json") as process:
        (first,) = documents(process, 1)
        assert (first["schema"], first["version"], first["log"]) == ("rescind.turn", 0, str(path))
        assert first["label"] == "a1 newton endpoint"
        writer.tell("one", "two")
        assert values(documents(process, 2)) == ["one", "two"]


def test_an_interrupt_is_how_it_ends(path, writer):
    with following(path) as process:
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "")


def test_an_interrupt_still_tells_of_damage(path, writer):
    writer.tell("x" * 99, "y")
    segment = path / "00000001.seg"
    spoil(segment, segment.read_bytes().index(b"xxx"))
    with following(path, "--since", "3") as process:
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 3
    assert "rescind: damaged: segment 1 at byte" in errors


def test_it_goes_on_through_new_segments_and_another_writer(path):
    first = Writer(path, segment_bytes_max=6000)
    with following(path, "--json", "--kind", "Tell") as process:
        first.tell(*range(40))
        first.close()
        second = Writer(path)
        second.tell("again")
        assert values(documents(process, 41)) == [*range(40), "again"]
        second.close()


def test_a_filter_is_followed_with_names_that_were_said_before(path, writer):
    writer.tell("before")
    with following(path, "--json", "--actor", "a1", "--since", "3") as process:
        writer.tell("other", actor=7)
        writer.tell("mine")
        (found,) = documents(process, 1)
    assert (values([found]), found["turn"]) == (["mine"], 4)
    assert found["label"] == "a1 newton endpoint"


def test_a_log_that_does_not_exist_is_not_waited_for(tmp_path):
    with following(tmp_path / "nothing") as process:
        output, errors = process.communicate()
    assert (process.returncode, output) == (2, "")
    assert errors.strip().endswith("there is nothing here; check the path")

"""``docs/reference/log-format.md`` says what the code does."""

import re
import subprocess
import sys

import pytest

from rescind.events import By, Origin, Tell, Turn, read
from rescind.events._frame import BATCH, encode, seed_of
from rescind.events._index import IndexBuilder
from rescind.events._mark import Mark
from rescind.events._mentions import NUMBER_FIELDS, RANGES_FIELDS
from rescind.events._msgpack import pack, unpack
from rescind.events._recovery import BATCH_ROWS, SEGMENT_ROWS
from rescind.events._segment import Preamble, encode_preamble

from .logs import FrozenStorage, open_log, record, small_batches

TIME_NS = 1_700_000_000_000_000_000


@pytest.fixture
def page(pytestconfig):
    path = pytestconfig.rootpath / "docs" / "reference" / "log-format.md"
    return path.read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def example(page):
    """Return the bytes that the page shows, without the remarks."""
    return [
        bytes.fromhex("".join(line.partition(";")[0] for line in block.splitlines()))
        for block in blocks(page, "text")
    ]


def test_the_example_is_what_the_code_writes(page):
    preamble = Preamble(
        log=bytes(range(16)),
        segment=1,
        epoch=1,
        first=1,
        chain=bytes(32),
        previous=None,
        time_ns=TIME_NS,
        salt=0x01020304,
        durability="os",
        actors_next=1,
        writer={},
        bindings=[("kind", 1, "Tell", 1, ["value"])],
    )
    opening, chain = encode_preamble(preamble)
    bindings = [("who", 1, "MainThread"), ("site", 1, "app.py", 7, "main")]
    body = pack((2, bindings)) + pack((1, TIME_NS, 1, 0, (1, "hi"), (), (1, 1)))
    batch, _ = encode((BATCH, 1, 1, 1), body, seed_of(1, len(opening), preamble.salt), chain)
    assert example(page) == [opening, batch]
    assert f"The preamble, {len(opening)} bytes" in page
    assert f"The batch, {len(batch)} bytes" in page


def test_the_example_reads_as_the_page_says(page):
    reader = read(FrozenStorage({1: b"".join(example(page))}), verify_chain=True)
    by = By("MainThread", "app.py", 7, "main")
    assert list(reader) == [Turn(1, TIME_NS, 1, 1, Origin.APP, None, Tell("hi"), (), by, True)]
    assert reader.damage == []


def test_the_program_on_the_page_reads_a_log_with_messagepack_alone(page, tmp_path):
    log = open_log(tmp_path / "log")
    small_batches(log)
    log.append(record(log, Tell({1: "a map with a number for a key"})))
    log.close()
    (program,) = blocks(page, "python")
    segment = tmp_path / "log" / "00000001.seg"
    command = [sys.executable, "-c", program, str(segment)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert lines[0] == f"log {log.log_id.hex()} segment 1"
    assert [int(line.split()[0]) for line in lines[1:]] == list(range(1, 10))


def test_the_page_names_every_row_and_no_other(page):
    section = page.partition("## Damage")[2].partition("## A complete example")[0]
    named = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
    assert sorted(named) == sorted({row.label for row in BATCH_ROWS} | set(SEGMENT_ROWS))


def keys_in(page, heading):
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", section, re.MULTILINE)
    return sorted(name for row in rows for name in re.findall(r"`([a-z_]+)`", row))


def test_the_page_names_every_key_of_a_preamble(page):
    assert keys_in(page, "The preamble") == sorted(Preamble.__slots__)


def test_the_page_names_every_key_of_a_directory(page):
    *_, directory = IndexBuilder(b"").bodies(0, 0, 1)
    assert keys_in(page, "The end of a segment") == sorted(unpack(directory))


def test_the_page_names_every_field_that_an_index_looks_at(page):
    section = page.partition("## The end of a segment\n")[2].partition("\n## ")[0]
    assert all(f"`{name}`" in section for name in NUMBER_FIELDS | RANGES_FIELDS)


def test_the_page_shows_the_layout_of_a_mark(page):
    section = page.partition("## The mark\n")[2].partition("\n## ")[0]
    offsets = [int(offset) for offset in re.findall(r"^\| ([0-9]+) \|", section, re.MULTILINE)]
    data = Mark(1, 2, 3, 4, has_failed=True).encode()
    assert len(data) == offsets[-1] + 5
    assert [f"{data[offset]:02x}" for offset in offsets] == [
        "97",
        "c4",
        "ce",
        "ce",
        "cf",
        "cf",
        "c3",
        "ce",
    ]

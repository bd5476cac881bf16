"""Sequence charts: what is in them, and that nothing in a log acts on whoever looks at one."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from rescind.events import By, CancelEnded, Cause, TurnsLookup, read
from rescind.replay import SelectorError, chart_of, fold
from rescind.replay._archive.archive import Archive
from rescind.replay._chart.chart import ArrowLook, ShadeKind
from rescind.replay._chart.draw import LANES_MAX
from rescind.replay._chart.mermaid import chart_mermaid
from rescind.replay._chart.of import ALL_ROWS_MAX, ROWS_MAX
from rescind.replay._chart.screen import WIDTH_MIN, chart_json, chart_lines
from rescind.replay._chart.svg import chart_svg
from rescind.replay._words.text import as_text

from .recording import MS, Recording, everything, incident, save

INCIDENT = """\
c9 Cancel on a1 newton endpoint (tcp 127.0.0.1:4000)
times count from 2026-09-21 14:13:20.001 UTC

                    application
                    │           a1 newton
                    │           │           tcp 127.0.0.1:4000
     5    -600 µs   │──────────▶│──────────▶│    Input r3  MainThread demo.py:88
  6..9    -500 µs   │──────────▶│──────────▶│    Output r4..r7 (4 turns)  MainThread demo.py:88
    10    -100 µs   │──────────▶│──────────▶│    Option r8, blocking  Thread-2 demo.py:41
    11         +0   │──────────▶▒──────────▶│    Cancel c9  MainThread demo.py:88
                    │           ●           │    6 victims: r3..r8
    12    +100 µs   │           ▒◀──────────│    work of c9 has stopped
13..18    +200 µs   │           ●           │    r3..r8: -16005 REQUEST_CANCELED (6 turns)
    19    +800 µs   ┃◀──────────▒           │    script of r3..r4: -16005 REQUEST_CANCELED
    20    +900 µs   ┃──────────×▒           │      Output r10 refused: -36003 TACCESS  N-36003-wind…
    21      +1 ms   ┃──────────▶▒           │    script of r4 returns
    22    +1.1 ms   │◀──────────▒           │    script of r5..r7: -16005 REQUEST_CANCELED
                    │           ●           │    c9 ended: ok
    23    +1.2 ms   │           ●           │    Cancel c9: ok
    24    +1.3 ms   │◀──────────│           │    script of r9: ok
    25    +1.4 ms   │◀──────────│           │    r8 raises: -16005 REQUEST_CANCELED
    26    +1.5 ms   │           │×╌╌╌╌╌╌╌╌╌╌│    r6 answered ok too late, ignored

the only cancellation; --of shows something else, --since and --until a range of turns"""  # noqa: RUF001

HOSTILE = "<script>alert(1)</script>]]>&\"'\x1b[31m\u202e;\nend\n--> %%{init}%% #35;"
MERMAID = re.compile(
    r"sequenceDiagram|title TEXT|participant L\d+ as TEXT|L\d+(->>|-->>|-x|--x)L\d+: TEXT"
    r"|Note (right of L\d+|over L\d+(,L\d+)?): TEXT|(de)?activate L\d+|end"
    r"|rect rgba\([\d., ]+\)|%% TEXT".replace("TEXT", r"([A-Za-z0-9 .,()_+/'=]|#\d+;)*")
)
"""What we write of Mermaid, strictly; real Mermaid reads all of it."""


def screen(chart, width=100, **options):
    return as_text(chart_lines(chart, width, **options))


def says(chart):
    return [arrow.says for row in chart.rows for arrow in row.arrows]


def numbers(chart):
    """Return all that a chart names, taken out of its ranges."""
    arrows = [arrow.numbers for row in chart.rows for arrow in row.arrows]
    pairs = [pair for ranges in arrows for pair in zip(ranges[::2], ranges[1::2], strict=True)]
    return {number for first, last in pairs for number in range(first, last + 1)}


def first_of(moment):
    """Return a moment's turn; there has to be one."""
    assert moment is not None
    return moment.turn


def many(count, *, between=None):
    """Return a recording with so many victims; ``between`` happens between every two calls."""
    r = Recording()
    r.open()
    victims = []
    for _ in range(count):
        victims.append(r.call("Output"))
        if between is not None:
            between(r)
    cancel = r.cancel(victims)
    r.kill(cancel, victims)
    r.deliver(victims, CancelEnded(cancel, None))
    return r, cancel, victims


def hostile():
    r = Recording()
    r.open(driver=f"tcp {HOSTILE}")
    by = By(HOSTILE, f"/srv/{HOSTILE}.py", 3, HOSTILE)
    outputs = [r.call(f"Output{HOSTILE}{'A' * 5000}", by=by), r.call("مرحبا", by=by)]
    cancel = r.cancel(outputs, operation=HOSTILE, by=by)
    r.kill(cancel, outputs)
    delivery = r.deliver(outputs, running=True)
    r.refuse(HOSTILE, cause=delivery, rule=HOSTILE, by=by)
    r.returned(outputs[1], delivery, CancelEnded(cancel, None), error=HOSTILE)
    return r


# --- what is shown -------------------------------------------------------------------------------


def test_the_incident_is_told_in_one_screen():
    assert screen(chart_of(incident().turns)) == INCIDENT


def test_without_the_characters_for_lanes_the_same_is_told_in_ascii():
    shown = screen(chart_of(incident().turns), in_ascii=True)
    assert shown.isascii()
    assert "!----------x#           |      Output r10 refused" in shown
    assert len(shown) == len(INCIDENT)


@pytest.mark.parametrize("width", [WIDTH_MIN, 80, 100, 140])
@pytest.mark.parametrize("recording", [incident, everything, hostile])
def test_no_line_is_wider_than_the_terminal_or_acts_on_it(recording, width):
    for line in screen(chart_of(recording().turns, last=99), width).splitlines():
        assert len(line) <= width
        assert line.isprintable()


def test_every_victim_code_and_window_of_every_cancellation_is_in_its_chart():
    turns = everything().turns
    ledger = fold(turns)
    for number, cancel in ledger.cancels.items():
        chart = chart_of(turns, f"c{number}")
        assert {*cancel.victims, *cancel.refused, number} <= numbers(chart)
        codes = {
            done.code for done in (ledger.requests[n].completed for n in cancel.victims) if done
        }
        assert all(any(str(code) in text for text in says(chart)) for code in codes)
        windows = [shade for shade in chart.shades if shade.kind is ShadeKind.WINDOW]
        assert [shade.number for shade in windows] == [number]
        began, ended = chart.rows[windows[0].first], chart.rows[windows[0].last]
        assert (began.first, ended.first) == (first_of(cancel.began), first_of(cancel.ended))


def test_the_last_cancellation_is_shown_and_the_others_are_mentioned():
    chart = chart_of(everything().turns)
    assert chart.title.startswith("c18 Disconnect")
    assert "the last of 4 cancellations" in chart.notes[0]


def test_a_log_without_cancellations_is_shown_from_its_beginning():
    r = Recording()
    r.open()
    r.answer(r.call("Connect"))
    chart = chart_of(r.turns)
    assert chart.title == "turns 1 to 3"
    assert [arrow.says for row in chart.rows for arrow in row.arrows if not arrow.is_onward] == [
        "Start", "Connect r2", "Connect r2: ok",
    ]  # fmt: skip
    assert chart.shades == () == chart.notes


def test_an_empty_log_has_an_empty_chart():
    chart = chart_of([])
    assert chart.rows == ()
    assert "nothing to show" in screen(chart)
    ET.fromstring(chart_svg(chart))
    assert chart_mermaid(chart).startswith("sequenceDiagram\n")


def test_what_lost_is_crossed_and_says_why():
    chart = chart_of(everything().turns, "c13")
    lost = [arrow for row in chart.rows for arrow in row.arrows if arrow.look is ArrowLook.LOST]
    assert [arrow.says for arrow in lost] == ["c13 too late at r11"]
    late = chart_of(incident().turns).rows[-1].arrows[0]
    assert (late.look, late.says) == (ArrowLook.LOST, "r6 answered ok too late, ignored")


def test_a_cancel_that_only_came_too_late_is_lost_itself():
    r = Recording()
    r.open()
    done = r.call("Output")
    r.answer(done)
    r.deliver([done])
    chart = chart_of(r.turns, f"c{r.cancel([], late=[done])}")
    asked = next(row for row in chart.rows if row.first == r.turns[-1].number)
    assert asked.arrows[0].look is ArrowLook.LOST
    assert done in numbers(chart)  # its true end stands in the chart


def test_a_time_out_shows_the_deadline_and_the_call_that_set_it():
    texts = says(chart_of(everything().turns, "c16"))
    assert texts[0] == "Output r14, at most 50 ms"
    assert "deadline of r14 ran out (50 ms)" in texts


def test_a_call_inside_a_callback_is_nested_in_it():
    chart = chart_of(incident().turns)
    depths = {row.first: row.depth for row in chart.rows}
    assert depths[20] == 1
    assert {depth for turn, depth in depths.items() if turn != 20} == {0}
    script = next(shade for shade in chart.shades if shade.kind is ShadeKind.SCRIPT)
    assert [chart.rows[at].first for at in (script.first, script.last)] == [19, 21]
    assert chart.lanes[script.lane].title == "application"


def test_a_cancel_from_another_endpoints_callback_shows_both_windows():
    r = Recording()
    first = r.open(driver="tcp one")
    victim = r.call("Output")
    second = r.open(driver="tcp two")
    other = r.call("Output")
    r.endpoint = first
    outer = r.cancel([victim])
    r.kill(outer, [victim])
    delivery = r.deliver([victim], running=True)
    r.endpoint = second
    inner = r.cancel([other], cause=Cause(delivery, victim))
    r.endpoint = first
    r.returned(victim, delivery, CancelEnded(outer, None))
    r.endpoint = second
    r.kill(inner, [other])
    r.deliver([other], CancelEnded(inner, None))
    chart = chart_of(r.turns, f"c{outer}")
    titles = [lane.title for lane in chart.lanes]
    assert titles == ["application", "a1 newton", "tcp one", "a3 newton", "tcp two"]
    windows = {s.number: titles[s.lane] for s in chart.shades if s.kind is ShadeKind.WINDOW}
    assert windows == {outer: "a1 newton", inner: "a3 newton"}
    # and of the inner one, the outer is what led to it: its window goes on behind the chart
    chart = chart_of(r.turns, f"c{inner}", last=r.turns[-5].number)
    [outside] = [s for s in chart.shades if s.number == outer and s.kind is ShadeKind.WINDOW]
    assert outside.says == f"window of c{outer}, until turn {r.turns[-4].number}"


# --- the causal cone -----------------------------------------------------------------------------


def test_a_requests_chart_holds_what_led_to_it_and_came_of_it_and_nothing_else():
    r = everything()
    chart = chart_of(r.turns, "r6")
    # called; cancelled; the driver stopped; its end, its delivery, its answer that came too late
    assert [row.first for row in chart.rows] == [8, 11, 12, 16, 22, 26]


def test_a_refusals_chart_goes_back_through_the_callback_to_the_cancel():
    chart = chart_of(incident().turns, "r10")
    assert [row.first for row in chart.rows] == [11, 12, 14, 19, 20, 22]
    assert chart.rows[4].arrows[0].look is ArrowLook.REFUSED


def test_a_turns_chart_holds_its_causes_and_its_direct_effects():
    chart = chart_of(incident().turns, "12", unfold=True)
    assert [row.first for row in chart.rows] == [11, 12, 13, 14, 15, 16, 17, 18]


def test_bounds_cut_a_chart():
    chart = chart_of(everything().turns, "c9", first=12, last=20)
    assert (chart.rows[0].first, chart.rows[-1].first) == (12, 20)
    assert [row.first for row in chart_of(incident().turns, first=2, last=4).rows] == [2, 3, 4]


def test_a_window_that_was_open_before_the_chart_is_shaded_from_its_beginning():
    chart = chart_of(incident().turns, first=12)
    [window] = [shade for shade in chart.shades if shade.kind is ShadeKind.WINDOW]
    assert (window.first, chart.rows[window.last].first) == (0, 22)


def test_an_unknown_selector_is_told_what_is_near():
    with pytest.raises(SelectorError, match="did you mean"):
        chart_of(incident().turns, "c10")


# --- large charts --------------------------------------------------------------------------------


def test_alike_turns_fold_into_one_row_and_all_unfolds_them():
    r, cancel, victims = many(800)
    chart = chart_of(r.turns, f"c{cancel}")
    assert len(chart.rows) == 5
    assert set(victims) <= numbers(chart)
    assert any("r2..r801: -16005 REQUEST_CANCELED" in text for text in says(chart))
    unfolded = chart_of(r.turns, f"c{cancel}", unfold=True)
    assert sum(row.count for row in chart.rows) == len(unfolded.rows) == 1603


def test_a_cancel_of_many_hears_its_own_code_too():
    r, cancel, victims = many(100)
    r.complete(cancel, r.where[victims[-1]])
    r.deliver([cancel])
    assert says(chart_of(r.turns, f"c{cancel}"))[-1] == f"script of r{cancel}: ok"


def test_groups_of_turns_that_repeat_fold_into_as_many_rows_as_a_group_has():
    r = Recording()
    r.open()
    for _ in range(50):
        request = r.call("Output")
        r.answer(request)
        r.deliver([request])
    chart = chart_of(r.turns)
    assert [row.count for row in chart.rows] == [1, 50, 50, 50]
    assert says(chart)[-2:] == ["Output r2..r51: ok", "script of r2..r51: ok"]


def test_what_is_not_alike_stays_apart():
    r = Recording()
    r.open()
    r.answer(r.call("Output"))
    r.answer(r.call("Output"), -16009)
    r.answer(r.call("Output"))
    assert [row.count for row in chart_of(r.turns).rows] == [1] * 7


def test_a_chart_of_many_unlike_rows_keeps_its_ends_and_says_what_is_left_out():
    r, cancel, victims = many(300)
    for at, turn in enumerate(r.turns):  # no two victims are alike
        events = tuple(
            event._replace(operation=f"Op{event.request}") if hasattr(event, "operation") else event
            for event in turn.events
        )
        message = turn.message
        if hasattr(message, "operation"):
            message = message._replace(operation=f"Op{turn.number}")
        r.turns[at] = replace(turn, events=events, message=message)
    chart = chart_of(r.turns, f"c{cancel}")
    assert len(chart.rows) == ROWS_MAX + 1
    [gap] = [row for row in chart.rows if row.is_break]
    assert "turns left out" in gap.says
    assert "--all" in gap.says
    assert set(victims) <= numbers(chart)  # the cancel itself names them
    shown = sum(row.count for row in chart.rows if not row.is_break)
    assert shown + int(gap.says.split()[0]) == 603
    assert len(chart_of(r.turns, f"c{cancel}", unfold=True).rows) == 603


def test_a_chart_of_a_range_ends_where_it_is_full_and_says_how_to_go_on():
    r = Recording()
    r.open()
    for at in range(2 * ROWS_MAX):
        r.call(f"Op{at}")
    chart = chart_of(r.turns)
    assert len([row for row in chart.rows if not row.is_break]) == ROWS_MAX + 1
    [note] = chart.notes
    assert f"--since {chart.rows[-1].last + 1} goes on" in note


def test_even_all_has_an_end():
    r, cancel, _ = many(ALL_ROWS_MAX)
    chart = chart_of(r.turns, f"c{cancel}", unfold=True)
    assert len(chart.rows) <= ALL_ROWS_MAX + 1
    assert any(row.is_break for row in chart.rows)
    assert any("further victims" in note for note in chart.notes)


def test_many_actors_share_the_last_lane():
    r = Recording()
    for at in range(20):
        r.open(driver=f"tcp {at}")
        r.call("Output")
    chart = chart_of(r.turns)
    assert len(chart.lanes) == LANES_MAX
    assert chart.lanes[-1].title == "others"


class Counting(TurnsLookup):
    """Counts the turns that it hands out."""

    handed_out = 0

    def turns(self, first=1, last=None):
        return self._counted(super().turns(first, last))

    def about(self, number, first=1, last=None):
        return self._counted(super().about(number, first, last))

    def _counted(self, turns):
        for turn in turns:
            self.handed_out += 1
            yield turn


@pytest.mark.parametrize("kind", ["c", "r"])
def test_a_chart_of_one_thing_reads_only_what_is_near_it(kind):
    r = Recording()
    r.open()
    for _ in range(2_000):
        r.answer(r.call("Output"))
    victims = [r.call("Output") for _ in range(3)]
    cancel = r.cancel(victims)
    r.kill(cancel, victims)
    r.complete(cancel, r.deliver(victims, CancelEnded(cancel, None)))
    r.deliver([cancel])
    for _ in range(2_000):
        r.answer(r.call("Output"))
    archive = Archive(r.turns)
    archive.lookup = counting = Counting(r.turns)
    chart = chart_of(archive, f"{kind}{cancel if kind == 'c' else victims[0]}")
    assert set(victims) <= numbers(chart)
    assert counting.handed_out < len(r.turns) / 2


# --- damaged logs --------------------------------------------------------------------------------


def test_turns_that_the_log_lost_are_a_break():
    turns = [turn for turn in incident().turns if turn.number not in (14, 15)]
    chart = chart_of(turns)
    assert [row.says for row in chart.rows if row.is_break] == ["turns 14 to 15: not in the log"]


def test_another_epoch_is_a_break():
    turns = incident().turns
    turns = [replace(turn, epoch=2) if turn.number > 20 else turn for turn in turns]
    breaks = [row.says for row in chart_of(turns).rows if row.is_break]
    assert breaks == ["epoch 2: the log was opened anew"]


@pytest.mark.parametrize("end", range(1, 59))
def test_a_log_that_was_cut_anywhere_has_charts(end):
    turns = everything().turns
    for part in (turns[:end], turns[end:]):
        ledger = fold(part)
        for selector in [None, *(f"c{n}" for n in ledger.cancels)]:
            check_all(chart_of(part, selector))


def check_all(chart):
    """Hold a chart against what all charts keep to."""
    assert all(0 <= s.first < s.last < len(chart.rows) for s in chart.shades)
    assert [row.first for row in chart.rows if row.first] == sorted(
        row.first for row in chart.rows if row.first
    )
    ET.fromstring(chart_svg(chart))
    for line in chart_mermaid(chart).splitlines():
        assert MERMAID.fullmatch(line.strip()), line


# --- pictures ------------------------------------------------------------------------------------


def test_the_svg_has_a_group_for_each_row_with_its_turns_and_its_cause():
    chart = chart_of(incident().turns)
    root = ET.fromstring(chart_svg(chart))
    groups = [each.attrib for each in root.iter() if each.get("class") == "row"]
    assert [int(group["data-turn"]) for group in groups] == [row.first for row in chart.rows]
    assert {"data-turn": "13", "data-last": "18", "data-cause": "12", "class": "row"} in groups


def test_the_svg_fetches_nothing_runs_nothing_and_says_what_it_shows():
    text = chart_svg(chart_of(hostile().turns))
    root = ET.fromstring(text)
    names = {each.tag.rpartition("}")[2] for each in root.iter()}
    assert names == {
        *{"svg", "title", "desc", "style", "rect", "text", "path", "polygon", "circle", "g"},
    }
    assert not re.search(r"(href|src|url\(|@import|on\w+=)", re.sub(r">[^<]*<", "><", text))
    assert root[0].tag.endswith("title")
    assert root[1].tag.endswith("desc")
    assert "prefers-color-scheme: dark" in text


def test_nothing_of_a_hostile_log_is_markup_or_acts():
    chart = chart_of(hostile().turns)
    text = chart_svg(chart)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    shown = ET.fromstring(text)
    assert all((each.text or "").replace("\n", "").isprintable() for each in shown.iter())
    check_all(chart)
    assert "r2" in screen(chart)  # a huge name does not hide the number


@pytest.mark.parametrize("recording", [incident, everything, hostile])
def test_mermaid_gets_nothing_but_what_it_is_meant_to_read(recording):
    text = chart_mermaid(chart_of(recording().turns, last=99))
    lines = [line.strip() for line in text.splitlines()]
    assert all(MERMAID.fullmatch(line) for line in lines)
    blocks = [line.split()[0] for line in lines if line.startswith(("rect", "end"))]
    assert blocks.count("rect") == blocks.count("end") >= 1
    activations = [line for line in lines if "activate" in line]
    assert len(activations) % 2 == 0


def test_windows_that_overlap_and_do_not_nest_are_active_lanes_in_mermaid():
    r = Recording()
    first = r.open()
    one = r.call("Output")
    second = r.open()
    two = r.call("Output")
    r.endpoint = first
    a = r.cancel([one])
    r.endpoint = second
    b = r.cancel([two])
    r.endpoint = first
    r.deliver([one], CancelEnded(a, None))
    r.endpoint = second
    r.deliver([two], CancelEnded(b, None))
    text = chart_mermaid(chart_of(r.turns, last=99))
    assert "rect" not in text
    assert text.count("deactivate L1") == text.count("deactivate L3") == 1


def test_the_json_says_all_that_the_screen_shows():
    chart = chart_of(incident().turns)
    document = chart_json(chart)
    told = [arrow["says"] for row in document["rows"] for arrow in row["arrows"]]
    assert told == says(chart)
    assert [row["cause"] for row in document["rows"]][4:7] == [11, 12, 14]
    window = next(shade for shade in document["shades"] if shade["kind"] == "window")
    assert (window["number"], window["is_whole"]) == (9, True)
    assert document["zero_ns"] == incident().turns[10].time_ns


def test_a_chart_of_a_log_on_disk_is_the_chart_of_its_turns(tmp_path):
    turns = everything().turns
    log = save(turns, tmp_path / "log")
    for selector in (None, "c9", "r6", "12", "last"):
        assert screen(chart_of(read(log), selector)) == screen(chart_of(turns, selector))


def test_times_count_from_the_moment_the_cancel_was_asked_for():
    chart = chart_of(incident().turns)
    assert chart.zero_ns == incident().turns[10].time_ns
    assert chart.rows[0].time_ns - chart.zero_ns == -6 * MS // 10

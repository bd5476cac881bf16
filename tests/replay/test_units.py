"""Sizes, ages, moments and heads are read strictly: a guess would remove the wrong thing."""

import pytest

from rescind.events import UsageError
from rescind.replay._words.units import parse_days, parse_head, parse_size, parse_time

DAY_NS = 86_400 * 10**9


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("800000", 800_000), ("12B", 12), ("500MB", 500_000_000), ("2GiB", 2 << 30),
        ("1.5kB", 1500), ("3 TB", 3 * 10**12), ("0.5KiB", 512),
    ],
)  # fmt: skip
def test_a_size_has_a_unit_that_means_one_thing(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "MB", "500M", "2G", "-1", "1e9", "1.MB", "5 mb", "5  MB", "1,000", "٣", "9" * 19, "5MB\n"],
)
def test_what_could_mean_two_sizes_is_none(text):
    with pytest.raises(UsageError, match="write it like 800000, 500MB or 2GiB"):
        parse_size(text)


@pytest.mark.parametrize(("text", "days"), [("30", 30), ("0", 0), ("0.5", 0.5)])
def test_days_may_be_halved(text, days):
    assert parse_days(text) == days * DAY_NS


@pytest.mark.parametrize("text", ["", "nan", "inf", "-1", "1e3", "30d", "1000001"])
def test_what_is_no_number_of_days_is_refused(text):
    with pytest.raises(UsageError, match="no number of days"):
        parse_days(text)


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-02", DAY_NS),
        ("1970-01-01T01:00:00.25", 3600 * 10**9 + 250_000_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:01Z", 10**9),
        ("1777897800", 1_777_897_800 * 10**9),
        ("1777897800.000000001", 1_777_897_800 * 10**9 + 1),
    ],
)
def test_a_moment_is_utc_unless_it_says_otherwise(text, time_ns):
    assert parse_time(text) == time_ns


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "-5", "1e9", "9" * 30])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(UsageError, match="is no time; write it like"):
        parse_time(text)


def test_a_head_may_be_cut_and_written_in_capitals():
    assert parse_head("ABCDEF0123456789") == "abcdef0123456789"
    assert parse_head("0" * 64) == "0" * 64


@pytest.mark.parametrize("text", ["", "abcdef012345678", "0" * 65, "g" * 16, "0x" + "0" * 16])
def test_a_head_that_is_too_short_or_no_number_is_refused(text):
    with pytest.raises(UsageError, match="16 to 64 hexadecimal digits"):
        parse_head(text)

"""Sequences are laid side by side by a longest common subsequence, however long they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rescind.replay._diff import align as _align
from rescind.replay._diff.align import align

SEQUENCES = st.lists(st.integers(0, 3), max_size=14)


def common(ours, theirs):
    """Return the length of a longest common subsequence, by the textbook's table."""
    rows = [[0] * (len(theirs) + 1) for _ in range(len(ours) + 1)]
    for x, our in enumerate(ours):
        for y, their in enumerate(theirs):
            longest = max(rows[x][y + 1], rows[x + 1][y])
            rows[x + 1][y + 1] = rows[x][y] + 1 if our == their else longest
    return rows[-1][-1]


def aligned(ours, theirs):
    """Return how many elements were laid side by side, after looking whether they may be."""
    x = y = length = 0
    for block in align(ours, theirs):
        assert block.length > 0
        assert block.ours >= x
        assert block.theirs >= y
        x, y = block.ours + block.length, block.theirs + block.length
        assert ours[block.ours : x] == theirs[block.theirs : y]
        length += block.length
    return length


@given(SEQUENCES, SEQUENCES)
def test_no_longer_common_subsequence_exists(ours, theirs):
    assert aligned(ours, theirs) == common(ours, theirs)


@given(SEQUENCES, SEQUENCES, st.integers(1, 3))
def test_a_search_that_gives_up_early_still_finds_only_what_is_common(ours, theirs, edits):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_align, "EDITS_MAX", edits)
        assert aligned(ours, theirs) <= common(ours, theirs)


@pytest.mark.parametrize("inserted", [1, 100, 5_000, 50_000])
def test_however_much_is_inserted_all_the_rest_is_found_again(inserted):
    ours = [number * 7 % 10_007 for number in range(20_000)]
    theirs = [*ours[:9_000], *range(-inserted, 0), *ours[9_000:]]
    assert aligned(ours, theirs) == aligned(theirs, ours) == len(ours)


def test_sequences_with_nothing_in_common_are_given_up():
    assert aligned(list(range(30_000)), list(range(-30_000, 0))) == 0

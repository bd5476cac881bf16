"""Many numbers in few, in the order of happening."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from rescind.actors.runtime._ranges import count_in, numbers_in, to_ranges

NUMBERS = st.lists(st.integers(min_value=0, max_value=40))
"""Few different numbers, so that neighbours, repetitions and steps back are frequent."""


@given(NUMBERS)
@example([4, 5, 6, 2])
def test_packing_keeps_every_number_and_the_order(numbers):
    assert list(numbers_in(to_ranges(numbers))) == numbers


@given(NUMBERS)
def test_the_count_is_known_without_unpacking(numbers):
    assert count_in(to_ranges(numbers)) == len(numbers)


@given(NUMBERS)
def test_every_pair_counts_upwards(numbers):
    ranges = to_ranges(numbers)
    assert len(ranges) % 2 == 0
    pairs = list(zip(ranges[::2], ranges[1::2], strict=True))
    assert all(first <= last for first, last in pairs)


@given(NUMBERS)
def test_no_two_pairs_could_be_one(numbers):
    ranges = to_ranges(numbers)
    pairs = list(zip(ranges[::2], ranges[1::2], strict=True))
    assert all(before[1] + 1 != after[0] for before, after in pairwise(pairs))


@given(st.integers(min_value=0, max_value=2**40), st.integers(min_value=1, max_value=3000))
def test_numbers_in_a_row_are_one_pair(first, count):
    assert to_ranges(range(first, first + count)) == [first, first + count - 1]


@given(NUMBERS, NUMBERS)
def test_packed_parts_can_be_put_behind_each_other(left, right):
    both = to_ranges(left) + to_ranges(right)
    assert list(numbers_in(both)) == left + right


def test_nothing_is_nothing():
    assert to_ranges([]) == []
    assert list(numbers_in([])) == []
    assert count_in([]) == 0

import pytest
from bases import rebased


def test_no_digits_are_zero() -> None:
    assert rebased([], 2, 10) == [0]


def test_zero_is_one_digit() -> None:
    assert rebased([0, 0, 0], 10, 2) == [0]


def test_one() -> None:
    assert rebased([1], 2, 10) == [1]


def test_two_to_ten() -> None:
    assert rebased([1, 0, 1, 0, 1, 0], 2, 10) == [4, 2]


def test_ten_to_two() -> None:
    assert rebased([4, 2], 10, 2) == [1, 0, 1, 0, 1, 0]


def test_the_base_itself_is_one_zero() -> None:
    assert rebased([1, 6], 10, 16) == [1, 0]


def test_digits_above_nine() -> None:
    assert rebased([3, 46, 60], 97, 73) == [6, 10, 45]


def test_leading_zeros_are_dropped() -> None:
    assert rebased([0, 0, 7], 8, 3) == [2, 1]


def test_the_same_base() -> None:
    assert rebased([1, 2, 0], 3, 3) == [1, 2, 0]


def test_bases_below_two_are_refused() -> None:
    for source, target in ((1, 10), (10, 1), (0, 10), (-2, 10)):
        with pytest.raises(ValueError):
            rebased([0], source, target)


def test_digits_that_a_base_lacks_are_refused() -> None:
    for digit in (-1, 2, 3):
        with pytest.raises(ValueError):
            rebased([1, digit], 2, 10)

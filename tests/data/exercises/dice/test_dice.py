import pytest
from dice import score


def test_numbers_count_the_dice_that_show_them() -> None:
    assert score([1, 1, 2, 5, 1], "ones") == 3
    assert score([2, 3, 2, 5, 6], "twos") == 4
    assert score([3, 3, 3, 3, 3], "threes") == 15
    assert score([4, 1, 2, 5, 1], "fours") == 4
    assert score([5, 1, 5, 5, 1], "fives") == 15
    assert score([6, 6, 6, 5, 1], "sixes") == 18


def test_a_number_that_is_not_there_counts_nothing() -> None:
    assert score([1, 1, 2, 5, 1], "sixes") == 0


def test_the_highest_pair_counts() -> None:
    assert score([2, 2, 5, 5, 6], "pair") == 10
    assert score([4, 4, 4, 1, 2], "pair") == 8
    assert score([1, 2, 3, 4, 6], "pair") == 0


def test_three_and_four_equal_dice() -> None:
    assert score([4, 4, 4, 1, 2], "triple") == 12
    assert score([4, 4, 4, 4, 2], "triple") == 12
    assert score([4, 4, 1, 1, 2], "triple") == 0
    assert score([3, 3, 3, 3, 1], "four") == 12
    assert score([3, 3, 3, 3, 3], "four") == 12
    assert score([3, 3, 3, 1, 1], "four") == 0


def test_a_house_is_three_and_two() -> None:
    assert score([2, 2, 5, 5, 5], "house") == 19
    assert score([2, 2, 5, 5, 6], "house") == 0
    assert score([5, 5, 5, 5, 2], "house") == 0
    assert score([5, 5, 5, 5, 5], "house") == 0
    assert score([5, 5, 5, 1, 2], "house") == 0


def test_rows_of_following_numbers() -> None:
    assert score([3, 1, 2, 5, 4], "low") == 15
    assert score([2, 3, 4, 5, 6], "low") == 0
    assert score([6, 3, 4, 5, 2], "high") == 20
    assert score([1, 2, 3, 4, 5], "high") == 0
    assert score([1, 2, 3, 4, 6], "low") == 0


def test_five_equal_dice() -> None:
    assert score([6, 6, 6, 6, 6], "all") == 50
    assert score([6, 6, 6, 6, 1], "all") == 0


def test_chance_counts_everything() -> None:
    assert score([1, 2, 4, 6, 6], "chance") == 19


def test_what_is_no_throw_is_refused() -> None:
    for throw in ([], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6], [0, 1, 1, 1, 1], [7, 1, 1, 1, 1], [1, 1, 1, 1, -1]):
        with pytest.raises(ValueError):
            score(throw, "chance")


def test_a_row_that_is_not_there_is_refused() -> None:
    for row in ("", "sevens", "ALL"):
        with pytest.raises(ValueError):
            score([1, 1, 1, 1, 1], row)

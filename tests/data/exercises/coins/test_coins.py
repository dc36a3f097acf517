import pytest
from coins import fewest


def test_nothing_is_paid_with_no_coins() -> None:
    assert fewest(0, [1, 5]) == []


def test_one_coin_is_enough_where_one_has_the_amount() -> None:
    assert fewest(25, [1, 5, 10, 25]) == [25]


def test_coins_are_ascending() -> None:
    assert fewest(16, [1, 5, 10]) == [1, 5, 10]


def test_the_largest_coin_first_is_not_always_best() -> None:
    assert fewest(23, [1, 4, 15, 20, 50]) == [4, 4, 15]


def test_a_coin_is_used_as_often_as_needed() -> None:
    assert fewest(21, [2, 7]) == [7, 7, 7]


def test_of_equally_few_the_larger_coin_wins() -> None:
    assert fewest(8, [1, 4, 7]) == [1, 7]


def test_what_cannot_be_paid_is_refused() -> None:
    with pytest.raises(ValueError):
        fewest(3, [5, 10])


def test_an_amount_without_coins_is_refused() -> None:
    with pytest.raises(ValueError):
        fewest(1, [])


def test_a_negative_amount_is_refused() -> None:
    with pytest.raises(ValueError):
        fewest(-5, [1])


def test_a_coin_worth_nothing_is_refused() -> None:
    with pytest.raises(ValueError):
        fewest(5, [0, 1])

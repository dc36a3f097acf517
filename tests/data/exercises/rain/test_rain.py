import pytest
from rain import held, wettest


def test_no_walls_hold_nothing() -> None:
    assert held([]) == 0


def test_one_or_two_walls_hold_nothing() -> None:
    assert held([4]) == 0
    assert held([4, 7]) == 0


def test_a_pit_holds_its_depth() -> None:
    assert held([3, 0, 3]) == 3


def test_the_lower_side_counts() -> None:
    assert held([5, 1, 2]) == 1
    assert held([2, 1, 5]) == 1


def test_stairs_hold_nothing() -> None:
    assert held([1, 2, 3, 4]) == 0
    assert held([4, 3, 2, 1]) == 0


def test_several_pits() -> None:
    assert held([0, 2, 0, 1, 3, 0, 1, 2, 1]) == 6


def test_a_hill_under_water() -> None:
    assert held([5, 0, 3, 0, 5]) == 12


def test_the_wettest_wall() -> None:
    assert wettest([3, 1, 3, 0, 3], 1) == 3


def test_the_wettest_pair() -> None:
    assert wettest([4, 0, 1, 4, 2, 4], 2) == 1


def test_the_leftmost_of_equals() -> None:
    assert wettest([2, 1, 2, 1, 2], 1) == 1
    assert wettest([1, 2, 3], 2) == 0


def test_all_walls_together() -> None:
    assert wettest([2, 0, 2], 3) == 0


def test_the_last_walls() -> None:
    assert wettest([1, 1, 5, 0, 5], 2) == 2
    assert wettest([9, 8, 9, 0, 0, 9], 3) == 2


def test_negative_heights_are_refused() -> None:
    with pytest.raises(ValueError):
        held([1, -1])
    with pytest.raises(ValueError):
        wettest([1, -1], 1)


def test_widths_that_are_not_there_are_refused() -> None:
    for width in (0, -1, 4):
        with pytest.raises(ValueError):
            wettest([1, 2, 3], width)

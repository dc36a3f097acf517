import pytest
from flood import flooded


def test_one_low_place_is_covered() -> None:
    assert flooded([[1]], 0, 0, 2) == 1


def test_ground_as_high_as_the_water_stays_dry() -> None:
    assert flooded([[2]], 0, 0, 2) == 0


def test_level_ground_is_covered_wholly() -> None:
    assert flooded([[0, 0, 0], [0, 0, 0]], 1, 1, 1) == 6


def test_a_wall_stops_the_water() -> None:
    assert flooded([[0, 9, 0], [0, 9, 0]], 0, 0, 5) == 2


def test_the_wall_itself_may_be_low_enough() -> None:
    assert flooded([[0, 9, 0], [0, 4, 0]], 0, 0, 5) == 5


def test_water_goes_round_corners() -> None:
    heights = [[0, 9, 0, 0], [0, 9, 0, 9], [0, 0, 0, 9], [9, 9, 9, 0]]
    assert flooded(heights, 0, 0, 1) == 8
    assert flooded(heights, 0, 3, 1) == 8


def test_water_does_not_pass_corner_to_corner() -> None:
    assert flooded([[0, 9], [9, 0]], 0, 0, 1) == 1


def test_water_does_not_leave_the_map_on_one_side_and_enter_on_the_other() -> None:
    assert flooded([[0, 9, 0], [9, 9, 9], [0, 9, 0]], 0, 0, 1) == 1
    assert flooded([[0, 9, 0], [9, 9, 9], [0, 9, 0]], 2, 2, 1) == 1


def test_ground_below_zero() -> None:
    assert flooded([[-3, -1]], 0, 0, -1) == 1


def test_a_place_off_the_map_is_refused() -> None:
    for row, column in ((-1, 0), (0, -1), (2, 0), (0, 3)):
        with pytest.raises(ValueError):
            flooded([[0, 0, 0], [0, 0, 0]], row, column, 1)
    with pytest.raises(ValueError):
        flooded([], 0, 0, 1)


def test_rows_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError):
        flooded([[0, 0], [0]], 0, 0, 1)

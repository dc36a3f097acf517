import pytest
from spiral import walk, wind


def test_a_table_of_nothing() -> None:
    assert wind(0, 3) == []
    assert wind(2, 0) == [[], []]
    assert walk([]) == []
    assert walk([[], []]) == []


def test_a_table_of_one() -> None:
    assert wind(1, 1) == [[1]]


def test_one_row_and_one_column() -> None:
    assert wind(1, 3) == [[1, 2, 3]]
    assert wind(3, 1) == [[1], [2], [3]]


def test_a_square() -> None:
    assert wind(3, 3) == [[1, 2, 3], [8, 9, 4], [7, 6, 5]]


def test_a_wide_table() -> None:
    assert wind(2, 4) == [[1, 2, 3, 4], [8, 7, 6, 5]]


def test_a_high_table() -> None:
    assert wind(4, 3) == [[1, 2, 3], [10, 11, 4], [9, 12, 5], [8, 7, 6]]


def test_a_table_is_walked() -> None:
    assert walk([[5, 1, 9], [4, 7, 2]]) == [5, 1, 9, 2, 7, 4]


def test_walking_what_was_wound_counts() -> None:
    assert walk(wind(5, 6)) == list(range(1, 31))


def test_a_table_is_left_as_it_was() -> None:
    table = [[1, 2], [3, 4]]
    walk(table)
    assert table == [[1, 2], [3, 4]]


def test_negative_sizes_are_refused() -> None:
    for height, width in ((-1, 2), (2, -1)):
        with pytest.raises(ValueError):
            wind(height, width)


def test_rows_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError):
        walk([[1, 2], [3]])

import pytest
from gaps import free, merged


def test_nothing_busy() -> None:
    assert merged([]) == []
    assert free([], 9, 17, 1) == [[9, 17]]


def test_spans_apart_are_sorted() -> None:
    assert merged([[5, 7], [1, 3]]) == [[1, 3], [5, 7]]


def test_spans_that_overlap_are_joined() -> None:
    assert merged([[1, 4], [3, 6], [8, 9]]) == [[1, 6], [8, 9]]
    assert merged([[1, 2], [4, 6], [5, 8]]) == [[1, 2], [4, 8]]
    assert merged([[1, 2], [4, 9], [5, 8]]) == [[1, 2], [4, 9]]


def test_spans_that_touch_are_joined() -> None:
    assert merged([[1, 3], [3, 5]]) == [[1, 5]]


def test_a_span_within_another_adds_nothing() -> None:
    assert merged([[1, 9], [2, 3], [4, 5]]) == [[1, 9]]


def test_a_span_of_no_length_counts() -> None:
    assert merged([[4, 4]]) == [[4, 4]]
    assert free([[4, 4]], 3, 6, 1) == [[3, 4], [4, 6]]


def test_what_lies_between_is_free() -> None:
    assert free([[10, 11], [13, 14]], 9, 17, 1) == [[9, 10], [11, 13], [14, 17]]


def test_short_gaps_are_left_out() -> None:
    assert free([[10, 11], [13, 14]], 9, 17, 2) == [[11, 13], [14, 17]]


def test_what_is_busy_outside_the_day_cuts_it() -> None:
    assert free([[5, 10], [15, 30]], 9, 17, 1) == [[10, 15]]
    assert free([[1, 2], [20, 21]], 9, 17, 1) == [[9, 17]]


def test_a_full_day_has_nothing_free() -> None:
    assert free([[9, 17]], 9, 17, 1) == []
    assert free([[0, 40]], 9, 17, 0) == []


def test_no_span_of_no_length_is_free() -> None:
    assert free([[9, 12]], 9, 13, 0) == [[12, 13]]
    assert free([], 9, 9, 0) == []


def test_what_was_given_is_left_as_it_was() -> None:
    busy = [[1, 4], [3, 6]]
    merged(busy)
    assert busy == [[1, 4], [3, 6]]


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError):
        merged([[3, 2]])
    with pytest.raises(ValueError):
        free([[3, 2]], 0, 9, 1)


def test_an_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(ValueError):
        free([], 9, 8, 1)

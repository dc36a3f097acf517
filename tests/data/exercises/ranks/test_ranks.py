from ranks import ranked


def test_nobody_took_part() -> None:
    assert ranked({}) == []


def test_one_is_first() -> None:
    assert ranked({"ida": 7}) == [[1, "ida", 7]]


def test_the_most_points_come_first() -> None:
    assert ranked({"a": 1, "b": 3, "c": 2}) == [[1, "b", 3], [2, "c", 2], [3, "a", 1]]


def test_equal_points_share_a_rank_and_the_next_is_left_out() -> None:
    assert ranked({"a": 5, "b": 9, "c": 5, "d": 1}) == [[1, "b", 9], [2, "a", 5], [2, "c", 5], [4, "d", 1]]


def test_the_first_rank_may_be_shared() -> None:
    assert ranked({"z": 4, "y": 4, "x": 3}) == [[1, "y", 4], [1, "z", 4], [3, "x", 3]]


def test_all_equal() -> None:
    assert ranked({"c": 0, "a": 0, "b": 0}) == [[1, "a", 0], [1, "b", 0], [1, "c", 0]]


def test_points_may_be_negative() -> None:
    assert ranked({"a": -2, "b": -1}) == [[1, "b", -1], [2, "a", -2]]

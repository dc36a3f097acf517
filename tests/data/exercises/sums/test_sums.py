import pytest
from sums import value


def test_a_number_is_its_value() -> None:
    assert value("42") == 42
    assert value(" 7 ") == 7


def test_addition_and_subtraction() -> None:
    assert value("1 + 2") == 3
    assert value("10 - 4 - 3") == 3


def test_multiplication_and_division() -> None:
    assert value("6*7") == 42
    assert value("100 / 5 / 2") == 10
    assert value("2 * 9 / 6") == 3


def test_multiplication_comes_before_addition() -> None:
    assert value("2 + 3 * 4 - 6 / 2") == 11


def test_brackets_come_first() -> None:
    assert value("(2 + 3) * (4 - (1 + 1))") == 10


def test_a_minus_before_a_number_or_a_bracket() -> None:
    assert value("-3 + 5") == 2
    assert value("1 - -1") == 2
    assert value("4 * -(1 + 1)") == -8


def test_division_drops_what_is_left_over() -> None:
    assert value("7 / 2") == 3
    assert value("-7 / 2") == -3
    assert value("7 / -2") == -3
    assert value("-7 / -2") == 3


def test_zero_can_be_divided() -> None:
    assert value("0 / 5") == 0


def test_division_by_one_and_by_minus_one() -> None:
    assert value("9 / 1") == 9
    assert value("9 / -1") == -9


def test_division_by_zero_is_refused() -> None:
    with pytest.raises(ValueError):
        value("1 / (2 - 2)")


def test_what_is_no_sum_is_refused() -> None:
    for text in (
        "",
        " ",
        "+1",
        "1 +",
        "1 2",
        "(1",
        "1)",
        "()",
        "(1 2)",
        "1 - - -1",
        "--1",
        "2 ** 3",
        "1.5",
        "x",
    ):
        with pytest.raises(ValueError):
            value(text)

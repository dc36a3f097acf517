import pytest
from weekdays import meeting


def test_the_first_monday() -> None:
    assert meeting(2026, 6, 0, 1) == "2026-06-01"


def test_the_second_tuesday() -> None:
    assert meeting(2026, 11, 1, 2) == "2026-11-10"


def test_the_third_sunday() -> None:
    assert meeting(2024, 9, 6, 3) == "2024-09-15"


def test_the_fifth_thursday() -> None:
    assert meeting(2026, 1, 3, 5) == "2026-01-29"


def test_the_last_friday() -> None:
    assert meeting(2026, 2, 4, -1) == "2026-02-27"


def test_the_day_after_a_month_is_not_its_last() -> None:
    assert meeting(2026, 2, 6, -1) == "2026-02-22"


def test_the_last_day_of_a_leap_february() -> None:
    assert meeting(2024, 2, 3, -1) == "2024-02-29"


def test_the_one_before_the_last() -> None:
    assert meeting(2025, 12, 2, -2) == "2025-12-24"


def test_the_fifth_from_the_end() -> None:
    assert meeting(2025, 12, 2, -5) == "2025-12-03"


def test_the_last_month_and_the_first_day_of_a_week() -> None:
    assert meeting(1999, 12, 0, 4) == "1999-12-27"


def test_a_year_has_four_digits() -> None:
    assert meeting(987, 1, 0, 1) == "0987-01-01"


def test_a_fifth_day_that_is_not_there_is_refused() -> None:
    for which in (5, -5):
        with pytest.raises(ValueError):
            meeting(2026, 2, 0, which)


def test_what_does_not_exist_is_refused() -> None:
    for month, weekday, which in (
        (0, 0, 1),
        (13, 0, 1),
        (1, 7, 1),
        (1, -1, 1),
        (1, 0, 0),
        (1, 0, 6),
        (1, 0, -6),
    ):
        with pytest.raises(ValueError):
            meeting(2026, month, weekday, which)

from upcoming import upcoming


def test_the_next_tide_is_the_first_one_later() -> None:
    assert upcoming("03:12").time == "09:25"


def test_after_the_last_tide_comes_the_first_one() -> None:
    assert upcoming("23:00").time == "03:12"

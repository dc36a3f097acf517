import pytest
from versions import compare, newest


def test_equal_versions() -> None:
    assert compare("1.2.3", "1.2.3") == 0


def test_the_first_number_that_differs_decides() -> None:
    assert compare("1.9", "2.0") == -1
    assert compare("1.3.0", "1.2.9") == 1


def test_numbers_are_numbers() -> None:
    assert compare("1.10", "1.9") == 1


def test_missing_numbers_are_zero() -> None:
    assert compare("1", "1.0.0.0") == 0
    assert compare("1", "1.0.0.1") == -1


def test_a_name_makes_it_older() -> None:
    assert compare("2.0-beta", "2.0") == -1
    assert compare("2.0", "2.0-rc9") == 1
    assert compare("2.0-beta", "1.9") == 1


def test_names_are_in_the_alphabets_order() -> None:
    assert compare("1-alpha", "1-beta") == -1


def test_the_number_after_a_name_decides() -> None:
    assert compare("1-rc10", "1-rc9") == 1
    assert compare("1-rc", "1-rc0") == 0
    assert compare("1-rc", "1-rc1") == -1


def test_the_newest_of_some() -> None:
    assert newest(["1.9", "1.10", "1.10-beta"]) == "1.10"
    assert newest(["0"]) == "0"


def test_of_equal_ones_the_first() -> None:
    assert newest(["0.9", "1.0", "1"]) == "1.0"


def test_what_is_no_version_is_refused() -> None:
    for text in ("", "1.", ".1", "01", "1.2.3.4.5", "v1", "1-", "1-RC", "1-rc01", "1-2", "1 ", "-1"):
        with pytest.raises(ValueError):
            compare(text, "1")
        with pytest.raises(ValueError):
            newest(["1", text])


def test_no_versions_have_no_newest() -> None:
    with pytest.raises(ValueError):
        newest([])

import pytest
from runs import pack, unpack


def test_nothing_stays_nothing() -> None:
    assert pack("") == ""
    assert unpack("") == ""


def test_single_characters_have_no_number() -> None:
    assert pack("abc") == "abc"


def test_runs_have_their_number() -> None:
    assert pack("aaab  cc") == "3ab2 2c"


def test_long_runs_have_more_than_one_digit() -> None:
    assert pack("x" * 12) == "12x"


def test_digits_get_a_backslash() -> None:
    assert pack("77a0") == "2\\7a\\0"


def test_backslashes_get_a_backslash() -> None:
    assert pack("\\\\b") == "2\\\\b"


def test_runs_are_unpacked() -> None:
    assert unpack("3ab2 12c") == "aaab  " + "c" * 12


def test_escaped_digits_are_unpacked() -> None:
    assert unpack("2\\7a\\0") == "77a0"


def test_every_text_comes_back() -> None:
    for text in ("111\\\\1", "aab\n\n\nb", "0", "\\", "9" * 30):
        assert unpack(pack(text)) == text


def test_a_number_without_a_character_is_refused() -> None:
    with pytest.raises(ValueError):
        unpack("a3")


def test_a_backslash_without_a_character_is_refused() -> None:
    with pytest.raises(ValueError):
        unpack("a\\")


def test_a_backslash_before_a_letter_is_refused() -> None:
    with pytest.raises(ValueError):
        unpack("\\n")


def test_numbers_below_two_and_leading_zeros_are_refused() -> None:
    for packed in ("1a", "0a", "02a"):
        with pytest.raises(ValueError):
            unpack(packed)

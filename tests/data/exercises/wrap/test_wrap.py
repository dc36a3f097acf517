import pytest
from wrap import wrapped


def test_no_words_no_lines() -> None:
    assert wrapped("", 10) == []
    assert wrapped(" \n ", 10) == []


def test_what_fits_is_one_line() -> None:
    assert wrapped("the tide turns", 14) == ["the tide turns"]


def test_one_character_too_many_breaks() -> None:
    assert wrapped("the tide turns", 13) == ["the tide", "turns"]


def test_each_line_takes_what_fits() -> None:
    assert wrapped("a bb ccc dd e", 4) == ["a bb", "ccc", "dd e"]


def test_blanks_and_line_ends_are_one_blank() -> None:
    assert wrapped("  one\n\ntwo   three ", 9) == ["one two", "three"]


def test_a_word_as_wide_as_the_line() -> None:
    assert wrapped("ab cd", 2) == ["ab", "cd"]


def test_a_long_word_begins_a_line_and_is_cut() -> None:
    assert wrapped("an extraordinary", 5) == ["an", "extra", "ordin", "ary"]


def test_words_may_follow_what_is_left_of_a_long_one() -> None:
    assert wrapped("abcdefg h i", 5) == ["abcde", "fg h", "i"]


def test_lines_of_one_character() -> None:
    assert wrapped("ab c", 1) == ["a", "b", "c"]


def test_a_width_below_one_is_refused() -> None:
    for width in (0, -1):
        with pytest.raises(ValueError):
            wrapped("a", width)
        with pytest.raises(ValueError):
            wrapped("", width)

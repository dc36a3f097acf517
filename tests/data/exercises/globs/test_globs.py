import pytest
from globs import matches


def test_nothing_matches_nothing() -> None:
    assert matches("", "")
    assert not matches("", "a")
    assert not matches("a", "")


def test_characters_are_themselves() -> None:
    assert matches("a.b", "a.b")
    assert not matches("a.b", "axb")
    assert not matches("ab", "AB")


def test_the_whole_text_has_to_match() -> None:
    assert not matches("ab", "abc")
    assert not matches("bc", "abc")


def test_a_question_mark_is_one_character() -> None:
    assert matches("?b", "ab")
    assert not matches("?b", "b")
    assert not matches("?", "ab")


def test_a_star_is_any_number() -> None:
    assert matches("*", "")
    assert matches("a*", "a")
    assert matches("a*c", "abbbc")
    assert not matches("a*c", "abbb")


def test_several_stars() -> None:
    assert matches("*a*b*", "xxaxxbxx")
    assert matches("*a*b*", "aba")
    assert not matches("*a*b*", "xxbxxaxx")
    assert matches("**", "ab")


def test_a_star_after_what_does_not_match() -> None:
    assert not matches("b*", "ab")
    assert not matches("ab*", "")


def test_brackets_are_one_of_their_characters() -> None:
    assert matches("[abc]x", "ax")
    assert matches("[abc]x", "bx")
    assert matches("[abc]x", "cx")
    assert not matches("[abc]x", "dx")
    assert not matches("[ab]", "ab")


def test_a_hyphen_is_a_hyphen() -> None:
    assert matches("[a-c]", "-")
    assert not matches("[a-c]", "b")


def test_not_these_characters() -> None:
    assert matches("[!ab]", "c")
    assert not matches("[!ab]", "a")
    assert not matches("[!ab]", "b")
    assert not matches("[!ab]", "")


def test_signs_in_brackets_are_themselves() -> None:
    assert matches("[*?]", "?")
    assert not matches("[*?]", "a")
    assert not matches("[ab]", "[")
    assert matches("[!ab]", "!")
    assert matches("[a!]", "!")


def test_a_pattern_goes_on_after_brackets() -> None:
    assert matches("[ab]?*[!z]", "bxxy")
    assert not matches("[ab]?*[!z]", "bxxz")


def test_brackets_that_are_wrong_are_refused() -> None:
    for pattern in ("[", "a[bc", "[]", "[!]", "x[]a"):
        with pytest.raises(ValueError):
            matches(pattern, "none of this")


def test_many_stars_are_quick() -> None:
    assert not matches("*a" * 30 + "b", "a" * 200)

import pytest
from cipher import hide, show


def test_nothing_stays_nothing() -> None:
    assert hide("", "key") == ""


def test_a_moves_nothing() -> None:
    assert hide("Tide", "a") == "Tide"


def test_b_moves_by_one() -> None:
    assert hide("abc", "b") == "bcd"


def test_after_z_comes_a() -> None:
    assert hide("xyz", "d") == "abc"


def test_the_key_goes_round() -> None:
    assert hide("aaaaa", "abc") == "abcab"


def test_a_key_may_have_every_letter() -> None:
    assert hide("aaa", "abcdefghijklmnopqrstuvwxyz") == "abc"


def test_letters_stay_small_or_capital() -> None:
    assert hide("aZ", "bc") == "bB"


def test_other_characters_stay_and_use_no_key() -> None:
    assert hide("a, a! ä1a", "abc") == "a, b! ä1c"


def test_a_letter_beyond_ascii_stays() -> None:
    assert hide("ßK\u212aé", "b") == "ßL\u212aé"


def test_show_takes_it_back() -> None:
    assert show("bcd", "b") == "abc"
    assert show("abcab", "abc") == "aaaaa"


def test_whatever_was_hidden_comes_back() -> None:
    text = "The Quick Brown Fox, 7 times; JUMPS over the lazy dog?"
    assert hide(text, "zephyr") != text
    assert show(hide(text, "zephyr"), "zephyr") == text


def test_what_is_no_key_is_refused() -> None:
    for key in ("", "Key", "a b", "ä", "k3y"):
        with pytest.raises(ValueError):
            hide("a", key)
        with pytest.raises(ValueError):
            show("a", key)

"""What nobody sees is taken out, what is seen stays."""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_registry.trust.text import plain, what_is_wrong
from pygent_shared.unseen import INVISIBLE, spelled_out, stripped, stripped_all

UNSEEN = st.sampled_from("\x00\x07\x1b\x7f\x9b\u200b\u200d\u202e\u2066\ufeff\U000e0041\U000e0101\ufe0f[m0;")
NASTY = st.lists(st.one_of(UNSEEN, st.characters()), max_size=40).map("".join)
VALUES = st.recursive(
    st.one_of(NASTY, st.none(), st.integers()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil\x07link\x1b]8;;\x07", "link"),
        ("a\u200bb\u2060c", "abc"),
        ("safe \u202egnp.exe", "safe gnp.exe"),
        ("x\U000e0068\U000e0069", "x"),
        ("x\U000e0101\U000e0102", "x"),
        ("\x1b\x1b[0m[31mplain", "[31mplain"),
        ("bell\x07 and \x9b31mC1", "bell and 31mC1"),
    ],
)
def test_what_nobody_sees_goes(given: str, seen: str) -> None:
    assert stripped(given)[0] == seen
    assert stripped(given)[1] == len(given) - len(seen)


@pytest.mark.parametrize(
    "kept",
    [
        "two\r\n\tlines",
        "👨\u200d👩\u200d👧 family",
        "❤\ufe0f",
        "می\u200cخواهم",
        "क\u094d\u200dष",
        "café 東京",
        "\u0600",
    ],
)
def test_what_writing_needs_stays(kept: str) -> None:
    assert stripped(kept) == (kept, 0)


def test_every_format_and_control_character_of_unicode_is_known() -> None:
    one = re.compile(f"[{INVISIBLE}]")
    printed = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    for code in range(sys.maxunicode + 1):
        kind = unicodedata.category(chr(code))
        unseen = (kind == "Cc" and chr(code) not in "\t\n\r") or (kind == "Cf" and code not in printed)
        assert not unseen or one.match(chr(code)), hex(code)
        if one.match(chr(code)):
            assert (
                unseen
                or code in {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0}
                or kind in ("Mn", "Cn")
            )


@given(NASTY)
def test_what_was_stripped_has_nothing_left_to_strip(given: str) -> None:
    once, _ = stripped(given)
    assert stripped(once) == (once, 0)
    assert "\x1b" not in once


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_is_returned_as_it_is(given: str) -> None:
    assert stripped(given)[0] is given


@given(VALUES)
def test_a_value_is_stripped_everywhere_and_counted_once(given: Any) -> None:
    seen, count = stripped_all(given)
    assert stripped_all(seen) == (seen, 0)
    assert (seen is given or seen == given) if count == 0 else seen != given


def test_what_is_an_identifier_stays_as_it_is() -> None:
    value = {"uri": "a\u200bb", "text": "a\u200bb"}
    assert stripped_all(value, but=frozenset({"uri"})) == ({"uri": "a\u200bb", "text": "ab"}, 1)


@pytest.mark.parametrize("name", ["read_file", "東京", "почта", "naïve", "search-2", "größe", "file:///a b"])
def test_honest_names_pass(name: str) -> None:
    assert what_is_wrong(name) is None


@pytest.mark.parametrize(
    "name", ["read\u200b_file", "s\u0435nd_email", "сору", "ｓｅｎｄ", "a\nb", "se\u202end", "ѕearch"]
)
def test_names_that_look_like_others_do_not(name: str) -> None:
    assert what_is_wrong(name)


def test_lookalikes_read_as_what_they_look_like() -> None:
    assert plain("Іgnоrе рrеviоus") == "Ignore previous"


def test_a_terminal_gets_escapes_instead_of_what_it_would_obey() -> None:
    assert spelled_out("a\x1b[31m\u200bé") == "a\\x1b[31m\\u200bé"

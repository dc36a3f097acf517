"""Words for scripts that write none."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_shared import segments

LETTERS = st.text(st.sampled_from("水位海東京あいカナกขคກຂកខကခ"), min_size=1, max_size=12)


def test_a_run_is_cut_into_pairs_and_ends_with_its_last_letter() -> None:
    assert segments.stored("Ann在里斯本。").split() == ["Ann", "在里", "里斯", "斯本", "本", "。"]
    assert segments.asked("里斯本").split() == ["里斯", "斯本"]
    assert segments.asked("本").split() == ["本"]


def test_a_text_with_blanks_stays_as_it_is() -> None:
    text = "Ann lives in Lisboa; Анна живёт, 한국어 단어."
    assert segments.stored(text) == segments.asked(text) == text
    assert not segments.is_needed(text)


def test_marks_are_left_out_as_an_index_takes_them_for_blanks() -> None:
    assert segments.asked("ที่นี่").split() == ["ทน"]


@given(LETTERS, LETTERS, LETTERS)
def test_what_stands_anywhere_in_a_text_is_found_by_its_pairs(before: str, word: str, after: str) -> None:
    stored = segments.stored(before + word + after).split()
    for pair in segments.asked(word).split():
        assert any(one.startswith(pair) if segments.is_single(pair) else one == pair for one in stored)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("安在里斯本的港口办公室工作", "里斯本"),
        ("アンはリスボンに住む", "リスボン"),
        ("แอนอยู่ที่ลิสบอน", "ลิสบอน"),
        ("ແອນຢູ່ລິດສະບອນ", "ລິດສະບອນ"),
        ("អានរស់នៅលីសបោន", "លីសបោន"),
        ("အန်းသည်လစ္စဘွန်းမြို့", "လစ္စဘွန်း"),
    ],
)
def test_full_text_search_finds_a_word_within_a_run(text: str, asked: str) -> None:
    index = sqlite3.connect(":memory:")
    index.execute("CREATE VIRTUAL TABLE f USING fts5(x, tokenize='porter unicode61 remove_diacritics 2')")
    index.execute("INSERT INTO f VALUES (?)", (segments.stored(text),))
    match = " AND ".join(f'"{word}"' for word in segments.asked(asked).split())
    assert match
    assert index.execute("SELECT count(*) FROM f WHERE f MATCH ?", (match,)).fetchone() == (1,)

"""The memory server's thinking: no database, no MCP."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_memory.filters import filtered
from pygent_memory.memory import (
    MAX_TEXT_BYTES,
    Memory,
    draft,
    likeness,
    moment,
    normalised,
    tag_set,
    word_pairs,
)
from pygent_memory.passages import OVERLAP, WORDS, passages
from pygent_memory.ranking import Asked, rank
from pygent_memory.recall import (
    LEG,
    Found,
    Leg,
    Part,
    Place,
    candidates,
    different,
    excerpt,
    fill,
    fold,
    fuse,
    tokens,
)
from pygent_shared.errors import InvalidArgument

TEXTS = st.text(st.sampled_from("ab \n.!?。x"), max_size=3000) | st.text(max_size=300)
LEGS = st.dictionaries(st.integers(0, 50), st.floats(0, 30), max_size=40)


def memory(text: str = "A text.", **fields: Any) -> Memory:
    return Memory(**{"id": "m1", "text": text, "recorded_at": "2025-01-01T00:00:00Z", **fields})


# ---- drafts


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("", ""),
        (" 2025-03-01 ", "2025-03-01"),
        ("2025-03-01T14:30:00+01:00", "2025-03-01T13:30:00Z"),
        ("2025-03-01 14:30", "2025-03-01T14:30:00Z"),
        ("2025-03-01T23:59:59.9Z", "2025-03-01T23:59:59Z"),
    ],
)
def test_a_date_is_kept_as_a_day_or_as_a_utc_second(value: str, kept: str) -> None:
    assert moment(value, "occurred_at") == kept


@pytest.mark.parametrize(
    "value", ["yesterday", "2025", "2025-02-30", "01/02/2025", "0001-01-01T00:00+05:00", "T"]
)
def test_what_is_no_date_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument, match="is no ISO 8601 date"):
        moment(value, "occurred_at")


def test_tags_are_lower_case_once_each_and_in_order() -> None:
    assert tag_set(["Tide ", "b", " tide", "", "big  gauge"]) == ("tide", "b", "big gauge")
    with pytest.raises(InvalidArgument, match="Use at most 20"):
        tag_set([str(number) for number in range(21)])


def test_the_size_limit_counts_bytes() -> None:
    assert draft("é" * (MAX_TEXT_BYTES // 2)).text
    with pytest.raises(InvalidArgument, match="holds 64,002 bytes"):
        draft("é" * (MAX_TEXT_BYTES // 2 + 1))


def test_equal_memories_have_equal_fingerprints() -> None:
    one = draft("Tide  is\thigh. \nAt 5.", tags=["a"], importance=0.9)
    assert one.fingerprint() == draft("\nTide is high.\nAt 5.").fingerprint()
    assert draft("Cafe\u0301").fingerprint() == draft("Caf\u00e9").fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        draft("tide is high."),
        draft("Tide is low."),
        draft("Tide is high.", kind="episodic"),
        draft("Tide is high.", speaker="Ann"),
        draft("Tide is high.", occurred_at="2025-01-01"),
    ],
)
def test_what_differs_in_case_words_kind_speaker_or_date_is_another_memory(other: Any) -> None:
    assert other.fingerprint() != draft("Tide is high.").fingerprint()


def test_indentation_is_part_of_a_text() -> None:
    assert normalised("if a:\n    b  = 1") == "if a:\n    b = 1"
    assert draft("if a:\n  b\nc").fingerprint() != draft("if a:\n  b\n  c").fingerprint()


def test_a_range_may_begin_within_the_day_it_ends() -> None:
    wanted = filtered(since="2025-03-01T10:00:00Z", until="2025-03-01")
    assert (wanted.since, wanted.until) == ("2025-03-01T10:00:00Z", "2025-03-01")
    with pytest.raises(InvalidArgument, match="Swap the two"):
        filtered(since="2025-03-02", until="2025-03-01T10:00:00Z")


def test_likeness_is_the_share_of_common_words() -> None:
    assert likeness("Ann lives in Lisbon.", "Ann lives in Porto.") == 0.5
    assert likeness("tide", "tide tide") == 1
    assert likeness("!", "?") == 0


@given(st.text())
def test_word_pairs_hold_words_of_the_text_and_at_most_six(text: str) -> None:
    words = [word for pair in word_pairs(text) for word in pair]
    assert len(words) == len(set(words)) <= 6
    assert all(word in text.lower() for word in words)


# ---- passages


@given(TEXTS)
def test_passages_cover_every_word_and_none_is_empty_or_too_long(text: str) -> None:
    found = passages(text)
    covered = {place for part in found for place in range(part.start, part.stop)}
    assert covered >= {place for place, character in enumerate(text) if not character.isspace()}
    for part in found:
        assert part.text == text[part.start : part.stop]
        assert 1 <= len(part.text.split()) <= WORDS
    assert [part.start for part in found] == sorted({part.start for part in found})


@given(st.integers(1, 1000))
def test_words_without_sentences_are_cut_with_fifteen_words_of_overlap(count: int) -> None:
    found = [part.text.split() for part in passages(" ".join(map(str, range(count))))]
    for before, after in pairwise(found):
        assert len(before) == WORDS
        assert before[-OVERLAP:] == after[:OVERLAP]


def test_a_passage_ends_where_a_sentence_does() -> None:
    found = passages("One two three four five six seven eight. " * 40)
    assert len(found) > 3
    for part in found:
        assert part.text.startswith("One")
        assert part.text.endswith("eight.")


def test_a_line_end_is_a_border_too() -> None:
    found = passages("\n".join(f"- point {number} of the list" for number in range(60)))
    assert all(part.text.startswith("- point") and part.text.endswith("list") for part in found)


def test_two_letters_count_as_a_word_where_a_script_writes_no_blanks() -> None:
    found = passages("水" * 2000)
    assert [len(part.text) for part in found][:-1] == [2 * WORDS] * (len(found) - 1)
    assert max(len(part.text) for part in passages("x" * 20_000)) <= WORDS * 40


def test_a_sentence_without_blanks_ends_a_passage_too() -> None:
    found = passages("港の事務所は九時に開きます。" * 60)
    assert len(found) > 3
    assert all(part.text.startswith("港") and part.text.endswith("。") for part in found)


def test_a_short_text_is_one_passage() -> None:
    (part,) = passages("  A short text. \n")
    assert part.text == "A short text."


# ---- recall


def places(**of: str) -> dict[int, Place]:
    """Passage numbers by memory: places(a="12", b="3")."""
    return {
        int(number): Place(int(number), memory, importance=0.5)
        for memory, numbers in of.items()
        for number in numbers
    }


@given(LEGS, LEGS)
def test_fused_scores_lie_between_0_and_1_best_first(
    lexical: dict[int, float], cosines: dict[int, float]
) -> None:
    semantic = {passage: score / 30 for passage, score in cosines.items()}
    fused = fuse({"lexical": lexical, "semantic": semantic})
    assert set(fused) == set(lexical) | set(semantic)
    assert list(fused.values()) == sorted(fused.values(), reverse=True)
    assert all(0 <= score <= 1.000001 for score in fused.values())


def test_what_both_legs_find_stands_before_what_one_finds() -> None:
    fused = fuse({"lexical": {1: 9.0, 2: 8.0}, "semantic": {2: 0.8, 3: 0.7}})
    assert list(fused) == [2, 1, 3]


def test_the_last_of_a_short_leg_was_found_and_scores_more_than_nothing() -> None:
    assert fuse({"lexical": {1: 4.0, 2: 1.0}}) == {1: 1.0, 2: 0.25}


def test_what_one_leg_brings_has_its_score_of_the_other_too() -> None:
    deep = {number: float(2 * LEG - number) for number in range(2 * LEG)}
    legs = candidates(deep, {LEG + 5: 0.9, 3: 0.1})
    assert len(legs["lexical"]) == LEG + 1
    assert legs["lexical"][LEG + 5] == LEG - 5
    assert legs["semantic"] == {LEG + 5: 0.9, 3: 0.1}


def test_a_passage_that_is_only_the_nearest_is_not_near() -> None:
    assert candidates({}, {1: 0.9, 2: 0.05, 3: -0.2})["semantic"] == {1: 0.9}
    (found,) = fold(candidates({1: 2.0}, {1: 0.05}), places(a="1"))
    assert found.by == ("lexical",)


def test_without_vectors_there_is_one_leg() -> None:
    assert candidates({1: 2.0}, None) == {"lexical": {1: 2.0}}


def test_a_memory_is_as_good_as_its_best_passage() -> None:
    legs: dict[Leg, dict[int, float]] = {"lexical": {1: 1.0, 2: 9.0, 3: 5.0}, "semantic": {1: 0.5}}
    found = fold(legs, places(a="12", b="3"))
    assert [(item.memory, item.by) for item in found] == [("a", ("lexical", "semantic")), ("b", ("lexical",))]


def test_importance_decides_between_equals_and_moves_little() -> None:
    legs: dict[Leg, dict[int, float]] = {"lexical": {1: 5.0, 2: 5.0, 3: 6.0}}
    known = {
        number: Place(number, str(number), importance=importance, date="2025-01-01")
        for number, importance in ((1, 0.0), (2, 1.0), (3, 0.5))
    }
    assert [item.memory for item in rank(fold(legs, known), Asked())] == ["3", "2", "1"]


def test_passages_forgotten_in_the_meantime_are_left_out() -> None:
    assert fold({"lexical": {1: 1.0, 7: 2.0}}, places(a="1"))[0].memory == "a"
    assert fold({"lexical": {7: 2.0}}, {}) == []


def found(text: str, **fields: Any) -> tuple[Found, Part]:
    place = Place(1, "m1")
    return Found(score=1, by=("lexical",), place=place), Part(memory(text, **fields), 0, len(text))


def of(*pairs: tuple[Found, Part]) -> list[tuple[Found, Part, tuple[str, ...]]]:
    return [(item, part, ()) for item, part in pairs]


@given(st.lists(st.text(min_size=1, max_size=400).filter(str.strip), max_size=20), st.integers(90, 400))
def test_what_is_shown_fits_the_budget_and_the_best_is_always_there(texts: list[str], budget: int) -> None:
    shown = fill(of(*map(found, texts)), budget)
    assert bool(shown) == bool(texts)
    assert sum(tokens(item.text) for item in shown) <= budget
    assert all(item.whole == (item.text == item.memory.text.strip()) for item in shown)


def test_what_does_not_fit_makes_room_for_something_smaller() -> None:
    long, short = "word " * 200, "A short one."
    shown = fill(of(found(short), found(long), found(short)), 120)
    assert [item.text for item in shown] == [short, short]


def test_what_repeats_a_better_one_is_named_beside_it() -> None:
    text = "The harbour office in Lisbon opens at nine every day but Sunday."
    kept = different([found(text), found(text + "!", id="m2"), found("Something else.")])
    assert [(part.memory.text, alike) for _, part, alike in kept] == [
        (text, ("m2 of 2025-01-01",)),
        ("Something else.", ()),
    ]


def test_a_number_or_a_speaker_that_differs_is_no_repeat() -> None:
    text = " ".join(f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
    assert len(different([found(f"{text} 7"), found(f"{text} 9"), found(f"{text} 7", speaker="Bo")])) == 3


def test_an_excerpt_marks_what_it_leaves_out() -> None:
    assert excerpt("one two three", 4, 7) == ("… two …", False)
    assert excerpt("one two", 4, 7) == ("… two", False)
    assert excerpt(" one two\n", 1, 8) == ("one two", True)


def test_tokens_are_a_quarter_of_the_bytes() -> None:
    assert (tokens(""), tokens("abcde"), tokens("水位")) == (0, 2, 2)

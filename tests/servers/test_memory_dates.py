"""The times that questions and texts name."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_memory.times import Span, named, relative

TOLD = date(2023, 5, 10)  # a Wednesday


def spans(question: str, *years: int) -> list[str]:
    return [str(span) for span in named(question, TOLD, years)]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("yesterday", "2023-05-09"),
        ("last night", "2023-05-09"),
        ("the day before yesterday", "2023-05-08"),
        ("today", "2023-05-10"),
        ("this morning", "2023-05-10"),
        ("tomorrow", "2023-05-11"),
        ("the day after tomorrow", "2023-05-12"),
        ("three days ago", "2023-05-07"),
        ("2 weeks ago", "2023-04-24/2023-04-30"),
        ("a couple of months ago", "2023-03"),
        ("five years ago", "2018"),
        ("in a week", "2023-05-15/2023-05-21"),
        ("in two months", "2023-07"),
        ("last week", "2023-05-01/2023-05-07"),
        ("next week", "2023-05-15/2023-05-21"),
        ("last weekend", "2023-05-06/2023-05-07"),
        ("this weekend", "2023-05-13/2023-05-14"),
        ("last month", "2023-04"),
        ("next month", "2023-06"),
        ("last year", "2022"),
        ("this year", "2023"),
        ("last Friday", "2023-05-05"),
        ("last Wednesday", "2023-05-03"),
        ("this Friday", "2023-05-12"),
        ("next Wednesday", "2023-05-17"),
        ("last summer", "2022-06-01/2022-08-31"),
        ("last winter", "2022-12-01/2023-02-28"),
        ("next spring", "2024-03-01/2024-05-31"),
        ("last October", "2022-10"),
        ("next January", "2024-01"),
        ("this July", "2023-07"),
    ],
)
def test_words_that_depend_on_the_day_they_were_said_mean_these_days(words: str, meant: str) -> None:
    ((found, span),) = relative(f"We met {words}, I think.", TOLD)
    assert (found, str(span)) == (words, meant)


def test_several_are_found_in_order_and_none_twice() -> None:
    found = relative("Yesterday I ran; the day before yesterday and last week too.", TOLD)
    assert [words for words, _ in found] == ["Yesterday", "the day before yesterday", "last week"]


@pytest.mark.parametrize(
    "text", ["recently", "the other day", "a few days ago", "at last", "next to it", "week", "two weeks", ""]
)
def test_what_is_vague_names_no_day(text: str) -> None:
    assert relative(text, TOLD) == []
    assert spans(text, 2023) == []


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("What happened on 3 May 2023?", ["2023-05-02/2023-05-11"]),
        ("What happened on May 3rd, 2023?", ["2023-05-02/2023-05-11"]),
        ("What happened on the 3rd of May in 2023?", ["2023-05-02/2023-05-11"]),
        ("Notes of 2023-05-03", ["2023-05-02/2023-05-11"]),
        ("What happened in May 2023?", ["2023-05-01/2023-06-14"]),
        ("What happened in Sept. 2022?", ["2022-09-01/2022-10-14"]),
        ("Notes of 2023-05", ["2023-05-01/2023-06-14"]),
        ("the summer of 2022", ["2022-06-01/2022-09-14"]),
        ("Who won in 2022?", ["2022"]),
        ("Where did we go last week?", ["2023-04-30/2023-05-15"]),
        ("Where did we go last October?", ["2022-10-01/2022-11-14"]),
    ],
)
def test_a_question_names_when_something_was_told(question: str, meant: list[str]) -> None:
    assert spans(question, 2020) == meant


def test_a_time_without_a_year_means_each_of_the_years() -> None:
    assert spans("When in July did Ann move?", 2022, 2023) == [
        "2022-07-01/2022-08-14",
        "2023-07-01/2023-08-14",
    ]
    assert spans("What did Ann say on 4 July?", 2022) == ["2022-07-03/2022-07-12"]
    assert spans("When in July did Ann move?") == []


@pytest.mark.parametrize(
    "question",
    ["May I march in?", "Who may have it?", "Is Jan here?", "room 2023", "30 February 2023", "version 1.2"],
)
def test_a_verb_a_name_or_a_day_there_is_not_is_no_time(question: str) -> None:
    assert spans(question, 2023) == []


def test_a_span_holds_its_first_and_last_day() -> None:
    span = Span(first=date(2023, 5, 1), last=date(2023, 5, 3))
    assert date(2023, 5, 1) in span
    assert date(2023, 5, 3) in span
    assert date(2023, 5, 4) not in span


@given(st.text(), st.dates(), st.sets(st.integers(1, 9999), max_size=3))
def test_any_text_can_be_read(text: str, told: date, years: set[int]) -> None:
    for _, span in relative(text, told):
        assert span.first <= span.last
    for span in named(text, told, years):
        assert span.first <= span.last


@pytest.mark.parametrize("told", [date.min, date.max])
@pytest.mark.parametrize(
    "words", ["yesterday", "tomorrow", "last year", "next year", "last winter", "next week"]
)
def test_the_ends_of_the_calendar_are_no_mistake(words: str, told: date) -> None:
    assert all(span.first <= span.last for _, span in relative(words, told))
    assert all(span.first <= span.last for span in named(words, told, {told.year}))

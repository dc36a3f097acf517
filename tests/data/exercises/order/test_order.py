import pytest
from order import ordered


def test_no_tasks() -> None:
    assert ordered({}) == []


def test_tasks_without_needs_are_in_the_alphabets_order() -> None:
    assert ordered({"c": [], "a": [], "b": []}) == ["a", "b", "c"]


def test_what_is_needed_comes_first() -> None:
    assert ordered({"bake": ["mix"], "mix": ["weigh"], "weigh": []}) == ["weigh", "mix", "bake"]


def test_a_task_only_named_as_a_need_is_there() -> None:
    assert ordered({"a": ["z"]}) == ["z", "a"]


def test_the_alphabet_decides_anew_after_each_task() -> None:
    assert ordered({"b": [], "a": ["b"], "c": []}) == ["b", "a", "c"]


def test_a_diamond() -> None:
    assert ordered({"d": ["b", "c"], "c": ["a"], "b": ["a"], "a": []}) == ["a", "b", "c", "d"]


def test_a_need_named_twice_counts_once() -> None:
    assert ordered({"a": ["b", "b"]}) == ["b", "a"]


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError):
        ordered({"a": ["b"], "b": ["c"], "c": ["a"], "d": []})


def test_a_task_that_needs_itself_is_refused() -> None:
    with pytest.raises(ValueError):
        ordered({"a": ["a"]})


def test_what_was_given_is_left_as_it_was() -> None:
    needs = {"a": ["b"]}
    ordered(needs)
    assert needs == {"a": ["b"]}

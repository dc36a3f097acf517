"""What the coding pipeline decides without touching anything: classes of failure, reviews, what is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pygent_orchestration.coding import knowledge, review
from pygent_orchestration.coding.recovery import RECOVERIES, Recovery, classed, pause
from pygent_orchestration.coding.told import MOST, told
from pygent_shared import errors

DOC = Path(__file__).parents[2] / "docs" / "coding.md"


@pytest.mark.parametrize(
    ("error", "why", "kind"),
    [
        ("", "The run's budget of 60 s is spent, and so it was stopped. Give it more: …", "timeout"),
        ("", "The run's budget of 5,000 tokens is spent, and so it was stopped.", "model_limit"),
        ("", "The allowance of all of the agent's runs of $5 is spent, and so it was stopped.", "refused"),
        ("Red", "You is at its limit of 3 calls. Try again in 10 s.", "model_limit"),
        ("Red", 'There is no agent "codr". Did you mean "coder"?', "refused"),
        ("ServerUnavailable", 'Server "x" ended in the middle.', "tool_error"),
        ("Red", 'Server "factory" did not answer in 60 s', "timeout"),
        ("SandboxMissing", "this machine has no sandbox", "refused"),
        ("KeyError", "'x'", "crash"),
        ("", "something else", "crash"),
    ],
)
def test_a_failure_is_classed_by_its_words_and_else_by_its_error(error: str, why: str, kind: str) -> None:
    failure = classed(error, why)
    assert (failure.kind, failure.why) == (kind, why)
    assert failure.model_dump()["class"] == kind


def test_every_error_of_ours_that_a_caller_can_mend_is_not_simply_tried_again() -> None:
    mend = [errors.UnknownName, errors.InvalidArgument, errors.FileRefused, errors.ConfigInvalid]
    mend += [errors.NotAllowed, errors.IllegalMove]
    assert {classed(error.__name__, "").kind for error in mend} == {"refused"}


def test_the_page_says_of_each_class_what_is_done() -> None:
    rows = [line.split("|") for line in DOC.read_text().splitlines() if line.startswith("| `")]
    said = {row[1].strip(" `"): row[3].strip() for row in rows if len(row) == 5}
    assert said.keys() >= RECOVERIES.keys()
    for kind, recovery in RECOVERIES.items():
        assert said[kind].startswith(_in_words(recovery))
        for again in range(recovery.again):
            assert f"{pause(recovery, again):g} s" in said[kind]


def _in_words(recovery: Recovery) -> str:
    if recovery.again:
        return f"{recovery.again} times again, after"
    return "the coder is told" if recovery.is_told else "the task fails"


@pytest.mark.parametrize(
    "answer",
    [
        {"approved": True},
        '{"approved": true}',
        'I looked at all of it.\n\n```json\n{"approved": true, "findings": []}\n```\nThat is all.',
        'Here: {"approved": true} - good.',
    ],
)
def test_a_review_is_read_from_what_agents_answer(answer: object) -> None:
    assert review.read(answer).is_good


@pytest.mark.parametrize("answer", ["Looks good", "{approved: true}", {}, [], None, '{"approved": "maybe"}'])
def test_what_is_no_review_approves_of_nothing(answer: object) -> None:
    with pytest.raises(review.NoReview):
        review.read(answer)


def test_what_a_coder_is_told_is_bounded_and_has_both_ends() -> None:
    text = told("Do it.", [], "begin" + "x" * 2 * MOST + "end", [])
    assert len(text) < MOST + 1000
    assert "begin" in text
    assert "end" in text
    assert "characters left out" in text


def test_a_goal_is_what_a_prp_says_first() -> None:
    prp = '---\nid: "sums"\nhours: 2\n---\n\n# Goal\n\nAdd two\nnumbers.\n\n# Context\n\nNone.\n'
    assert knowledge.goal_of(prp) == "Add two numbers."
    assert knowledge.goal_of("Halve it.") == "Halve it."
    assert knowledge.goal_of("") == ""

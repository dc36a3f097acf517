"""PRPs as Markdown, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_orchestration.features.model import TASK, Prp
from pygent_orchestration.features.prp import parse, render
from pygent_shared.errors import InvalidArgument

WORDS = st.text(
    alphabet=st.one_of(st.sampled_from("# \\-\n\r\u2028`ab"), st.characters(codec="utf-8")), max_size=40
)
TEXTS = st.lists(WORDS, max_size=4)
IDS = st.from_regex(TASK, fullmatch=True).filter(lambda id: not id.endswith("\n"))
PRPS = st.builds(
    Prp,
    id=IDS,
    goal=WORDS.filter(lambda text: bool(text.strip())),
    justification=WORDS,
    context=WORDS,
    implementation_steps=TEXTS,
    validation_criteria=TEXTS,
    success_metrics=TEXTS,
    failure_recovery=TEXTS,
    references=TEXTS,
    paths=TEXTS,
    depends_on=st.lists(IDS, max_size=3),
    hours=st.floats(min_value=0.001, max_value=1000),
    capabilities=TEXTS,
)

WRITTEN = """\
---
id: parser
depends_on: ["reader"]
---
## Goal
Dates are read.

## Implementation steps
- Read `dates.py`
  and its tests
- Write the function
"""


@given(PRPS)
def test_a_prp_comes_back_from_markdown_as_it_was(prp: Prp) -> None:
    assert parse(render(prp)) == prp


def test_one_written_by_hand_is_read_and_what_it_leaves_out_is_empty() -> None:
    assert parse(WRITTEN) == Prp(
        id="parser",
        goal="Dates are read.",
        implementation_steps=["Read `dates.py`\nand its tests", "Write the function"],
        depends_on=["reader"],
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("---\nid", "id", "line 1: it does not begin with front matter"),
        ("depends_on", "depends", 'line 3: "depends" is none of id, hours'),
        ("## Goal\n", "Some text\n## Goal\n", "line 5: text stands before the first section"),
        (
            "## Implementation",
            "## Implementatio",
            'line 8: there is no section "Implementatio steps". Did you',
        ),
        ("- Read", "Read", "line 9: each item of this section begins with a hyphen"),
        ("Dates are read.", "", "goal: Value error, it is empty"),
        ("## Implementation steps", "## Goal", 'line 8: the section "Goal" is there twice'),
    ],
)
def test_one_that_is_none_is_refused_with_the_line(old: str, new: str, said: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse(WRITTEN.replace(old, new, 1))
    assert said in str(refused.value)

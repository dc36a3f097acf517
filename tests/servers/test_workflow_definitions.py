"""Definitions: what is refused, with its line; what expressions can and cannot; and the ones that ship."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pygent_orchestration import reading
from pygent_orchestration.expressions import ExpressionInvalid, filled, value, vote
from pygent_orchestration.graph import Graph
from pygent_orchestration.library import patterns
from pygent_shared.errors import FileRefused, InvalidArgument

GOOD = """
[inputs.topic]

[steps.draft]
agent = "writer"
task = "{{ inputs.topic }}"

[steps.send]
tool = "mail__send"
with = { text = "{{ steps.draft }}", to = "a" }
needs = ["draft"]
"""

WRONG = [
    ('needs = ["draft"]', 'needs = ["draf"]', 11, 'names no step: there is no "draf". Did you mean "draft"?'),
    ("steps.draft }}", "steps.drat }}", 10, 'reads a step "drat", which there is not. Did you mean "draft"?'),
    (
        "inputs.topic }}",
        "inputs.topik }}",
        6,
        'reads an input "topik", which is not declared. Did you mean "topic"?',
    ),
    ('agent = "writer"', 'agent = "writer"\ngate = "ls"', 4, "is agent and gate at once."),
    ('agent = "writer"\ntask = "{{ inputs.topic }}"', "retries = 1", 4, "does nothing. Give it one of: map,"),
    ('agent = "writer"', 'agnet = "writer"', 5, 'agnet is no field. Did you mean "agent"?'),
    ('task = "{{ inputs.topic }}"', 'task = ""', 4, "has no task for its agent."),
    ('agent = "writer"', 'agent = "writer"\nneeds = ["send"]', 4, "waits for itself: draft → send → draft."),
    ('task = "{{ inputs.topic }}"', 'task = "{{ topic }}"', 6, 'reads "topic", which there is not.'),
    ('task = "{{ inputs.topic }}"', 'task = "{{ inputs.topic + }}"', 6, "'inputs.topic +' is no expression."),
    ("[steps.draft]", "[steps.Draft]", 4, "is no name for a step."),
    ("[inputs.topic]", '[inputs.topic]\ntype = "text"', 3, "is not usable: input should be 'string',"),
    ('agent = "writer"', 'agent = "writer"\nretries = -1', 6, "is not usable: input should be greater than"),
    ('agent = "writer"', 'agent = "writer"\nfolder = "x"', 6, "is of no use to a step of kind agent."),
    ('needs = ["draft"]', 'undo = { task = "x" }', 11, "is no action. Give it one of: agent, tool, gate."),
    ('tool = "mail__send"', 'map = "inputs.topic"', 8, "is a map without one body."),
]


@pytest.mark.parametrize(("part", "instead", "line", "told"), WRONG)
def test_what_is_wrong_is_told_with_its_line_and_its_cure(
    part: str, instead: str, line: int, told: str
) -> None:
    assert part in GOOD
    with pytest.raises(InvalidArgument) as caught:
        reading.definition(GOOD.replace(part, instead), "toml", "w.toml")
    assert str(caught.value).startswith(f"w.toml, line {line}: ")
    assert told in str(caught.value)


def test_yaml_is_read_as_toml_is_and_has_lines_too(tmp_path: Path) -> None:
    text = "inputs: {topic: {}}\nsteps:\n  a:\n    condition: inputs.topic\n"
    text += "  b:\n    condition: '1'\n    needs: [a, c]\n"
    with pytest.raises(
        InvalidArgument, match=r'b.yaml, line 7: steps.b.needs.1 names no step: there is no "c"'
    ):
        reading.definition(text, "yaml", "b.yaml")
    path = tmp_path / "b.yaml"
    path.write_text(text.replace(", c", ""))
    assert list(reading.file(path).steps) == ["a", "b"]
    path.write_text("a: [")
    with pytest.raises(InvalidArgument, match=r"b.yaml: is no YAML: .* line 1"):
        reading.file(path)


def test_what_is_no_toml_says_where(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"definition: is no TOML: .*line 2"):
        reading.definition("a = 1\nb = \n", "toml")
    with pytest.raises(FileRefused, match=r"is neither \.toml nor \.yaml"):
        reading.file(tmp_path / "w.json")


def test_the_order_follows_what_steps_need_and_read_in_their_bodies_too() -> None:
    found = reading.definition(
        """
        [steps.c]
        map = "range(2)"
        [steps.c.steps.x]
        condition = "steps.b + item"
        [steps.b]
        condition = "steps.a"
        [steps.a]
        condition = "1"
        """,
        "toml",
    )
    assert Graph(found.steps).order == ["a", "b", "c"]


SCOPE: dict[str, Any] = {
    "inputs": {"n": 3, "words": ["tide", "storm"]},
    "steps": {"a": {"b": [1, {"c": "x"}]}},
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("inputs.n + 1", 4),
        ("steps.a.b[1].c", "x"),
        ("steps.a['b'][0]", 1),
        ("steps.none.further", None),
        ("inputs.words[9]", None),
        ("'tide' in inputs.words and not false", True),
        ("1 < inputs.n <= 3", True),
        ("len(inputs.words) if inputs.n else 0", 2),
        ("join(inputs.words, ', ')", "tide, storm"),
        ("json('Here: [1, 2] they are')", [1, 2]),
        ("after('so.\\n**Answer:** 42', 'Answer:')", "42"),
        ("vote(['a', 'b', 'b'])", "b"),
        ("{'k': [inputs.n, null]}", {"k": [3, None]}),
        ("lines(' a \\n\\n b')", ["a", "b"]),
    ],
)
def test_an_expression_gives(source: str, expected: Any) -> None:
    assert value(source, SCOPE) == expected


@pytest.mark.parametrize(
    "source",
    [
        "__import__('os')",
        "().__class__",
        "inputs.__class__.__mro__[0]",
        "open('/etc/passwd')",
        "[x for x in inputs.words]",
        "(lambda: 1)()",
        "9 ** 9 ** 9",
        "'a' * 10",
        "inputs.words.append(1)",
        "f'{inputs}'",
        "inputs.n; 1",
        "x := 1",
        "'a' + 1",
        "inputs.n.real",
        "json('nothing')",
    ],
)
def test_an_expression_reaches_nothing_but_its_data(source: str) -> None:
    with suppress(ExpressionInvalid):
        assert value(source, SCOPE) is None  # an attribute that no data has


def test_what_grows_without_end_is_refused() -> None:
    with pytest.raises(ExpressionInvalid, match="over 1000000 long"):
        value("inputs.t + inputs.t", {"inputs": {"t": "x" * 600_000}})


def test_a_template_that_is_one_expression_becomes_its_value_and_others_are_texts() -> None:
    template = {
        "n": "{{ inputs.n }}",
        "t": "n is {{ inputs.n }}, {{ steps.none }}.",
        "l": ["{{ inputs.words }}"],
    }
    assert filled(template, SCOPE) == {"n": 3, "t": "n is 3, .", "l": [["tide", "storm"]]}


def test_votes_go_to_the_first_of_the_most_common() -> None:
    assert vote(["b", "a", "a", "b"]) == "b"
    assert vote([]) is None


def test_every_pattern_is_sound_and_says_what_it_is_for() -> None:
    assert set(patterns()) == {
        "sequential",
        "parallel",
        "map-reduce",
        "router",
        "orchestrator-workers",
        "evaluator-optimizer",
        "debate",
        "handoff",
    }
    for definition in patterns().values():
        assert definition.description
        assert all(row.description for row in definition.inputs.values())

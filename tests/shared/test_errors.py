from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygent_shared
from pygent_shared import errors
from pygent_shared.errors import CallerError, PygentError, did_you_mean, ours


def drawn_tree() -> dict[str, str]:
    """Class -> its parent, as the docstring of errors.py draws them."""
    lines = [line for line in (errors.__doc__ or "").splitlines() if "──" in line]
    path, parents = {0: "PygentError"}, {}
    for line in lines:
        depth = (line.index("──") - 1) // 4
        name = line.split("── ")[1].split()[0]
        path[depth] = name
        parents[name] = path[depth - 1]
    return parents


def real_tree(root: type) -> dict[str, str]:
    found = {}
    for child in root.__subclasses__():
        if child.__module__.startswith("pygent_shared"):
            found[child.__name__] = root.__name__
        found |= real_tree(child)
    return found


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    for module in pkgutil.walk_packages(pygent_shared.__path__, "pygent_shared."):
        importlib.import_module(module.name)

    assert drawn_tree() == real_tree(PygentError)


EXAMPLES = [
    errors.InvalidArgument("limit", "it is 0", "Ask for 1 or more."),
    errors.UnknownName("tool", "serch", ["search", "forget"]),
    errors.FileRefused("/a/b.md", "does not exist", "Name a file that exists."),
    errors.ConfigInvalid("/a/pygent.json", "is not UTF-8 text", "Save it as UTF-8."),
    errors.SettingInvalid("PYGENT_PORT", "no", "a whole number", "Leave it out."),
    errors.IllegalMove('Agent "a"', "paused", "paused", "Deploy it first"),
    errors.NotAllowed('The tool "x"', "is forbidden", "Use another."),
    errors.BudgetSpent("The run's budget", "3 requests", "Give it more."),
    errors.ModelFailed("openai:x", "gives no answer", "Try again."),
    errors.TooMany('Server "rag"', "4 requests at once", 12.4),
    errors.ServerUnavailable("rag", "did not answer"),
    errors.ConnectionLost("rag", "went away"),
    errors.LaunchRefused('is not started: its "cwd" is no folder', "Make it."),
    errors.AgentUnavailable("river", "cannot be reached at https://x"),
    errors.NotApproved("github", 'The tool "github__add"', "was changed"),
    errors.KeysUnavailable("https://id.example", "it answered 500"),
    errors.DatabaseUnusable("/a/x.db", "is damaged", "Set it aside."),
    errors.MissingExtra("Semantic search", "embeddings"),
    errors.SearchIsLexical("PYGENT_EMBEDDER is none"),
    errors.SandboxMissing("its sandbox needs bubblewrap", "Install it."),
    errors.WeightsChanged(Path("/a/model.safetensors"), "00", "ff", "the-package"),
    errors.PortTaken("127.0.0.1", 8700, "another program", "Choose a free port."),
    errors.NotStarted("http://127.0.0.1:8700"),
]


def test_every_class_that_is_raised_has_an_example_here() -> None:
    kinds = {"CallerError", "PeerError", "HostError"}

    assert {type(error).__name__ for error in EXAMPLES} == set(real_tree(PygentError)) - kinds


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_one_line_that_ends_with_its_cure_and_decides_the_exit_code(error: PygentError) -> None:
    sentence = str(error)

    assert "\n" not in sentence
    assert sentence[0].isupper() or sentence[0] in '"' or sentence.startswith("limit")
    assert ".." not in sentence
    assert error.exit_code == (2 if isinstance(error, CallerError) else 1)


def test_an_unknown_name_is_answered_with_the_nearest_known_one() -> None:
    error = errors.UnknownName("tool", "serch", ["search", "forget"], "List them: pygent list")

    assert str(error) == 'There is no tool "serch". Did you mean "search"? List them: pygent list'


def test_a_name_near_to_nothing_is_answered_with_what_there_is() -> None:
    assert did_you_mean("zzz", ["beta", "alpha"]) == " There is: alpha, beta."
    assert did_you_mean("zzz", [f"t{n}" for n in range(9)]).endswith("t7 and 1 more.")
    assert did_you_mean("zzz", []) == " There are none yet."


@given(st.text(), st.lists(st.text(min_size=1)))
def test_a_suggestion_is_always_a_known_name(word: str, known: list[str]) -> None:
    suggestion = errors.nearest(word, known)

    assert suggestion is None or suggestion in known
    assert did_you_mean(word, known)


def test_ours_finds_the_errors_of_the_tree_in_groups_of_groups() -> None:
    first, second = EXAMPLES[:2]
    group = BaseExceptionGroup(
        "outer", [ExceptionGroup("inner", [first, ValueError("no")]), second, KeyboardInterrupt()]
    )

    assert ours(group) == [first, second]
    assert ours(first) == [first]
    assert ours(ValueError("no")) == []

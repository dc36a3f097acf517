"""Tree of Thoughts (Yao et al., NeurIPS 2023, arXiv:2305.10601): the model proposes next steps and values
them, and a search chooses which to follow. Each way to search is a strategy, in a file of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pygent_factory.search.explore import Budget, explore
from pygent_factory.search.questions import Steps
from pygent_factory.search.tree import Tree
from pygent_factory.thinker import Thinker

BRANCHES = 3
DEPTH = 4
EXPANSIONS = 10
ANSWER = "ANSWER:"

PROPOSE = """\
{task}

Thoughts so far:
{thoughts}

Propose {branches} different next thoughts, each one step further and in a line of its own that begins \
with "- ". A thought that completes the solution begins with "- {answer} " and holds the whole answer."""
VALUE = """\
{task}

Thoughts so far:
{thoughts}

How likely do these lead to the right answer? Say one word: sure, likely or impossible."""
WORTH = {"sure": 20.0, "likely": 1.0, "impossible": 0.001}

Thoughts = tuple[str, ...]
Method = Callable[[Tree[Thoughts]], Steps[Thoughts]]


class _Model:
    def __init__(self, thinker: Thinker, task: str) -> None:
        self._thinker = thinker
        self._task = task

    async def propose(self, state: Thoughts) -> Sequence[Thoughts]:
        said = await self._thinker.say(
            PROPOSE.format(task=self._task, thoughts=shown(state), branches=BRANCHES, answer=ANSWER)
        )
        lines = [line.strip()[2:].strip() for line in said.splitlines() if line.strip().startswith("- ")]
        return [(*state, line) for line in lines[:BRANCHES] if line]

    async def judge(self, states: Sequence[Thoughts]) -> Sequence[float]:
        return [await self._value(state) for state in states]

    async def _value(self, state: Thoughts) -> float:
        said = await self._thinker.say(VALUE.format(task=self._task, thoughts=shown(state)))
        words = re.findall("|".join(WORTH), said.casefold())
        return WORTH[words[-1]] if words else WORTH["impossible"]


async def search(thinker: Thinker, task: str, method: Method) -> object:
    """The answer that a method found, or else one from the best thoughts; the whole tree is noted."""
    tree: Tree[Thoughts] = Tree(())
    model = _Model(thinker, task)
    outcome = await explore(tree, method(tree), model, model, budget=Budget(expansions=EXPANSIONS))
    thinker.note("tree", tree.as_data())
    thinker.note("ended", outcome.ended)
    thoughts = outcome.best.state
    if thoughts and is_answer(thoughts):
        return thoughts[-1].removeprefix(ANSWER).strip()
    return await thinker.say(f"{task}\n\nThoughts so far:\n{shown(thoughts)}\n\nGive the answer.")


def is_answer(thoughts: Thoughts) -> bool:
    """Whether the last thought says that it completes the solution."""
    return bool(thoughts) and thoughts[-1].startswith(ANSWER)


def shown(thoughts: Thoughts) -> str:
    """Thoughts as a model reads them."""
    return "\n".join(f"{number}. {thought}" for number, thought in enumerate(thoughts, 1)) or "(none yet)"

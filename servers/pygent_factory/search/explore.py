"""A search carried out: its questions answered, within a budget, from where an earlier run left off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal

from pygent_factory.search.questions import Evaluator, Expand, Judge, Proposer, Question, Steps
from pygent_factory.search.tree import Node, S, Tree

Ended = Literal["goal", "exhausted", "budget"]
"""A solution was found · the method had nothing more to try · the budget was spent."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much a search may ask. None: as much as it wants."""

    expansions: int | None = None
    judgements: int | None = None
    """Of states, not of questions: a question may ask about several."""


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[S]):
    """What a search came to, and what it cost."""

    tree: Tree[S]
    best: Node[S]
    ended: Ended
    expansions: int
    judgements: int


async def explore(
    tree: Tree[S],
    steps: Steps[S],
    proposer: Proposer[S],
    evaluator: Evaluator[S],
    *,
    budget: Budget = Budget(),
    known: Sequence[Sequence[Any]] = (),
    record: Callable[[Sequence[Any]], None] = lambda answer: None,
) -> Outcome[S]:
    """Carry a search out to its end.

    Args:
        tree: holds the state to begin with, and will hold all of it.
        steps: a method that grows this tree.
        known: answers that an earlier run recorded, in their order; those questions are not asked again.
        record: is given each new answer.
    """
    earlier = iter(known)
    expansions = judgements = 0
    answer: Sequence[Any] | None = None
    while True:
        try:
            question = next(steps) if answer is None else steps.send(answer)
        except StopIteration:
            ended: Ended = "goal" if next(tree.goals(), None) else "exhausted"
            break
        expansions += isinstance(question, Expand)
        judgements += len(question.nodes) if isinstance(question, Judge) else 0
        if _over(expansions, budget.expansions) or _over(judgements, budget.judgements):
            expansions -= isinstance(question, Expand)
            judgements -= len(question.nodes) if isinstance(question, Judge) else 0
            steps.close()
            ended = "budget"
            break
        answer = await _answered(question, proposer, evaluator, earlier, record)
    return Outcome(tree=tree, best=tree.best(), ended=ended, expansions=expansions, judgements=judgements)


async def _answered(
    question: Question[S],
    proposer: Proposer[S],
    evaluator: Evaluator[S],
    earlier: Iterator[Sequence[Any]],
    record: Callable[[Sequence[Any]], None],
) -> Sequence[Any]:
    if (known := next(earlier, None)) is not None:
        return known
    if isinstance(question, Expand):
        answer: Sequence[Any] = await proposer.propose(question.node.state)
    else:
        answer = await evaluator.judge([node.state for node in question.nodes])
    record(answer)
    return answer


def _over(spent: int, limit: int | None) -> bool:
    return limit is not None and spent > limit

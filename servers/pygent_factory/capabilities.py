"""What an agent can be asked for: it declares it, and is given no task that asks for more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pygent_factory.lifecycle import RUNS
from pygent_factory.store import Agent
from pygent_shared.errors import InvalidArgument


def fit(agent: Agent, wanted: Sequence[str], others: Iterable[Agent]) -> None:
    """Do nothing.

    Args:
        wanted: what a task asks for.
        others: that could be given it instead.

    Raises:
        InvalidArgument: the agent lacks some of it.
    """
    lacking = [capability for capability in wanted if capability not in agent.spec.capabilities]
    if not lacking:
        return
    able = [
        other.name for other in others if other.state in RUNS and set(wanted) <= set(other.spec.capabilities)
    ]
    has = ", ".join(agent.spec.capabilities) or "nothing in particular"
    why = f'"{agent.name}" cannot be asked for {", ".join(lacking)}, but for {has}'
    cure = f"Ask {' or '.join(able)}." if able else f'Look for one: list_agents(capability="{lacking[0]}").'
    raise InvalidArgument("capabilities", why, cure)

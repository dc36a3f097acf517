"""A prompt for each kind of agent: from a task in a person's words to a run."""

from __future__ import annotations

from collections.abc import Callable

from pygent_factory.factory import Factory
from pygent_factory.spec import Spec
from pygent_shared.server import SuiteServer

STEPS = """\
{description} Have such an agent do the task below.

1. Look whether one is deployed: list_agents(type="{type}", state="deployed"). If none is, make one: \
create_agent(name, type="{type}"), then deploy_agent(name).
2. run_agent(name, task). Pass on everything the agent must know; it does not see this conversation.
3. While the state is needs_completion, you are its model: answer the messages under the system prompt that \
came, and pass the answer to continue_run. While it is running: get_run(run, wait_s=50).
4. Give me its answer as it is, with its citations, and say which agent and run it came from.

The task: {task}"""


def add_prompts(server: SuiteServer[Factory], factory: Factory) -> None:
    """Add one for each kind, those that stand in files when the server begins as well."""
    for name, spec in factory.kinds.items():
        server.prompt(name=name, title=f"A {name} agent", description=spec.description)(_prompt(name, spec))


def _prompt(name: str, spec: Spec) -> Callable[[str], str]:
    def prompt(task: str) -> str:
        return STEPS.format(description=spec.description, type=name, task=task)

    return prompt

"""The factory server put together."""

from __future__ import annotations

from pygent_factory.factory import Factory
from pygent_factory.prompts import add_prompts
from pygent_factory.resources import add_resources
from pygent_factory.tasks import TOOLS, RunTasks
from pygent_factory.tools_agents import add_agents
from pygent_factory.tools_runs import add_runs
from pygent_shared.peers import Peers
from pygent_shared.seal import NAME, Seal
from pygent_shared.server import SuiteServer, calls_peers
from pygent_shared.settings import Settings
from pygent_shared.tasks.extension import Tasks

INSTRUCTIONS = """\
Agents defined as data. Make one (agent_types, create_agent), deploy it, run it (run_agent). An agent whose \
model is "host" thinks with your model: where this host does not lend it by itself, run_agent answers with \
state needs_completion, a system prompt and messages. Answer those messages yourself, and pass the answer \
to continue_run; go on until the state is done. Each run is durable: it outlasts this connection."""


@calls_peers
def build_server(settings: Settings, peers: Peers | None) -> SuiteServer[Factory]:
    """The factory server. Its agents use the tools of peers; without peers they have none."""
    factory = Factory(settings, peers)
    server: SuiteServer[Factory] = SuiteServer(
        "pygent-factory",
        instructions=INSTRUCTIONS,
        lifespan=factory.lifespan,
        extensions=[Tasks(RunTasks(factory), TOOLS, Seal(settings.data_dir / NAME))],
    )
    add_agents(server, factory)
    add_runs(server, factory)
    add_resources(server, factory)
    add_prompts(server, factory)
    return server

"""The orchestration server put together."""

from __future__ import annotations

from pygent_orchestration.orchestration import Orchestration
from pygent_orchestration.resources import add_resources
from pygent_orchestration.tasks import TOOLS, WorkflowTasks
from pygent_orchestration.tools_definitions import add_definitions
from pygent_orchestration.tools_features import add_features
from pygent_orchestration.tools_messages import add_messages
from pygent_orchestration.tools_schedules import add_schedules
from pygent_orchestration.tools_workflows import add_workflows
from pygent_shared.peers import Peers
from pygent_shared.seal import NAME, Seal
from pygent_shared.server import SuiteServer, calls_peers
from pygent_shared.settings import Settings
from pygent_shared.tasks.extension import Tasks

INSTRUCTIONS = """\
Workflows defined as data, carried out durably: agents' runs, tools of all servers, commands in a sandbox \
and approvals, at once where they do not wait for each other. Find one (list_workflows), or define your own \
(define_workflow), begin it (start_workflow) and follow it (wait_for_workflow). And features: a change of a \
git repository planned, coded, tested, reviewed and merged (submit_feature). They outlast this connection \
and crashes: only what was being done at that moment is done again."""


@calls_peers
def build_server(settings: Settings, peers: Peers | None) -> SuiteServer[Orchestration]:
    """The orchestration server. Its steps use the tools of peers; without peers they have none."""
    orchestration = Orchestration(settings, peers)
    server: SuiteServer[Orchestration] = SuiteServer(
        "pygent-orchestration",
        instructions=INSTRUCTIONS,
        lifespan=orchestration.lifespan,
        extensions=[Tasks(WorkflowTasks(orchestration), TOOLS, Seal(settings.data_dir / NAME))],
    )
    add_definitions(server, orchestration)
    add_workflows(server, orchestration)
    add_schedules(server, orchestration, settings)
    add_features(server, orchestration)
    add_messages(server, orchestration)
    add_resources(server, orchestration)
    return server

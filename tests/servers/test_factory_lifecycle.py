"""An agent's life: only legal moves, each one recorded, and no version ever changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import apsw
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pygent_factory import types
from pygent_factory.lifecycle import LEGAL, Move
from pygent_factory.spec import Spec, agent_name, checked, draft
from pygent_factory.store import MIGRATIONS, AgentStore
from pygent_shared.database import Database
from pygent_shared.errors import IllegalMove, InvalidArgument, UnknownName

NOW = "2026-01-01T00:00:00Z"
SPEC = Spec(type="general", instructions="Help.")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "factory.db", MIGRATIONS)
    yield opened
    opened.close()


@pytest.fixture
def agents(database: Database) -> AgentStore:
    return AgentStore(database)


def test_every_illegal_move_is_refused_with_what_to_do_and_changes_nothing(agents: AgentStore) -> None:
    paths: dict[str, list[Move]] = {
        "configured": [],
        "deployed": ["deploy"],
        "paused": ["deploy", "pause"],
        "retired": ["retire"],
    }
    for state, path in paths.items():
        agents.create(state, SPEC, NOW)
        for move in path:
            agents.move(state, move, NOW)
        before = agents.get(state), agents.events(state)
        assert before[0].state == state
        for move in ("deploy", "pause", "retire"):
            if move not in LEGAL[before[0].state]:
                with pytest.raises(
                    IllegalMove, match=rf'Agent "{state}" is {state}, and cannot be .*\. .+\.'
                ):
                    agents.move(state, move, NOW)
        assert (agents.get(state), agents.events(state)) == before


@hypothesis_settings(max_examples=25)
class Agents(RuleBasedStateMachine):
    """Random legal and illegal moves on the real store."""

    def __init__(self) -> None:
        super().__init__()
        self.database = Database(Path(mkdtemp()) / "factory.db", MIGRATIONS)
        self.agents = AgentStore(self.database)
        self.specs: list[Spec] = []
        self.done = 1

    @initialize(instructions=st.sampled_from(["", "Help."]))
    def create(self, instructions: str) -> None:
        self.specs = [draft({"type": "general", "instructions": instructions})]
        made = self.agents.create("a", self.specs[0], NOW)
        assert made.state == ("configured" if instructions else "draft")

    @rule(move=st.sampled_from(["deploy", "pause", "retire"]))
    def move(self, move: Move) -> None:
        state = self.agents.get("a").state
        if move in LEGAL[state]:
            assert self.agents.move("a", move, NOW).state == LEGAL[state][move]
            self.done += 1
        else:
            with pytest.raises(IllegalMove):
                self.agents.move("a", move, NOW)

    @rule(instructions=st.sampled_from(["", "Help.", "Help well.", "Be short."]))
    def configure(self, instructions: str) -> None:
        state = self.agents.get("a").state
        if state == "retired":
            with pytest.raises(IllegalMove):
                self.agents.configure("a", {"instructions": instructions}, NOW)
            return
        if not instructions and state != "draft":
            with pytest.raises(InvalidArgument, match="instructions: is not usable: it is empty"):
                self.agents.configure("a", {"instructions": instructions}, NOW)
            return
        after = self.agents.configure("a", {"instructions": instructions}, NOW).state
        assert after == (LEGAL[state]["configure"] if instructions else "draft")
        if self.specs[-1].instructions != instructions:
            self.specs.append(self.specs[-1].changed({"instructions": instructions}))
            self.done += 1

    @invariant()
    def every_version_is_as_it_was_made(self) -> None:
        versions = range(1, len(self.specs) + 1)
        assert [self.agents.version("a", number) for number in versions] == self.specs
        assert self.agents.get("a").version == len(self.specs)

    @invariant()
    def every_change_and_nothing_else_is_recorded(self) -> None:
        events = self.agents.events("a")
        assert len(events) == self.done
        assert [event.before for event in events[1:]] == [event.after for event in events[:-1]]

    def teardown(self) -> None:
        self.database.close()


TestAgents = Agents.TestCase


def test_a_draft_is_edited_until_it_has_instructions_and_takes_no_runs_before(agents: AgentStore) -> None:
    agents.create("a", draft({"type": "custom"}), NOW)
    with pytest.raises(IllegalMove, match=r"is draft, and cannot be deployed then\. Configure it first"):
        agents.move("a", "deploy", NOW)
    assert agents.configure("a", {"description": "Helps."}, NOW).state == "draft"
    assert agents.configure("a", {"instructions": "Help."}, NOW).state == "configured"
    with pytest.raises(InvalidArgument, match="instructions: is not usable"):
        agents.configure("a", {"instructions": " "}, NOW)
    assert [(event.move, event.after) for event in agents.events("a")] == [
        ("create", "draft"),
        ("edit", "draft"),
        ("configure", "configured"),
    ]


def test_a_version_cannot_be_changed_even_past_the_store(agents: AgentStore, database: Database) -> None:
    agents.create("a", SPEC, NOW)
    with pytest.raises(apsw.ConstraintError, match="never changed"):
        database.read().execute("UPDATE version SET spec = '{}'")


def test_a_name_is_taken_for_good(agents: AgentStore) -> None:
    agents.create("a", SPEC, NOW)
    agents.move("a", "retire", NOW)
    with pytest.raises(InvalidArgument, match='"a" is taken'):
        agents.create("a", SPEC, NOW)


def test_unknown_agents_and_versions_are_named_with_the_nearest(agents: AgentStore) -> None:
    agents.create("notes", SPEC, NOW)
    with pytest.raises(UnknownName, match='Did you mean "notes"'):
        agents.get("note")
    with pytest.raises(UnknownName, match='no version "notes/2"'):
        agents.version("notes", 2)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"strategy": "guess"}, "strategy: is not usable"),
        ({"budget": {"requests": 0}}, r"budget\.requests: is not usable"),
        ({"colour": "red"}, "The fields are: type, description"),
        ({"strateg": "react"}, 'Did you mean "strategy"'),
        ({"budget": {"tokns": 5}}, r'budget\.tokns: .* Did you mean "tokens"'),
        ({"model": "gpt-4"}, "'gpt-4' names no model"),
        ({"instructions": ""}, "instructions: is not usable"),
    ],
)
def test_a_spec_that_cannot_be_used_says_which_field_and_why(changes: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        SPEC.changed(changes)


@pytest.mark.parametrize("name", ["", "Notes", "1a", "a b", "a" * 64])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="is not a name"):
        agent_name(name)


def test_the_kinds_that_ship_are_whole() -> None:
    for name, spec in types.types().items():
        assert spec.type == name
        assert len(spec.instructions) > 200
        assert spec.description.endswith(".")
        assert spec.capabilities
        assert checked(spec.model_dump()) == spec
    with pytest.raises(UnknownName, match='Did you mean "research"'):
        types.of("resaerch")

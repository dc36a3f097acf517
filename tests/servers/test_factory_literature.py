"""Papers, as four public sources list them: asked politely, read without trust, and each shown once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pygent_factory.literature.access import Access
from pygent_factory.literature.library import Desk, Found
from pygent_factory.literature.offer import DEFINITIONS
from pygent_factory.literature.paper import Paper, arxiv_id, doi, merged
from pygent_factory.literature.polite import Pace
from pygent_shared.errors import PygentError
from pygent_shared.settings import Settings

from .literature_wires import ALEX, ATOM, HOSTS, REFUSED, REGISTERED, Wires, answers, singles
from .literature_wires import SCHOLAR as SCHOLAR_PAPER
from .test_factory_runs import Notes, call, factory, script

CROSSREF = "api.crossref.org"
SCHOLAR = "api.semanticscholar.org"


class Clock:
    """Waits for nothing, and remembers what it was to wait for."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)


async def searched(wires: Wires, access: Access | None = None, clock: Clock | None = None) -> Found:
    desk = Desk(access or Access(), lambda: wires, (clock or Clock()).sleep)
    async with desk.library() as library:
        return await library.search("small harbour tides", 5)


async def read(wires: Wires, id: str) -> Found:
    async with Desk(Access(), lambda: wires, Clock().sleep).library() as library:
        return await library.paper(id)


@pytest.mark.anyio
async def test_one_paper_in_four_lists_is_one_paper_with_what_each_knows_of_it() -> None:
    found = await searched(Wires(answers()))
    first, second = found.papers
    assert first == Paper(
        title="Tides of Small Harbours & How to Measure Them",
        authors=("Ada Quay", "Ben Pier"),
        year=2024,
        venue="J. Harb. 7 (2024) 42",
        abstract="We measure the tide with a stick.",
        url="https://arxiv.org/abs/2401.00042",
        arxiv="2401.00042",
        doi="10.5555/harbour.42",
        other="s2:649def34f8be52c8b66281af98ae884c09aef38b",
        cited_by=19,
        sources=("arXiv", "Semantic Scholar", "OpenAlex", "Crossref"),
    )
    assert (first.id, second.id) == ("arxiv:2401.00042", "openalex:W77")
    assert found.silent == {}


@pytest.mark.anyio
@pytest.mark.parametrize("host", HOSTS)
async def test_each_source_alone_gives_the_paper(host: str) -> None:
    silent = {other: httpx2.Response(403) for other in HOSTS}
    found = await searched(Wires({**silent, host: answers()[host]}))
    paper = found.papers[0]
    assert (paper.title, paper.year) == ("Tides of Small Harbours & How to Measure Them", 2024)
    assert paper.doi == "10.5555/harbour.42"
    assert len(found.silent) == 3


@pytest.mark.anyio
@pytest.mark.parametrize("id", ["arxiv:2401.00042", "2401.00042v1", "https://arxiv.org/pdf/2401.00042.pdf"])
async def test_a_paper_is_had_by_its_arxiv_number(id: str) -> None:
    wires = Wires(singles())
    (paper,) = (await read(wires, id)).papers
    assert paper.id == "arxiv:2401.00042"
    assert wires.to("export.arxiv.org")[0].url.params["id_list"] == "2401.00042"
    assert wires.to(CROSSREF) == []


@pytest.mark.anyio
@pytest.mark.parametrize("id", ["doi:10.5555/Harbour.42", "https://doi.org/10.5555/harbour.42"])
async def test_a_paper_is_had_by_its_doi(id: str) -> None:
    wires = Wires(singles())
    (paper,) = (await read(wires, id)).papers
    assert paper.doi == "10.5555/harbour.42"
    assert wires.to(CROSSREF)[0].url.raw_path == b"/works/10.5555%2Fharbour.42"
    assert wires.to("export.arxiv.org") == []


@pytest.mark.anyio
async def test_a_paper_that_nobody_has_is_none() -> None:
    nobody = {host: httpx2.Response(404) for host in HOSTS}
    empty = httpx2.Response(200, text=ATOM.format(entries=""))
    assert await read(Wires({**nobody, "export.arxiv.org": empty}), "2401.00042") == Found(
        papers=[], silent={}
    )


@pytest.mark.anyio
async def test_a_busy_source_is_asked_again_after_the_pause_it_wants() -> None:
    busy = [httpx2.Response(429, headers={"retry-after": "4"}), httpx2.Response(503)]
    wires, clock = Wires(answers(), busy), Clock()
    assert (await searched(wires, clock=clock)).silent == {}
    assert [len(wires.to(host)) for host in HOSTS] == [3] * 4
    assert clock.waited.count(4.0) == 4
    assert clock.waited.count(3.0) == 4


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "why", "asked"),
    [
        (httpx2.Response(429), "answered 429 Too Many Requests", 3),
        (httpx2.Response(503, headers={"retry-after": "600"}), "answered 503 Service Unavailable", 1),
        (httpx2.Response(403), "answered 403 Forbidden", 1),
        (httpx2.Response(0), "cannot be reached (no route to host)", 3),
        (httpx2.Response(200, text="<html>Sign in</html>"), "answered with something that is no JSON", 1),
        (httpx2.Response(200, text="[]"), "answered with JSON of another shape than its documents say", 1),
        (httpx2.Response(200, text='{"data": [7]}'), "answered with JSON of another shape", 1),
    ],
    ids=["busy", "busy for long", "refused", "away", "no JSON", "another shape", "other items"],
)
async def test_a_source_that_fails_is_named_and_the_others_answer(
    answer: httpx2.Response, why: str, asked: int
) -> None:
    wires = Wires({**answers(), SCHOLAR: answer})
    found = await searched(wires)
    assert found.papers[0].sources == ("arXiv", "OpenAlex", "Crossref")
    assert list(found.silent) == ["Semantic Scholar"]
    assert found.silent["Semantic Scholar"].startswith(why)
    assert len(wires.to(SCHOLAR)) == asked


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (ATOM.format(entries=REFUSED), "refused the query (incorrect id format for x)"),
        ("<feed", "answered with something that is no Atom feed"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "answered with XML that declares entities"),
    ],
)
async def test_a_feed_that_is_none_is_said(body: str, why: str) -> None:
    found = await searched(Wires({**answers(), "export.arxiv.org": httpx2.Response(200, text=body)}))
    assert found.silent["arXiv"].startswith(why)


@pytest.mark.anyio
async def test_when_all_are_out_of_reach_the_error_says_why() -> None:
    with pytest.raises(PygentError, match="The literature is out of reach: Crossref cannot be reached"):
        await searched(Wires({host: httpx2.Response(0) for host in HOSTS}))


@pytest.mark.anyio
async def test_sources_are_told_who_asks_and_keys_go_only_where_they_belong() -> None:
    wires = Wires(answers())
    await searched(wires, Access(mail="me@example.org", semantic_scholar_key="s3", openalex_key="o3"))
    assert {request.headers["user-agent"].partition("/")[0] for request in wires.asked} == {"pygent-factory"}
    assert all("(mailto:me@example.org)" in request.headers["user-agent"] for request in wires.asked)
    keyed = {request.url.host for request in wires.asked if "s3" in str(request.headers)}
    assert keyed == {SCHOLAR}
    assert {request.url.host for request in wires.asked if "o3" in str(request.url)} == {"api.openalex.org"}


@pytest.mark.anyio
async def test_no_key_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        await searched(Wires(answers()), Access(semantic_scholar_key="s3key", openalex_key="o3key"))
    assert "api.openalex.org" in caplog.text
    assert "o3key" not in caplog.text
    assert "s3key" not in caplog.text


@pytest.mark.anyio
async def test_a_key_does_not_follow_where_a_source_leads() -> None:
    away = httpx2.Response(302, headers={"location": "https://elsewhere.example/"})
    found = await searched(
        Wires({**answers(), SCHOLAR: away, "api.openalex.org": away}),
        Access(semantic_scholar_key="s3", openalex_key="o3"),
    )
    assert {*found.silent.values()} == {"answered 302 Found"}


@pytest.mark.anyio
async def test_without_settings_no_address_and_no_key_is_sent() -> None:
    wires = Wires(answers())
    await searched(wires)
    assert not any("mailto" in f"{request.url} {request.headers}" for request in wires.asked)
    assert not any("x-api-key" in request.headers for request in wires.asked)


def test_a_pace_spreads_requests_however_many_come_at_once() -> None:
    pace = Pace(3.0)
    waits = [pace.wait() for _ in range(3)]
    assert [round(wait) for wait in waits] == [0, 3, 6]


@pytest.mark.parametrize(
    ("text", "number", "name"),
    [
        ("arXiv:2305.10601v2", "2305.10601", ""),
        ("hep-th/9901001", "hep-th/9901001", ""),
        ("10.48550/arXiv.2305.10601", "2305.10601", ""),
        ("doi:10.1000/ABC", "", "10.1000/abc"),
        ("nonsense", "", ""),
    ],
)
def test_an_id_is_known_in_every_spelling(text: str, number: str, name: str) -> None:
    assert (arxiv_id(text), doi(text)) == (number, name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted({*SCHOLAR_PAPER, *ALEX, *REGISTERED})


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1))
@example({"author": True})
def test_a_field_of_another_shape_is_an_empty_one_or_a_refusal_and_nothing_else(junk: dict[str, Any]) -> None:
    said = answers()
    said[SCHOLAR] = httpx2.Response(200, text=json.dumps({"data": [{**SCHOLAR_PAPER, **junk}]}))
    said["api.openalex.org"] = httpx2.Response(200, text=json.dumps({"results": [{**ALEX, **junk}]}))
    crossref = {"message": {"items": [{**REGISTERED, **junk}]}}
    said[CROSSREF] = httpx2.Response(200, text=json.dumps(crossref))
    found = anyio.run(searched, Wires(said))
    assert all(isinstance(paper.year, int | None) and isinstance(paper.title, str) for paper in found.papers)


def test_short_titles_alone_do_not_make_two_papers_one() -> None:
    papers = [Paper(title="Introduction", doi=f"10.1000/{n}", sources=("x",)) for n in range(2)]
    assert merged([papers]) == papers


PAPERS = st.builds(
    Paper,
    title=st.sampled_from(["", "On the tides of small harbours", "On the tides of large harbours", "Short"]),
    arxiv=st.sampled_from(["", "2401.00001", "2401.00002"]),
    doi=st.sampled_from(["", "10.1000/a", "10.1000/b"]),
    sources=st.sampled_from([("a",), ("b",)]),
)


@given(st.lists(st.lists(PAPERS, max_size=5), max_size=4))
def test_what_is_merged_shares_no_name_and_loses_none(lists: list[list[Paper]]) -> None:
    papers = merged(lists)
    keys = [paper.keys() for paper in papers]
    assert all(not (one & other) for place, one in enumerate(keys) for other in keys[:place])
    numbers = {paper.arxiv for papers in lists for paper in papers}
    assert {paper.arxiv for paper in papers} <= numbers


@pytest.mark.anyio
async def test_an_agent_searches_papers_and_cites_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wires = Wires(answers())
    monkeypatch.setattr("pygent_factory.literature.library.Outbound", lambda: wires)
    search: dict[str, Any] = {"name": "literature__search", "arguments": {"query": "harbour tides"}}
    replies = [{"tool_calls": [search]}, "With a stick [arxiv:2401.00042]."]
    async with factory(settings, Notes()) as client:
        model = script(tmp_path, replies)
        await call(
            client, "create_agent", name="a", model=model, tools=["literature__*"], more={"cites": True}
        )
        await call(client, "deploy_agent", name="a")
        run = await call(client, "run_agent", name="a", task="How are tides measured?")
    assert (run["state"], run["answer"], run["unsupported"]) == ("done", replies[1], [])
    assert len(wires.asked) == 4


@pytest.mark.anyio
async def test_an_agent_that_does_not_name_the_tools_is_not_offered_them(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await call(client, "create_agent", name="a", tools=["notes__*"])
        await call(client, "deploy_agent", name="a")
        run = await call(client, "run_agent", name="a", task="How are tides measured?")
    assert "literature" not in run["system"]


def test_the_tools_say_that_the_query_leaves_the_machine() -> None:
    assert "is sent to them" in DEFINITIONS[0]["description"]

"""Who is given a task."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pygent_orchestration.assignment import Candidate, able, assigned

CAPABILITIES = st.frozensets(st.sampled_from(["code", "test", "review", "write"]))
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        name=st.text("abc", min_size=1, max_size=3),
        capabilities=CAPABILITIES,
        load=st.integers(0, 4),
        limit=st.none() | st.integers(0, 4),
    ),
    unique_by=lambda each: each.name,
    max_size=8,
)


def one(name: str, can: str, load: int = 0, limit: int | None = None) -> Candidate:
    return Candidate(name=name, capabilities=frozenset(can.split()), load=load, limit=limit)


def test_it_is_given_to_who_can_do_it_and_has_least_in_hand() -> None:
    some = [one("a", "code", 2), one("b", "code", 1), one("c", "write", 0)]
    assert assigned(["code"], some) == some[1]


def test_of_two_with_as_much_in_hand_who_can_do_less_besides_is_given_it() -> None:
    some = [one("a", "code test write"), one("b", "code test"), one("c", "code test")]
    assert assigned(["code"], some) == some[1]


def test_who_has_his_fill_is_given_nothing_and_it_waits_while_all_have() -> None:
    some = [one("a", "code", 1, 1), one("b", "code", 3, 4)]
    assert assigned(["code"], some) == some[1]
    assert assigned(["code"], some[:1]) is None
    assert able(["code"], some[:1]) == some[:1]


def test_nobody_is_asked_for_what_he_cannot_do() -> None:
    assert able(["code", "review"], [one("a", "code"), one("b", "review")]) == []


@given(wanted=CAPABILITIES, candidates=CANDIDATES)
def test_whoever_is_given_it_can_do_it_has_room_and_nobody_such_has_less(
    wanted: frozenset[str], candidates: list[Candidate]
) -> None:
    free = [
        each
        for each in candidates
        if wanted <= each.capabilities and (each.limit is None or each.load < each.limit)
    ]
    chosen = assigned(wanted, candidates)
    assert (chosen is None) == (not free)
    if chosen is not None:
        assert chosen in free
        assert chosen.load == min(each.load for each in free)


@given(candidates=CANDIDATES.filter(bool), count=st.integers(1, 20))
def test_tasks_that_anybody_can_do_are_shared_out_evenly(candidates: list[Candidate], count: int) -> None:
    loads = {each.name: 0 for each in candidates}
    for _ in range(count):
        now = [one(each.name, " ".join(each.capabilities), loads[each.name]) for each in candidates]
        chosen = assigned([], now)
        assert chosen is not None
        loads[chosen.name] += 1
    assert max(loads.values()) - min(loads.values()) <= 1

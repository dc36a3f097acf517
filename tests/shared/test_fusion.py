from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_shared.fusion import min_max_sum, sigma_sum

Leg = Mapping[str, float]
Fusion = Callable[[Sequence[Leg], Sequence[float]], dict[str, float]]

# Scores of a few digits: what these properties say is about ranking, not about the last bit of a float.
SCORES = st.integers(-1000, 1000).map(lambda score: score / 8)
LEG = st.dictionaries(st.sampled_from("abcdefgh"), SCORES)
LEGS = st.lists(LEG, min_size=1, max_size=3)

both = pytest.mark.parametrize("fuse", [min_max_sum, sigma_sum])


def even(legs: Sequence[Leg]) -> list[float]:
    return [1.0] * len(legs)


@both
@given(legs=LEGS)
def test_every_item_of_any_leg_comes_out_once_and_the_best_first(fuse: Fusion, legs: list[Leg]) -> None:
    fused = fuse(legs, even(legs))

    assert set(fused) == {item for leg in legs for item in leg}
    assert list(fused.values()) == sorted(fused.values(), reverse=True)
    assert all(score >= 0 for score in fused.values())


@both
@given(leg=LEG)
def test_one_leg_alone_keeps_its_order(fuse: Fusion, leg: Leg) -> None:
    assert list(fuse([leg], [1.0])) == sorted(leg, key=lambda item: -leg[item])


@both
@given(legs=LEGS, factor=st.sampled_from([0.25, 2.0, 64.0]), shift=st.integers(-50, 50))
def test_the_unit_and_the_zero_of_a_legs_scores_do_not_matter(
    fuse: Fusion, legs: list[Leg], factor: float, shift: int
) -> None:
    moved = [{item: score * factor + shift for item, score in legs[0].items()}, *legs[1:]]

    assert fuse(moved, even(legs)) == pytest.approx(fuse(legs, even(legs)))


@both
@given(legs=LEGS, weight=st.sampled_from([0.5, 2.0]))
def test_a_leg_of_weight_zero_ranks_nothing(fuse: Fusion, legs: list[Leg], weight: float) -> None:
    extra = {"x": 1.0, "y": 2.0}
    fused = fuse([*legs, extra], [*[weight] * len(legs), 0.0])

    assert {item: score for item, score in fused.items() if item not in extra} == pytest.approx(
        fuse(legs, [weight] * len(legs))
    )
    assert fused["x"] == fused["y"] == 0


@given(legs=LEGS)
def test_min_max_scores_stay_within_the_sum_of_the_weights(legs: list[Leg]) -> None:
    assert all(0 <= score <= len(legs) for score in min_max_sum(legs, even(legs)).values())


@both
def test_an_item_a_leg_did_not_return_counts_as_its_lowest(fuse: Fusion) -> None:
    fused = fuse([{"a": 9.0, "b": 5.0, "low": 1.0}, {"low": 3.0, "other": 3.0}], [1.0, 1.0])

    assert fused["low"] == fused["other"]


@both
def test_a_leg_whose_scores_are_all_equal_still_says_that_it_found_them(fuse: Fusion) -> None:
    assert fuse([{"a": 4.0, "b": 4.0}, {"c": 2.0}], [1.0, 0.5]) == {"a": 1.0, "b": 1.0, "c": 0.5}


@both
def test_ties_keep_the_order_of_the_legs(fuse: Fusion) -> None:
    assert list(fuse([{"z": 1.0, "a": 1.0}, {"m": 1.0}], [1.0, 1.0])) == ["z", "a", "m"]


@both
def test_margins_count_not_only_places(fuse: Fusion) -> None:
    clear, close = {"a": 100.0, "b": 1.0, "c": 0.0}, {"b": 3.0, "a": 2.9, "c": 0.0}

    assert next(iter(fuse([clear, close], [1.0, 1.0]))) == "a"


@both
def test_there_must_be_a_weight_for_every_leg(fuse: Fusion) -> None:
    with pytest.raises(ValueError, match="zip"):
        fuse([{"a": 1.0}], [])

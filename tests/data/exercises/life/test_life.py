import pytest
from life import after


def test_an_empty_board() -> None:
    assert after([], 3) == []


def test_no_generation_changes_nothing() -> None:
    assert after(["#..", "...", "..#"], 0) == ["#..", "...", "..#"]


def test_a_lonely_cell_dies() -> None:
    assert after(["....", ".#..", "....", "...."], 1) == ["...."] * 4


def test_a_block_stays() -> None:
    block = [".....", ".##..", ".##..", ".....", "....."]
    assert after(block, 5) == block


def test_a_blinker_turns() -> None:
    assert after([".....", ".....", ".###.", ".....", "....."], 1) == [
        ".....",
        "..#..",
        "..#..",
        "..#..",
        ".....",
    ]


def test_a_blinker_comes_back_after_two() -> None:
    rows = [".....", ".....", ".###.", ".....", "....."]
    assert after(rows, 2) == rows


def test_too_many_neighbours_kill() -> None:
    assert after([".....", "..#..", ".###.", "..#..", "....."], 1) == [
        ".....",
        ".###.",
        ".#.#.",
        ".###.",
        ".....",
    ]


def test_the_edges_meet() -> None:
    rows = ["#....", "#....", ".....", ".....", "#...."]
    assert after(rows, 1) == ["##..#", ".....", ".....", ".....", "....."]


def test_a_glider_comes_round() -> None:
    rows = [".#...", "..#..", "###..", ".....", "....."]
    assert after(rows, 4) == [".....", "..#..", "...#.", ".###.", "....."]
    assert after(rows, 20) == rows


def test_what_is_no_board_is_refused() -> None:
    for rows in (["###", "##"], ["#x#", "...", "..."]):
        with pytest.raises(ValueError):
            after(rows, 1)


def test_generations_before_the_first_are_refused() -> None:
    with pytest.raises(ValueError):
        after(["...", "...", "..."], -1)

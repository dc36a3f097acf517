import pytest
from ledger import balances


def test_no_lines_no_accounts() -> None:
    assert balances([]) == {}


def test_a_transfer_moves_its_amount() -> None:
    assert balances(["anna -> till: 12.50"]) == {"anna": -1250, "till": 1250}


def test_a_whole_number_is_in_full_units() -> None:
    assert balances(["a -> b: 3"]) == {"a": -300, "b": 300}


def test_single_cents_count() -> None:
    assert balances(["a -> b: 0.01"]) == {"a": -1, "b": 1}


def test_transfers_add_up() -> None:
    assert balances(["a -> b: 3", "b -> c: 1.05", "a -> c: 2"]) == {"a": -500, "b": 195, "c": 305}


def test_names_are_in_alphabetical_order() -> None:
    assert list(balances(["m -> z: 1", "b -> m: 1"])) == ["b", "m", "z"]


def test_an_account_that_comes_out_even_is_there() -> None:
    assert balances(["a -> b: 1", "b -> a: 1"]) == {"a": 0, "b": 0}


def test_blanks_comments_and_empty_lines_do_not_matter() -> None:
    assert balances(["", "  # all of it", " a->b :7 # lunch"]) == {"a": -700, "b": 700}


def test_names_may_have_a_hyphen_within() -> None:
    assert balances(["petty-cash -> b: 1"]) == {"b": 100, "petty-cash": -100}


def test_what_is_no_transfer_is_refused() -> None:
    for line in (
        "a to b: 1",
        "a -> b",
        "a -> b: 1.5",
        "a -> b: -1",
        "A -> b: 1",
        "-a -> b: 1",
        "a -> b: 1 2",
    ):
        with pytest.raises(ValueError, match="line 1"):
            balances([line])


def test_a_transfer_to_oneself_is_refused() -> None:
    with pytest.raises(ValueError, match="line 1"):
        balances(["a -> a: 1"])


def test_a_transfer_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="line 1"):
        balances(["a -> b: 0.00"])


def test_the_line_that_is_wrong_is_named() -> None:
    with pytest.raises(ValueError, match="line 3"):
        balances(["a -> b: 1", "", "wrong"])

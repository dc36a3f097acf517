import pytest
from factors import divisors, factors


def test_one_is_made_of_nothing() -> None:
    assert factors(1) == []
    assert divisors(1) == [1]


def test_a_prime_is_made_of_itself() -> None:
    for prime in (2, 3, 13, 97):
        assert factors(prime) == [[prime, 1]]
        assert divisors(prime) == [1, prime]


def test_different_primes() -> None:
    assert factors(30) == [[2, 1], [3, 1], [5, 1]]


def test_a_prime_that_occurs_often() -> None:
    assert factors(64) == [[2, 6]]
    assert factors(720) == [[2, 4], [3, 2], [5, 1]]


def test_squares_of_primes() -> None:
    assert factors(4) == [[2, 2]]
    assert factors(49) == [[7, 2]]


def test_divisors_are_ascending_and_whole() -> None:
    assert divisors(36) == [1, 2, 3, 4, 6, 9, 12, 18, 36]


def test_large_numbers() -> None:
    assert factors(999999000001) == [[999999000001, 1]]
    assert factors(10**12) == [[2, 12], [5, 12]]
    assert len(divisors(10**12)) == 169


def test_two_large_primes() -> None:
    assert factors(999983 * 999979) == [[999979, 1], [999983, 1]]


def test_numbers_below_one_are_refused() -> None:
    for number in (0, -12):
        with pytest.raises(ValueError):
            factors(number)
        with pytest.raises(ValueError):
            divisors(number)

"""Letters, moved along the alphabet by a key."""

from itertools import cycle

SMALL = "abcdefghijklmnopqrstuvwxyz"


def hide(text: str, key: str) -> str:
    """The text with its letters moved.

    Raises:
        ValueError: that is no key.
    """
    return _moved(text, [SMALL.index(letter) for letter in _checked(key)])


def show(text: str, key: str) -> str:
    """The text that was hidden.

    Raises:
        ValueError: that is no key.
    """
    return _moved(text, [-SMALL.index(letter) for letter in _checked(key)])


def _checked(key: str) -> str:
    if not key or not set(key) <= set(SMALL):
        raise ValueError("a key is letters from a to z")
    return key


def _moved(text: str, places: list[int]) -> str:
    steps = cycle(places)
    moved = ""
    for character in text:
        if character.lower() in SMALL and character.isascii():
            letter = SMALL[(SMALL.index(character.lower()) + next(steps)) % 26]
            moved += letter.upper() if character.isupper() else letter
        else:
            moved += character
    return moved

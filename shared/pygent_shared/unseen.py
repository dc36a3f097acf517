"""Text a person cannot see but a model reads: found, counted, taken out. Pure.

Control characters, terminal escape sequences, bidirectional marks, zero-width characters and tags. What they
are needed for stays: line ends and tabs, the joiners inside an emoji, and those between letters of scripts
that are written with them (Arabic, Persian, the scripts of India).
"""

from __future__ import annotations

import re
from typing import Any

# Unicode's format characters (category Cf) but those that are printed, such as the Arabic number sign;
# controls; and what is invisible though it counts as a letter or mark: fillers, and variation selectors that
# no printed character needs, which are long enough a list to write bytes in. A test derives it again.
INVISIBLE = (
    "\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b-\\u200f"
    "\\u202a-\\u202e\\u2060-\\u2064\\u2066-\\u206f\\u3164\\ufe00-\\ufe0d\\ufeff\\uffa0\\ufff9-\\ufffb"
    "\\U00013430-\\U0001343f\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0001\\U000e0020-\\U000e007f"
    "\\U000e0100-\\U000e01ef"
)
KEPT_CONTROLS = "\t\n\r"
_ESCAPES = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-~]"
_EMOJI = "[\\U0001f000-\\U0001faff\\u2190-\\u2bff\\u3030\\u303d]\ufe0f?"
_JOINED_LETTER = "[\\u0600-\\u06ff\\u0750-\\u077f\\u0900-\\u0dff\\ufb50-\\ufdff\\ufe70-\\ufefc]"
_KEPT = f"(?P<kept>{_EMOJI}(?:\u200d{_EMOJI})+|(?<={_JOINED_LETTER})[\u200c\u200d](?={_JOINED_LETTER}))"
_GONE = re.compile(f"{_KEPT}|{_ESCAPES}|[\ufe0e\ufe0f]{{2,}}|[{INVISIBLE}]")
_SUSPECT = re.compile(f"[{INVISIBLE}\ufe0e\ufe0f]")
_ASCII_CONTROLS = bytes({*range(32), 127} - {ord(kept) for kept in KEPT_CONTROLS})


def stripped(text: str) -> tuple[str, int]:
    """The text without what nobody sees, and how many characters were taken out.

    Taking out may bring new sequences together, so it goes on until nothing is left to take.
    """
    if not _is_suspect(text):
        return text, 0
    whole = len(text)
    while (shorter := _GONE.sub(lambda found: found["kept"] or "", text)) != text:
        text = shorter
    return text, whole - len(text)


def stripped_all(value: Any, *, but: frozenset[str] = frozenset()) -> tuple[Any, int]:
    """A JSON value with every text in it stripped, except under the keys `but`; keys stay as they are.

    What has nothing to strip is returned as it is, not copied.
    """
    if not _holds_unseen(value, but):
        return value, 0
    match value:
        case str():
            return stripped(value)
        case dict():
            pairs = {
                key: (item, 0) if key in but else stripped_all(item, but=but) for key, item in value.items()
            }
            count = sum(number for _, number in pairs.values())
            return ({key: item for key, (item, _) in pairs.items()} if count else value), count
        case list():
            items = [stripped_all(item, but=but) for item in value]
            count = sum(number for _, number in items)
            return ([item for item, _ in items] if count else value), count
        case _:
            return value, 0


def spelled_out(text: str) -> str:
    """The text with what nobody sees written as an escape, fit for a terminal."""
    return _SUSPECT.sub(lambda found: found[0].encode("ascii", "backslashreplace").decode(), _printable(text))


def _printable(text: str) -> str:
    return "".join(letter if letter >= " " and letter != "\x7f" else repr(letter)[1:-1] for letter in text)


def _holds_unseen(value: Any, but: frozenset[str]) -> bool:
    """Whether there is anything to strip: asked of every result, so it builds nothing."""
    if isinstance(value, str):
        return _is_suspect(value)
    if isinstance(value, dict):
        return any(_holds_unseen(item, but) for key, item in value.items() if key not in but)
    return isinstance(value, list) and any(_holds_unseen(item, but) for item in value)


def _is_suspect(text: str) -> bool:
    if not text.isascii():
        return _SUSPECT.search(text) is not None
    if text.isprintable():
        return False
    raw = text.encode("ascii")
    return len(raw.translate(None, _ASCII_CONTROLS)) != len(raw)

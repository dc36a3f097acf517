"""Secrets of an entry that others can come to see: what `doctor` and the log say of them. Pure.

The one rule: the sentence names the place, never the value.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from pygent_registry.entry import Entry
from pygent_registry.redaction import is_secret, is_token, may_be_secret
from pygent_registry.references import has_reference

IN_ENV = 'Give it to the server in "env", if it takes it from there.'
ELSEWHERE = "Keep it elsewhere: ${VARIABLE}, ${file:PATH} or ${keyring:SERVICE/NAME} in its place."


def in_arguments(entry: Entry) -> Iterator[str]:
    """Secrets that are filled into the command line."""
    for reference in entry.references:
        if reference.where in ("args", "command") and is_secret(reference):
            yield (
                f'the secret {reference.name} is filled into its "{reference.where}", '
                "which every user of this machine can read (ps)"
            )


def in_the_file(entry: Entry) -> Iterator[str]:
    """Secrets that stand in the config file itself."""
    for key in ("env", "headers"):
        for name, value in (entry.written.get(key) or {}).items():
            if not has_reference(str(value)) and (may_be_secret(name, str(value)) or is_token(str(value))):
                yield f"{key}.{name}"
    if entry.auth is not None and not has_reference(str(entry.written["auth"]["client_secret"])):
        yield "auth.client_secret"
    for key in ("url", "card"):
        url = str(entry.written.get(key) or "")
        if not has_reference(url) and (is_token(url) or any(may_be_secret(*pair) for pair in _query(url))):
            yield key
    yield from _in_words([str(word) for word in entry.written.get("args") or ()])


def _query(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query)


def _in_words(words: list[str]) -> Iterator[str]:
    """`--token=VALUE`, `--token VALUE`, or a token anywhere."""
    before = ""
    for word in words:
        name, equals, value = word.partition("=")
        flag, given = (name, value) if equals else (before, word)
        named = flag.startswith("-") and not given.startswith("-") and may_be_secret(flag, given)
        if not has_reference(word) and (is_token(word) or named):
            yield f"args ({flag})" if flag.startswith("-") else "args"
        before = word

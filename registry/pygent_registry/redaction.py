"""Secrets, and what of a text or a JSON value is left without them.

Two kinds are known: the values that the config gives to servers, wherever they stand, and tokens whose
shape tells what they are. The one rule: a quick look decides whether there is anything to do, as there
hardly ever is, and that look is at plain substrings.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pygent_registry.entry import Entry
from pygent_registry.references import Reference
from pygent_shared.shapes import SHAPES

HIDDEN = "[secret]"
SHORTEST = 8
"""Characters of a value that is told apart from ordinary words by its being a secret."""
SHORTEST_KEPT = 4
"""The same of a value that was kept in a file or a keyring, and so surely is one."""

_MARKERS = tuple(marker for shape in SHAPES for marker in shape.markers)
_NAMED_SO = re.compile(r"token|secret|passw|pwd|key|credential|auth|cookie|session|dsn", re.IGNORECASE)
_LOOKS_SO = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_.~+=-]{20,}")


def secrets_of(entry: Entry) -> frozenset[str]:
    """The secrets in an entry: what came from a file or the keyring; of variables, `env` and `headers` what
    is named or looks like one; its URL's and its client's.
    """
    return frozenset(
        {secret for secret in _secrets(entry) if len(secret) >= SHORTEST}
        | {reference.value for reference in entry.references if _was_kept(reference)}
    )


def is_secret(reference: Reference) -> bool:
    """Whether what a reference stands for is a secret."""
    return reference.source != "variable" or may_be_secret(reference.name, reference.value)


def may_be_secret(name: str, value: str) -> bool:
    """Whether a value is a secret by its name or by its looks."""
    return len(value) >= SHORTEST and bool(_NAMED_SO.search(name) or _LOOKS_SO.fullmatch(value))


def is_token(text: str) -> bool:
    """Whether some part of a text has the shape of a known kind of token."""
    return any(shape.pattern.search(text) for shape in SHAPES)


def _was_kept(reference: Reference) -> bool:
    """Whether a value stood where secrets are kept: then it is one though it is short."""
    return reference.source != "variable" and len(reference.value) >= SHORTEST_KEPT


def _secrets(entry: Entry) -> Iterator[str]:
    url = urlsplit(entry.url)
    followed = [(reference.name, reference.value) for reference in entry.references]
    given = [*entry.env.items(), *entry.headers.items(), *parse_qsl(url.query), *followed]
    for name, value in given:
        if _NAMED_SO.search(name) or _LOOKS_SO.fullmatch(value):
            yield value
            yield value.partition(" ")[2]  # "Bearer x" and "Basic x" are known without the scheme too
        if "://" in value and (password := urlsplit(value).password):
            yield unquote(password)
    if url.password:
        yield unquote(url.password)
    if entry.auth is not None:
        yield entry.auth.client_secret


class Redactor:
    """Takes these secrets, and tokens of known shapes, out of texts and JSON values."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # Also as they stand within a JSON text.
        forms = {form for secret in secrets for form in (_escaped(secret), secret)}
        # The longest first: one may be the beginning of another.
        self._secrets = sorted(forms, key=len, reverse=True)
        self._signs = (*forms, *_MARKERS)

    def text(self, text: str) -> str:
        """The text with every secret replaced by `[secret]`."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        for shape in SHAPES:
            text, _ = shape.hide(text, HIDDEN)
        return text

    def value(self, value: Any) -> Any:
        """The JSON value with every secret in its texts replaced; the same object where there is none."""
        as_json = json.dumps(value, ensure_ascii=False)
        return self._walked(value) if any(sign in as_json for sign in self._signs) else value

    def _walked(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case dict():
                binary = _binary_key(value)
                return {key: item if key == binary else self._walked(item) for key, item in value.items()}
            case list():
                return [self._walked(item) for item in value]
            case _:
                return value


class _Hiding(logging.Formatter):
    """Another formatter's lines without secrets, tracebacks included."""

    def __init__(self, inner: logging.Formatter, redactor: Callable[[], Redactor]) -> None:
        super().__init__()
        self._inner, self._redactor = inner, redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor().text(self._inner.format(record))


@contextmanager
def hidden_in_logs(redactor: Callable[[], Redactor]) -> Iterator[None]:
    """Keep secrets out of what this process logs meanwhile, the libraries it uses included."""
    before = [(handler, handler.formatter) for handler in logging.getLogger().handlers]
    for handler, formatter in before:
        handler.setFormatter(_Hiding(formatter or logging.Formatter(), redactor))
    try:
        yield
    finally:
        for handler, formatter in before:
            handler.setFormatter(formatter)


def _binary_key(content: dict[str, Any]) -> str | None:
    """The key of MCP's binary content: base64, which holds no secret in the clear and breaks when touched."""
    if content.get("type") in ("image", "audio"):
        return "data"
    return "blob" if "uri" in content else None


def _escaped(secret: str) -> str:
    return json.dumps(secret, ensure_ascii=False)[1:-1]

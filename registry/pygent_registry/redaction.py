"""Secrets, and what of a text or a JSON value is left without them.

Pure. Two kinds are known: the values that the config gives to servers, wherever they stand, and tokens whose
shape tells what they are. The one rule: a quick look decides whether there is anything to do, as there
hardly ever is, and that look is at plain substrings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pygent_registry.config import Entry

HIDDEN = "[secret]"
SHORTEST = 8
"""Characters of a value that is told apart from ordinary words by its being a secret."""

# A substring that every token of the shape holds -> the shape. What is kept is the group "keep".
SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    (("sk-",), re.compile(r"\bsk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}")),  # OpenAI, Anthropic and the like
    (("sk_", "rk_"), re.compile(r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}")),  # Stripe
    (("gh",), re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}")),  # GitHub
    (("github_pat_",), re.compile(r"\bgithub_pat_[A-Za-z0-9_]{22,}")),
    (("glpat-",), re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}")),  # GitLab
    (("AKIA", "ASIA"), re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),  # AWS
    (("xox",), re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),  # Slack
    (("AIza",), re.compile(r"\bAIza[A-Za-z0-9_-]{35}")),  # Google
    (("npm_",), re.compile(r"\bnpm_[A-Za-z0-9]{36}\b")),
    (("pypi-",), re.compile(r"\bpypi-[A-Za-z0-9_-]{50,}")),
    (("hf_",), re.compile(r"\bhf_[A-Za-z0-9]{30,}")),  # Hugging Face
    (("eyJ",), re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+")),  # JWT, RFC 7519
    (
        ("PRIVATE KEY",),
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
    ),
    (("://",), re.compile(r"(?P<keep>[a-z][a-z0-9+.-]{0,30}://[^\s/:@]{0,100}:)[^\s/@]{3,200}(?=@)")),
    (("earer ",), re.compile(r"(?P<keep>\b[Bb]earer )[A-Za-z0-9._~+/-]{16,}=*")),  # RFC 6750
)
_MARKERS = tuple(marker for markers, _ in SHAPES for marker in markers)
_NAMED_SO = re.compile(r"token|secret|passw|pwd|key|credential|auth|cookie|session|dsn", re.IGNORECASE)
_LOOKS_SO = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_.~+=-]{20,}")
# Keys of MCP's binary content: base64, which holds no secret in the clear and breaks when it is touched.
_BINARY = ("data", "blob")


def secrets_of(entry: Entry) -> frozenset[str]:
    """The secrets in an entry: of `env` and `headers` what is named or looks like one, its URL's
    and its client's.
    """
    return frozenset(secret for secret in _secrets(entry) if len(secret) >= SHORTEST)


def _secrets(entry: Entry) -> Iterator[str]:
    url = urlsplit(entry.url)
    given = [*entry.env.items(), *entry.headers.items(), *parse_qsl(url.query)]
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
        # The longest first: one may be the beginning of another.
        self._secrets = sorted(secrets, key=len, reverse=True)
        # As they stand within a JSON text.
        escaped = {form for secret in self._secrets for form in (_escaped(secret), secret)}
        self._signs = (*escaped, *_MARKERS)

    def text(self, text: str) -> str:
        """The text with every secret replaced by `[secret]`."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        for markers, shape in SHAPES:
            if any(marker in text for marker in markers):
                text = shape.sub(_hide, text)
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
                return {key: item if key in _BINARY else self._walked(item) for key, item in value.items()}
            case list():
                return [self._walked(item) for item in value]
            case _:
                return value


def _escaped(secret: str) -> str:
    return json.dumps(secret, ensure_ascii=False)[1:-1]


def _hide(match: re.Match[str]) -> str:
    return match.groupdict().get("keep", "") + HIDDEN

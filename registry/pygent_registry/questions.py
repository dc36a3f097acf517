"""What a server may ask a host, and how the question is shown to the user. Pure: questions as on the wire.

A host sees one server, us, so what it allows us it would allow every server behind us. Therefore a server
that is not trusted uses the host's model (sampling) only where its entry says so; a form or an address says
which server asks; and no form may ask for a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import mcp.types as t

from pygent_registry.entry import Entry
from pygent_registry.trust.text import plain
from pygent_shared.errors import NotAllowed
from pygent_shared.unseen import stripped_all

Kind = Literal["sampling", "elicitation", "roots"]
KINDS: tuple[Kind, ...] = get_args(Kind)
OF_METHOD: dict[str, Kind] = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
ASKED_BY = "pygent/server"
"""The `_meta` key that names the server a question is from: of the question, and in the 2026 era, which gives
questions none, of the result that holds it.
"""

Asked = dict[str, Any]
"""`{"method": …, "params": …}`"""

_SECRET = re.compile(
    r"\b(pass ?(words?|phrases?|codes?|wd)|pwd|secrets?|api ?keys?|(access|auth|bearer|refresh|session|"
    r"api|github|personal) tokens?|private keys?|credentials?|one time (code|password)|"
    r"(2fa|mfa|totp|security|verification|pin) code|cvv|cvc|card number|(seed|recovery) (phrase|code)s?|"
    r"ssn|social security)\b"
)
_SECRET_NAME = re.compile(r"\b(token|pin|otp|totp|pat)$")
_FORMATS = ("email", "date", "date-time")
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f-\xa0\\]")


def check(entry: Entry, asked: Asked) -> None:
    """
    Raises:
        NotAllowed: the server may not ask this.
    """
    kind = OF_METHOD[asked["method"]]
    if kind not in entry.may_ask:
        allowed = ", ".join(f'"{one}"' for one in KINDS if one in entry.may_ask or one == kind)
        raise NotAllowed(
            f'Server "{entry.name}"',
            f"asked for {kind}, which it may not",
            f'If it may: "ask": [{allowed}] in its entry of the config file.',
        )
    params = asked.get("params") or {}
    if kind == "elicitation" and params.get("mode") == "url":
        _check_url(entry, str(params.get("url", "")))
    elif kind == "elicitation" and (name := _secret_in(params)):
        raise NotAllowed(
            f'Server "{entry.name}"',
            f'asked for "{name}" by a form, which looks like a secret',
            'Secrets are not typed into forms: give it to the server by "env" in its entry.',
        )


def lacking(declared: t.ClientCapabilities | None, asked: Asked) -> dict[str, Any] | None:
    """The capabilities that a question needs and a host has not declared; None where it has."""
    params = asked.get("params") or {}
    match OF_METHOD[asked["method"]]:
        case "roots":
            return None if declared and declared.roots else {"roots": {}}
        case "sampling":
            sampling = declared.sampling if declared else None
            if params.get("tools") or params.get("toolChoice"):
                return None if sampling and sampling.tools else {"sampling": {"tools": {}}}
            return None if sampling else {"sampling": {}}
        case "elicitation":
            elicitation = declared.elicitation if declared else None
            if params.get("mode") == "url":
                return None if elicitation and elicitation.url else {"elicitation": {"url": {}}}
            # Before 2025-11-25 there were only forms, and nothing to declare about them.
            has_forms = elicitation and (elicitation.form or not elicitation.url)
            return None if has_forms else {"elicitation": {"form": {}}}


def labelled(server: str, asked: Asked) -> Asked:
    """The question with the server's name on it, and without what nobody sees."""
    params = {**stripped_all(asked.get("params") or {})[0]}
    if asked["method"] == "elicitation/create":
        asks = f"asks you to open {_host(params['url'])}" if params.get("mode") == "url" else "asks"
        params["message"] = f'Server "{server}" {asks}: {params.get("message", "")}'
    if asked["method"] != "roots/list":
        params["_meta"] = {**(params.get("_meta") or {}), ASKED_BY: server}
    return {**asked, "params": params} if params else asked


def _check_url(entry: Entry, url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool((parts.hostname or "").encode("idna"))
    except ValueError:
        usable = False
    # Browsers read a backslash as a slash, and so another host than we would show.
    if not usable or _NOT_IN_URLS.search(url):
        raise NotAllowed(
            f'Server "{entry.name}"',
            "asked for an address to be opened that is none of the web",
            "Only http:// and https:// addresses are shown to the user.",
        )


def _host(url: str) -> str:
    """The host of an address that was checked, with letters that may look like others spelled out."""
    host = urlsplit(url).hostname or ""
    return host if host.isascii() else f"{host} ({host.encode('idna').decode()})"


def _secret_in(params: Mapping[str, Any]) -> str | None:
    """The name of a field that would hold a secret."""
    schema = params.get("requestedSchema") or {}
    for name, field in _free_texts(schema):
        words = _words(name)
        texts = [words, *(_words(str(field.get(key, ""))) for key in ("title", "description"))]
        if field.get("format") == "password" or field.get("writeOnly") is True:
            return name
        if _SECRET_NAME.search(words) or any(_SECRET.search(text) for text in texts):
            return name
        if _SECRET.search(_words(str(params.get("message", "")))):
            return name
    return None


def _free_texts(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The fields that a user may type anything into."""
    for name, field in (schema.get("properties") or {}).items():
        if not isinstance(field, Mapping) or field.keys() & {"enum", "oneOf", "anyOf", "const"}:
            continue
        if field.get("type") in ("string", "number", "integer") and field.get("format") not in _FORMATS:
            yield name, field


def _words(text: str) -> str:
    """A name or text as words in lower case: `apiKey`, `api_key` and `API key` alike."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", plain(text))
    return re.sub(r"[\W_]+", " ", spaced).strip().lower()

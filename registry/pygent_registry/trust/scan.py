"""Words in a definition that give the model orders instead of describing a tool. Pure.

A table of rules, each a pattern over the text as it reads (stripped, in compatibility form, lookalike
letters as Latin ones). Deterministic and offline: it finds what is written as known attacks are, and no
more. How much that is, and how often it is wrong, is measured by `tests/benchmarks/poisoning.py`. Whoever
reads this table can write around it: it raises the price of an attack; pins are what stops a later change.

The one rule: to speak *of* an attack is no attack. A tool that detects injections, or a text that is given as
an example, is reported as a mention (`notice`), never hidden.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from pygent_registry.catalogue import Definition
from pygent_registry.trust.text import plain
from pygent_shared.unseen import stripped

Severity = Literal["severe", "notice"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One suspicious place."""

    rule: str
    severity: Severity
    place: str
    """Where in the definition, such as `inputSchema.properties.path.description`."""
    words: str
    """The words that were found, cut short."""


_WORDS = r"(?:[\w'’-]+\s+)"
_SECRETS = (
    r"(?:~/\.\w+|\.ssh\b|id_(?:rsa|ed25519)|ssh keys?|\.env\b|\.aws\b|/etc/(?:passwd|shadow)|mcp\.json|"
    r"private keys?|api[ _-]?keys?|credentials|passwords|access tokens|environment variables|"
    r"clipboard contents|conversation history|every message)"
)
_GIVE_AWAY = (
    r"(?:exfiltrat\w*|sends?|uploads?|posts?|forwards?|transmits?|leaks?|appends?|embed\w*|pass(?:es)?)"
)
_OUTSIDE = (
    r"(?:(?:an?|the|our|some)\s+)?(?:external|remote|third[- ]party|attacker\S*|unknown)\s+\w*\s*"
    r"(?:host|server|endpoint|url|collector|address|site|domain|party)?"
)
_OVERRIDABLE = (
    r"(?:instructions?|directions?|directives?|rules|guidelines|constraints?|guardrails?|safety|polic(?:y|ies)|"
    r"system prompt|prompts?|actual request)"
)

# name -> pattern, over one line of text in lower case. Where the rule looks for an order, "mention" says that
# the same words quoted or spoken of are harmless.
_ORDERS: dict[str, str] = {
    "override": (
        rf"\b(?:ignor|disregard|forget|overrid|bypass)\w*\s+(?:{_WORDS}){{0,4}}?{_OVERRIDABLE}\b"
        r"|\b(?:ignore|disregard|forget)\s+(?:all\s+|everything\s+)?(?:of\s+)?(?:the\s+)?(?:above|previous|prior)\b"
    ),
    "reveal": (
        r"\b(?:reveal|output|print|show|repeat|disclose|leak|return)\s+"
        rf"(?:{_WORDS}){{0,4}}?(?:system (?:prompt|instructions?)|hidden (?:prompt|instructions?)|"
        r"conversation history)"
    ),
    "exfiltrate": r"\bexfiltrat\w+",
    "secrets-out": (
        rf"\b{_GIVE_AWAY}\b.{{0,80}}{_SECRETS}.{{0,60}}\b(?:to|into|in|inside)\s+"
        rf"(?:{_OUTSIDE}|https?:|(?:the|an?)\s+\S+\s+(?:field|argument|parameter)|the\s+\w+\s+output)"
        rf"|{_SECRETS}.{{0,80}}\b(?:(?:send|pass|forward|upload|post)\b.{{0,40}}\b(?:in|to|as|into)\b"
        r".{0,40}(?:argument|parameter|field|attacker|https?:|external|remote)"
        r"|(?:in|into|as)\s+(?:the|an?)\s+\S+\s+(?:field|argument|parameter))"
        rf"|\b(?:first|instead|before)\b.{{0,60}}\b(?:read|return|call|open|cat)\b.{{0,60}}{_SECRETS}"
        r"|\b(?:read|cat|open|collect|gather)\s.{0,40}(?:id_rsa|id_ed25519|\.aws/cred|/etc/(?:passwd|shadow)|"
        r"environment variables (?:containing|such as)|mcp\.json)"
        r"|\b(?:include|embed|append|add|put)\s+(?:it|them|its contents?|the (?:contents?|results?))\s+"
        r"(?:in|to|into)\s+your\s+(?:next\s+)?(?:response|reply|answer|message)"
    ),
    "context-out": (
        r"\b(?:must|always|first|should)\s+(?:also\s+)?(?:call|invoke|run)\s+\S+\s+with\s+(?:the\s+)?"
        r"(?:user|full|complete|entire|all|whole)\b"
        r"|\b(?:include|send|pass|append|put)\s.{0,40}\b(?:full|complete|entire|whole)\s+"
        r"(?:conversation|chat|message)s?\s+(?:context|history)\b"
        r"|\bfor any request\b.{0,40}\bcall this\b|\balways call this\s+tool first\b"
    ),
    "copy-out": (
        r"\b(?:also|then|instead|silently|secretly|and)\b.{0,60}"
        rf"\b{_GIVE_AWAY}\b.{{0,80}}\bto\s+{_OUTSIDE}"
        rf"|\b(?:bcc|forward|reroute)\w*\b.{{0,60}}(?:attacker|evil|{_OUTSIDE})"
    ),
    "secrecy": (
        r"\b(?:do not|don't|never|without)\s+(?:mention|tell|inform|notify|reveal|alert|disclos|show)\w*\s+"
        rf"{_WORDS}{{0,5}}?(?:user|them|human|anyone|instructions?|steps?)\b"
        r"|\b(?:silently|secretly|covertly)\s+(?:\w+\s+)?"
        r"(?:append|send|add|forward|includ|read|copy|upload|post|call|invok|run|execut)\w*"
    ),
    "obey": (
        r"\b(?:obey|comply with|follow)\s+(?:\w+\s+){0,3}?(?:new\s+(?:instructions?|ones?)|request|requests|"
        r"(?:instructions?|commands?|directives?).{0,40}\b(?:embedded|contained|found|hidden|inside)\b)"
        r"|\btreat\b.{0,60}\b(?:instructions?|text|content)\b.{0,60}\bas\b.{0,40}\b(?:command|order|authori[sz]ed)"
        r"|\byou are now (?:in|an?)\b|\bdeveloper mode\b|\bwithout (?:applying )?safety\b"
        r"|\bexecute\b.{0,60}\b(?:with no|without)\s+(?:user\s+)?(?:confirmation|asking)\b"
    ),
    "shadowing": (
        r"\b(?:modif(?:y|ies)|changes?|alters?|overrides?)\s+(?:the\s+)?behaviou?r\s+of\s+(?:the\s+)?\S+\s+tool"
        r"|\b(?:when|whenever|before|each time)\b.{0,30}\b\w+_\w+\b.{0,20}"
        r"\b(?:is|gets)\s+(?:called|invoked|used)\b.{0,80}"
        r"\b(?:first|always|instead|must|bcc|reroute|also|change|redirect|replace)\b"
        r"|\breplace\s+(?:its|the)\s+(?:output|result)s?\b.{0,40}\b(?:by|from|of)\s+this\b"
        r"|\bsupersedes?\b.{0,60}\broute\b|\broute all\b.{0,40}\b(?:here|through this)\b"
    ),
    "rug-pull": (
        r"\b(?:once|after|when)\b.{0,50}\bapprov\w+\b.{0,80}"
        r"\b(?:execut|silent|secret|exfiltrat|upload|steal|swap|shell|forward)\w*"
        r"|\b(?:activat|start|begin)\w*\b.{0,60}\bonly after\b.{0,20}\bapproval hash"
        r"|\b(?:swap|replace|change)\s+it\b.{0,20}\b(?:post|after)[- ]approv\w+"
        r"|\bbenign\w*\s+(?:\w+\s+)?(?:during|until)\s+(?:the\s+)?(?:review|approv\w+)"
    ),
    "disguise": (
        r"<\s*/?\s*(?:important|secret|hidden|system|assistant|instructions?)\s*>"
        r"|\[\s*(?:system|assistant|hidden|secret)\b[^\]]{0,40}\b(?:instructions?|message|note|prompt)?\s*[:\]]"
        r"|#{2,}\s*(?:new\s+)?system\b|\{\{\s*system\b|<\|(?:im_start|system|endoftext)\|?>"
        r"|\bhidden (?:directive|instruction|command)s?\b"
        r"|\b(?:important |new )?system (?:note|instruction|message|override|prompt)s?\s*:"
        r"|\bnotes? (?:to|for) (?:the )?(?:assistant|ai|model|llm|agent)\s*:"
        r"|(?:^|[.!?]\s+)system\s*:\s"
    ),
}
_RULES = {name: re.compile(pattern) for name, pattern in _ORDERS.items()}
# Each match of a rule holds one of these words, so where none stands it is not tried: six times faster.
_STEMS = {
    "override": ("ignor", "disregard", "forget", "overrid", "bypass"),
    "reveal": ("system ", "hidden ", "conversation history"),
    "exfiltrate": ("exfiltrat",),
    "secrets-out": (
        *("~/", ".ssh", "id_", "ssh key", ".env", ".aws", "/etc/", "mcp.json", "private key", "api", "your"),
        *(
            "credential",
            "password",
            "token",
            "variables",
            "clipboard",
            "conversation history",
            "every message",
        ),
    ),
    "context-out": ("call", "invoke", "run ", "context", "history"),
    "copy-out": ("external", "remote", "third", "attacker", "unknown", "evil"),
    "secrecy": ("not ", "don't", "never", "without", "silently", "secretly", "covertly"),
    "obey": ("obey", "comply", "follow", "treat", "you are now", "developer mode", "safety", "execute"),
    "shadowing": ("behavio", "called", "invoked", "used", "replace", "supersede", "route"),
    "rug-pull": ("approv", "benign"),
    "disguise": ("<", "[", "##", "{{", "hidden", "note", "system"),
}

# Before the words, in the same sentence: this text speaks of them.
_SPOKEN_OF = re.compile(
    r"\b(?:detect|scan|check|analy[sz]|flag|block|filter|report|prevent|explain|describ|document|refer|list)\w*\b"
    r"|\b(?:such as|like|rather than|including)\b"
    r"|\b(?:sample|mock|expected|example|returned|training|canned)\s+(?:response|output|text|input|string|prompt)s?\s*:"
)
_QUOTED = re.compile(r"""(?:^|[\s(])(['"‘“`])$""")
# After the words: what is quoted is to be followed all the same.
_OBEYED = re.compile(r"\b(?:obey|follow|comply|execute|must)\b")

_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}|(?:[0-9a-fA-F]{2}){16,}")
_COMMAND = re.compile(
    r"\b(?:curl|wget)\b.{1,200}\|\s*\w*sh\b|\b(?:ba|z|da)?sh\s+-[ic]|/dev/tcp/|\bchmod\s+\+?[0-7x]"
    r"|\brm\s+-\w*r|\bpowershell\b|\bpython3?\s+-c\b|\bnc\s+-\w*e|\beval\b.{0,40}\("
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010fffd]")
LONGEST_WORDS = 120
LONGEST_TEXT = 20_000
"""Characters of one text that are read; a longer one is a finding in itself."""


def scan(definition: Definition) -> list[Finding]:
    """What is suspicious in any text of a definition: descriptions, titles, names, enums, defaults, keys."""
    return [finding for place, text in texts(definition) for finding in scan_text(text, place)]


def scan_text(text: str, place: str = "") -> Iterator[Finding]:
    """What is suspicious in one text."""
    return (replace(finding, place=place) for finding in _in_text(text))


@lru_cache(maxsize=2048)
def _in_text(text: str) -> tuple[Finding, ...]:
    """Remembered, because schemas repeat the same words and servers are listed again and again."""
    return tuple(_found_in(text))


def _found_in(text: str) -> Iterator[Finding]:
    if stripped(text)[1] or _PRIVATE.search(text):
        shown = text.encode("ascii", "backslashreplace").decode()
        yield _found("invisible", "severe", shown)
    if len(text) > LONGEST_TEXT:
        yield _found("long", "notice", f"{len(text):,} characters, of which the first are read")
    read = plain(text[:LONGEST_TEXT])
    for hidden in _decoded(read):
        yield _found("encoded-command", "severe", hidden)
    for sentence in _SENTENCE.split(read):
        lowered = " ".join(sentence.lower().split())
        for name, pattern in _RULES.items():
            if any(stem in lowered for stem in _STEMS[name]) and (match := pattern.search(lowered)):
                severity: Severity = "notice" if _is_mention(lowered, match) else "severe"
                yield _found(name, severity, lowered[match.start() :])


def scan_beside(definition: Definition, others: Mapping[str, str]) -> Iterator[Finding]:
    """What a tool says of other servers' tools, given their descriptions by name: orders to call one, or a
    description copied from one with the same name, which takes its calls.
    """
    description = str(definition.get("description") or "")
    own, lowered = str(definition.get("name") or ""), " ".join(plain(description).lower().split())
    if own in others and description != others[own] and _alike(description, others[own]) >= 0.8:
        yield _found("copied", "severe", description, "description")
    for match in re.finditer(r"\b(?:call|invoke|run|use)\s+(?:the\s+)?`?(\w+_\w+)`?", lowered):
        name = match[1]
        if name in others and name != own and not _is_mention(lowered, match):
            yield _found("orders-another", "severe", match[0], "description")


def severe(findings: Iterable[Finding]) -> list[Finding]:
    """Those that are an attack as far as can be told."""
    return [finding for finding in findings if finding.severity == "severe"]


def texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a JSON value with its place, keys included: a model reads them all."""
    match value:
        case str():
            yield place, value
        case dict():
            for key, item in value.items():
                inner = f"{place}.{key}" if place else str(key)
                yield inner, str(key)
                yield from texts(item, inner)
        case list() | tuple():
            for number, item in enumerate(value):
                yield from texts(item, f"{place}[{number}]")


def _is_mention(sentence: str, match: re.Match[str]) -> bool:
    before, after = sentence[: match.start()], sentence[match.end() :]
    if _OBEYED.search(after):
        return False
    return bool(_SPOKEN_OF.search(before) or _QUOTED.search(before))


def _decoded(text: str) -> Iterator[str]:
    """Shell commands in base64 or hexadecimal."""
    for match in _ENCODED.finditer(text):
        for decode in (_from_base64, bytes.fromhex):
            try:
                found = decode(match[0]).decode("utf-8")
            except (ValueError, binascii.Error):
                continue
            if _COMMAND.search(found):
                yield found


def _from_base64(word: str) -> bytes:
    whole = word.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(whole + "=" * (-len(whole) % 4), validate=True)


def _alike(one: str, other: str) -> float:
    """How many words two texts share, of all that either has."""
    first, second = (set(re.findall(r"\w{3,}", plain(text).lower())) for text in (one, other))
    return len(first & second) / len(first | second) if first | second else 0.0


def _found(rule: str, severity: Severity, words: str, place: str = "") -> Finding:
    short = words if len(words) <= LONGEST_WORDS else words[: LONGEST_WORDS - 1] + "…"
    return Finding(rule=rule, severity=severity, place=place, words=stripped(short)[0])

"""Secrets that are known by their shape: tokens, keys and passwords as services write them.

A quick look decides whether there is anything to do, as there hardly ever is: each shape holds one of a few
plain substrings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A kind of secret: its name, substrings one of which every such secret holds, and the pattern. What is
    kept of a match is the group "keep"."""

    name: str
    markers: tuple[str, ...]
    pattern: re.Pattern[str]

    def hide(self, text: str, hidden: str) -> tuple[str, int]:
        """The text with every such secret replaced, and how many there were."""
        if not any(marker in text for marker in self.markers):
            return text, 0
        return self.pattern.subn(lambda match: match.groupdict().get("keep", "") + hidden, text)


SHAPES = (
    # OpenAI, Anthropic and the like
    Shape("API key", ("sk-",), re.compile(r"\bsk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}")),
    Shape("Stripe key", ("sk_", "rk_"), re.compile(r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}")),
    Shape("GitHub token", ("gh",), re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}")),
    Shape("GitHub token", ("github_pat_",), re.compile(r"\bgithub_pat_[A-Za-z0-9_]{22,}")),
    Shape("GitLab token", ("glpat-",), re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}")),
    Shape("AWS key", ("AKIA", "ASIA"), re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    Shape("Slack token", ("xox",), re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    Shape("Google key", ("AIza",), re.compile(r"\bAIza[A-Za-z0-9_-]{35}")),
    Shape("npm token", ("npm_",), re.compile(r"\bnpm_[A-Za-z0-9]{36}\b")),
    Shape("PyPI token", ("pypi-",), re.compile(r"\bpypi-[A-Za-z0-9_-]{50,}")),
    Shape("Hugging Face token", ("hf_",), re.compile(r"\bhf_[A-Za-z0-9]{30,}")),
    # RFC 7519
    Shape("JWT", ("eyJ",), re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+")),
    Shape(
        "private key",
        ("PRIVATE KEY",),
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
    ),
    Shape(
        "password in a URL",
        ("://",),
        re.compile(r"(?P<keep>[a-z][a-z0-9+.-]{0,30}://[^\s/:@]{0,100}:)[^\s/@]{3,200}(?=@)"),
    ),
    # RFC 6750
    Shape("bearer token", ("earer ",), re.compile(r"(?P<keep>\b[Bb]earer )[A-Za-z0-9._~+/-]{16,}=*")),
)

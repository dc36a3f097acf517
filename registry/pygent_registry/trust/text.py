"""Names that are not what they look like, and what they look like. Pure."""

from __future__ import annotations

import unicodedata

from pygent_shared.unseen import KEPT_CONTROLS, stripped

# Letters of other scripts that look like Latin ones (from Unicode's confusables.txt, the closest only).
_LOOKALIKES = dict(
    zip(
        "АВЕЅІЈКМНОРСТХУаеорсухіѕјԁһԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧονιαᎪᏴᏟᎬᎻᎫᏦᏞᎷᏢᏚᎢᏙᏃօսհոցⅼ",
        "ABESIJKMHOPCTXYaeopcyxisjdhqwABEZHIKMNOPTYXoviaABCEHJKLMPSTVZouhngl",
        strict=True,
    )
)


def what_is_wrong(name: str) -> str | None:
    """Why a name is not what it looks like, as a clause; None where it is."""
    if stripped(name)[1] or any(mark in name for mark in KEPT_CONTROLS):
        return "has characters in it that nobody sees"
    letters = [letter for letter in name if letter.isalpha()]
    alike = [letter for letter in letters if letter in _LOOKALIKES]
    if alike and (len(alike) == len(letters) or any(letter.isascii() for letter in letters)):
        return f'looks like "{plain(name)}", but is spelled with letters of another script'
    folded = unicodedata.normalize("NFKC", name)
    if folded != name and folded.isascii():
        return f'looks like "{folded}", but is spelled with other characters'
    return None


def plain(text: str) -> str:
    """The text as it reads: stripped, in compatibility form, lookalike letters as Latin ones."""
    text = stripped(text)[0]
    if text.isascii():
        return text
    folded = unicodedata.normalize("NFKC", text)
    return "".join(_LOOKALIKES.get(letter, letter) for letter in folded)

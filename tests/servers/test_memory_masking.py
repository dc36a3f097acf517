"""What is masked before it is kept, and what only looks like it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pygent_memory.masking import Mask, Masked, iban, luhn
from pygent_shared.settings import Settings
from pygent_shared.testing import call, in_memory

KEY = "sk-proj-" + "a1B2c3D4" * 4
CARD = "4111 1111 1111 1111"
IBAN = "DE89 3704 0044 0532 0130 00"


@pytest.mark.parametrize(
    ("secret", "kind"),
    [
        (KEY, "API key"),
        ("ghp_" + "a" * 36, "GitHub token"),
        ("AKIA" + "A" * 16, "AWS key"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "private key"),
        (CARD, "card number"),
        ("5500-0000-0000-0004", "card number"),
        ("378282246310005", "card number"),
    ],
)
def test_secrets_are_masked_and_named(secret: str, kind: str) -> None:
    for what in ("secrets", "all"):
        text, kinds = Mask(what).masked(f"Use {secret} at noon.")  # type: ignore[arg-type]
        assert (text, kinds) == (f"Use [masked: {kind}] at noon.", (kind,))
    assert Mask("off").masked(f"Use {secret}.") == (f"Use {secret}.", ())


@pytest.mark.parametrize(
    ("personal", "kind"),
    [
        ("ann.o-brien+x@mail.example.org", "e-mail address"),
        ("jörg@münchen.example", "e-mail address"),
        ("+49 170 1234567", "phone number"),
        ("+1 (555) 010-9999", "phone number"),
        ("(555) 010-9999", "phone number"),
        ("030 12345678", "phone number"),
        (IBAN, "IBAN"),
        ("GB82WEST12345698765432", "IBAN"),
    ],
)
def test_personal_data_is_masked_only_where_all_is(personal: str, kind: str) -> None:
    said = f"Reach Ann: {personal}, today."
    assert Mask("all").masked(said) == (f"Reach Ann: [masked: {kind}], today.", (kind,))
    assert Mask("secrets").masked(said) == (said, ())


@pytest.mark.parametrize(
    "harmless",
    [
        "Release 3.11.7 came on 2025-03-01 at 14:30:00.",
        "Order 4111 1111 1111 1112 was shipped.",
        "The address is 192.168.100.200, the id m2k3j4h5g6f7.",
        "ISBN 978-3-16-148410-0, 12345678901234567890 pieces.",
        "ABCD1234 EFGH 5678 IJKL is a serial number.",
        "GB82 WEST 1234 5698 7654 33 is mistyped.",
        "Ask @ann about user@host and a@b.",
        "commit 5f3e1a2b4c5d6e7f8091a2b3c4d5e6f708192a3b",
        "π is 3.14159265358979323846, 1e-9 is small, 10-20 m, 1,234,567.89 EUR.",
        "sk-short and sk-learn-is-a-library-of-python",
    ],
)
def test_what_only_looks_like_it_stays(harmless: str) -> None:
    assert Mask("all").masked(harmless) == (harmless, ())


def test_several_of_a_kind_are_masked_and_named_once_and_what_stands_around_stays() -> None:
    text, kinds = Mask("all").masked(f"{IBAN} AND {IBAN}; a@b.example, c@d.example")
    assert text == ("[masked: IBAN] AND [masked: IBAN]; [masked: e-mail address], [masked: e-mail address]")
    assert kinds == ("IBAN", "e-mail address")


def test_check_digits_are_checked() -> None:
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")
    assert iban(IBAN + " AND") == IBAN
    assert iban("DE88 3704 0044 0532 0130 00") == ""


def test_a_long_text_without_any_is_looked_through_at_once() -> None:
    text = "a1 " * 20_000
    assert Mask("all").masked(text) == (text, ())


@pytest.mark.anyio
@pytest.mark.parametrize(("what", "there"), [("secrets", False), ("off", True)])
async def test_a_masked_secret_is_in_no_file_and_the_answer_names_it(
    tmp_path: Path, what: Masked, there: bool
) -> None:
    settings = Settings(data_dir=tmp_path / "data", embedder="none", memory_mask=what)
    export = tmp_path / "x.jsonl"
    before = json.dumps({"text": f"Was {KEY}"})
    event = {"at": "2025-01-01T00:00:00Z", "what": "changed", "before": before}
    rows = [
        {"format": "pygent-memory", "version": 1},
        {"row": "memory", "id": "mone", "text": f"Old {KEY}", "fingerprint": "00", "events": [event]},
    ]
    export.write_text("\n".join(map(json.dumps, rows)))
    async with in_memory("pygent_memory", settings) as client:
        data, text = await call(client, "memory_add", text=f"The key is {KEY}.")
        assert data["results"][0].get("masked") == (None if there else ["API key"])
        assert ("; masked: API key" in text) != there
    from pygent_memory.__main__ import main

    words = ["--data-dir", str(settings.data_dir)]
    config = tmp_path / "pygent.json"
    config.write_text(json.dumps({"settings": {"memory_mask": what}}))
    assert main(["import", str(export), *words, "--config", str(config)]) == 0
    content = b"".join(file.read_bytes() for file in settings.data_dir.rglob("*") if file.is_file())
    assert (KEY.encode() in content) == there
    assert b"The key is" in content
    assert b"Old" in content

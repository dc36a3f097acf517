"""Reranking by a real cross-encoder: the smallest there can be, made here, since no hub is at hand."""

from __future__ import annotations

import shutil
import string
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pygent_shared.reranking import CrossEncoderReranker, Reranking
from pygent_shared.settings import Settings
from pygent_shared.testing import call, in_memory

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        find_spec("sentence_transformers") is None, reason="needs pip install 'pygent-factory[embeddings]'"
    ),
]

NOTES = ["The tide rose.", "A tide took the jetty.", "No tide came.", "Tide and time.", "After it, the tide."]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer with random weights that tells pairs of texts apart by their letters."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    letters = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase), ".", ","]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(1)
    shape = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=128,
        num_labels=1,
        initializer_range=0.5,
    )
    BertForSequenceClassification(shape).eval().save_pretrained(folder)
    return folder


def computed(model: Path, question: str, texts: Sequence[str]) -> list[float]:
    """What the model gives each pair, one by one and without sentence-transformers."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = BertForSequenceClassification.from_pretrained(model).eval()
    with torch.no_grad():
        logits = [network(**tokenizer(question, text, return_tensors="pt")).logits.item() for text in texts]
    return [1 / (1 + torch.tensor(-logit).exp().item()) for logit in logits]


def test_its_scores_are_those_of_the_model(model: Path) -> None:
    found = CrossEncoderReranker(str(model)).scores("Where is the tide?", NOTES)
    assert found == pytest.approx(computed(model, "Where is the tide?", NOTES), abs=1e-5)
    assert len({round(score, 4) for score in found}) == len(NOTES)


async def test_a_search_gives_its_passages_in_the_order_of_the_scores(
    model: Path, settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number, text in enumerate(NOTES):
        (folder / f"{number}.md").write_text(text)

    async def order(settings: Settings) -> tuple[list[str], dict[str, Any], str]:
        async with in_memory("pygent_rag", settings) as client:
            await call(client, "ingest", path=str(folder))
            found, text = await call(client, "search", question="tide")
            return [passage["text"] for passage in found["passages"]], found, text

    plain, found, _ = await order(settings)
    assert found["reranked"] == ""
    reranked, found, text = await order(replace(settings, rerank_model=str(model)))
    seen = [f"{passage['title']} {passage['text']}" for passage in found["passages"]]
    scores = computed(model, "tide", seen)
    assert scores == sorted(scores, reverse=True)
    assert sorted(reranked) == sorted(plain)
    assert reranked != plain
    assert found["reranked"] == str(model)
    assert f"reranked by {model}" in text


def test_an_embedding_model_and_a_classifier_are_no_rerankers(model: Path, tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    shape = BertConfig.from_pretrained(model)
    headless, several = tmp_path / "headless", tmp_path / "several"
    for folder in (headless, several):
        shutil.copytree(model, folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    BertModel(shape).save_pretrained(headless)
    shape.num_labels = 3
    BertForSequenceClassification(shape).save_pretrained(several)
    for folder, why in ((headless, "it is a BertModel without a head"), (several, "it gives 3 scores")):
        order, said = Reranking(str(folder)).order("tide", NOTES)
        assert order == list(range(len(NOTES)))
        assert said.startswith(f"not reranked by {folder}: {why}")


async def test_a_folder_without_a_model_costs_the_new_order_only(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text(NOTES[0])
    async with in_memory("pygent_rag", replace(settings, rerank_model=str(tmp_path))) as client:
        await call(client, "ingest", path=str(tmp_path / "note.md"))
        found, text = await call(client, "search", question="tide")
        assert [passage["text"] for passage in found["passages"]] == NOTES[:1]
        assert found["not_reranked"].startswith(f"not reranked by {tmp_path}: ")
        assert f"not reranked by {tmp_path}" in text

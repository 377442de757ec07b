"""Never another's vectors: whatever results depend on is part of their keys."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st

from sklearn_bert import BertFeaturizer
from sklearn_bert.encoder.kept import Allowance, KeptStates, KeptVectors, Kind
from sklearn_bert.persistence import EncoderReference
from sklearn_bert.store import MemoryStore
from tests.models import HIDDEN, N_LAYERS

LONG = "very " * 60 + "good"
SINGLES = ["the film is good", "a good film", LONG, "", "Very GOOD", "bad very"]
PAIRS = [("the film", "is good"), ("the film is", "good"), ("", "BAD"), ("bad", ""), (LONG, LONG)]
POOLINGS = ["cls", "mean", "max", "last"]


@pytest.fixture(scope="module")
def models(saved_model, tmp_path_factory):
    """Folders of models that differ in one thing each."""
    first = saved_model("bert")
    folders = [first, saved_model("bert", 1), saved_model("bert-pad-last")]
    case, types = (
        shutil.copytree(first, tmp_path_factory.mktemp("m") / name) for name in ("case", "types")
    )
    tokenizer = json.loads((case / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (case / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = json.loads((types / "tokenizer_config.json").read_text())
    config["model_input_names"] = ["input_ids", "attention_mask"]
    (types / "tokenizer_config.json").write_text(json.dumps(config))
    return [*folders, case, types]


@pytest.fixture(scope="module")
def variants(models):
    """Parameters of featurizers, all of which give other vectors."""
    base = {"model": models[0], "precision": "float32", "max_length": None, "long_text": "truncate"}
    changes = [{}, *({"model": model} for model in models[1:])]
    changes += [{"max_length": length} for length in (8, 9)]
    changes += [{"precision": "float64"}, {"precision": "bfloat16"}, {"long_text": "chunk"}]
    changes += [{"max_length": 8, "long_text": "chunk"}]
    return [base | change for change in changes]


@pytest.mark.filterwarnings("ignore::sklearn_bert.errors.LongTextWarning")
@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_one_store_for_all(kind, variants, models, tmp_path):
    cache = "memory" if kind == "memory" else tmp_path
    # Token types tell something of pairs only.
    same = {models[0], models[-1]}
    runs = [
        (parameters | {"layers": layers, "pooling": pooling}, texts)
        for parameters in variants
        for texts in (SINGLES, PAIRS)
        if texts is SINGLES or parameters["long_text"] == "truncate"
        for pooling in (POOLINGS if parameters is variants[0] else ["mean"])
        for layers in (range(N_LAYERS + 1) if parameters is variants[0] else [-1])
    ]
    alone = [vectors_of(parameters, texts, None) for parameters, texts in runs]
    for first, one in enumerate(alone):
        for second, other in enumerate(alone[:first]):
            if runs[first][1] is not runs[second][1]:
                continue
            if runs[first][1] is PAIRS or {runs[n][0]["model"] for n in (first, second)} != same:
                # Or a mix-up would not be seen.
                assert not np.allclose(one, other, rtol=0, atol=1e-9), (runs[first], runs[second])
    for number in [*np.random.default_rng(0).permutation(len(runs)), *range(len(runs))]:
        found = vectors_of(*runs[number], cache)
        np.testing.assert_allclose(found, alone[number], atol=1e-5)


def vectors_of(parameters, texts, cache):
    return BertFeaturizer(**parameters, cache=cache).transform(texts)


def test_two_revisions_of_a_name(saved_model, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "hub" / "models--some-org--twice"
    (repository / "refs").mkdir(parents=True)
    for seed, name in enumerate(["main", "v1"]):
        shutil.copytree(saved_model("bert", seed), repository / "snapshots" / (str(seed) * 40))
        (repository / "refs" / name).write_text(str(seed) * 40)
    for revision, seed in [("main", 0), ("v1", 1), (None, 0), ("v1", 1), ("main", 0)]:
        of_name = {"model": "some-org/twice", "revision": revision, "precision": "float32"}
        of_folder = {"model": saved_model("bert", seed), "precision": "float32"}
        found = vectors_of(of_name, SINGLES[:2], "memory")
        np.testing.assert_array_equal(found, vectors_of(of_folder, SINGLES[:2], None))


def test_another_model_in_the_same_folder(saved_model, tmp_path):
    folder = tmp_path / "model"
    for seed in (0, 1, 0):
        # Of the same size and time, as archives give to all.
        shutil.copytree(saved_model("bert", seed), folder, dirs_exist_ok=True)
        for file in folder.iterdir():
            os.utime(file, (1, 1))
        found = vectors_of({"model": folder, "precision": "float32"}, SINGLES[:2], "memory")
        of_folder = {"model": saved_model("bert", seed), "precision": "float32"}
        np.testing.assert_array_equal(found, vectors_of(of_folder, SINGLES[:2], None))


@pytest.fixture(scope="module")
def encoders(variants):
    """The encoder of each variant."""
    found = []
    for variant in variants:
        reference = EncoderReference(
            variant["model"], None, variant["max_length"], "cpu", variant["precision"], None
        )
        found.append(replace(reference.encoder(), long_text=variant["long_text"]))
    return found


texts = st.text(max_size=3) | st.tuples(st.text(max_size=3), st.text(max_size=3))
kinds = st.builds(Kind, st.integers(0, 12), st.sampled_from([*POOLINGS, "pooler"]))
depths = st.integers(1, 12)
# Few of each, so that cases often differ in one of them alone.
cases = st.tuples(st.integers(0, 10), texts, kinds | depths)


@given(st.lists(cases, min_size=2, max_size=12, unique=True))
def test_what_is_kept_is_found_by_its_like_alone(encoders, asked):
    store = MemoryStore(10**6)
    for number, case in enumerate(asked):
        keep(store, encoders, case, number)
    assert [find(store, encoders, case) for case in asked] == list(range(len(asked)))
    # None was overwritten by another's.
    assert store.info().entries == len(asked)


def keep(store, encoders, case, number):
    """Keep a number as the vector, or as the state at a depth."""
    variant, text, what = case
    encoder = encoders[variant % len(encoders)]
    key, allowance = encoder.keys().of_text(text), Allowance(10**6)
    if isinstance(what, Kind):
        vectors = np.full((1, 1, HIDDEN), number, np.float32)
        kept = KeptVectors(store, HIDDEN)
        kept.write([key], [what], vectors, np.array([False]), allowance)
    else:
        states = torch.full((1, 2, HIDDEN), number, dtype=encoder.checkpoint.dtype)
        kept = KeptStates(store, HIDDEN, encoder.checkpoint.dtype)
        kept.write([key], what, states, np.array([2]), allowance)


def find(store, encoders, case):
    """Return the number, None where there is none."""
    variant, text, what = case
    encoder = encoders[variant % len(encoders)]
    key = encoder.keys().of_text(text)
    if isinstance(what, Kind):
        _, vectors, _ = KeptVectors(store, HIDDEN).read([key], [what])
        return None if len(vectors) == 0 else int(vectors[0, 0, 0])
    kept = KeptStates(store, HIDDEN, encoder.checkpoint.dtype)
    (states,) = kept.read([key], what)
    return None if states is None else int(kept.pad([states], 2)[0, 0, 0])

"""Each text once: what passes the encoder, counted by the package and by hooks of these tests."""

import contextlib
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline

import sklearn_bert
from sklearn_bert import BertFeaturizer
from sklearn_bert.encoder import passes, work
from sklearn_bert.encoder.checkpoint import load_checkpoint
from sklearn_bert.encoder.frozen import FrozenEncoder
from sklearn_bert.errors import LongTextWarning
from sklearn_bert.store.memory import MemoryStore
from tests.models import HIDDEN, N_LAYERS, TEXTS, layers_of

CPU = torch.device("cpu")
MANY = [f"{text} {number}" for number in range(12) for text in TEXTS]
EXACT = {"atol": 2e-5, "rtol": 1e-5}


@pytest.fixture
def model(saved_model):
    return saved_model("bert")


@contextlib.contextmanager
def observed(folder, before=lambda shape: None):
    """Count, from outside, the texts and layers that pass the model; `before` may interfere."""
    checkpoint = load_checkpoint(folder, None, CPU, "float32")
    seen = {"texts": 0, "layers": [], "shapes": []}
    start = work.counted()

    def on_model(module, args, kwargs):
        shape = tuple(kwargs["input_ids"].shape)
        before(shape)
        seen["texts"] += shape[0]
        seen["shapes"].append(shape)

    hooks = [
        checkpoint.lower.model.register_forward_pre_hook(on_model, with_kwargs=True),
        *(
            layer.register_forward_hook(lambda *_, number=number: seen["layers"].append(number))
            for number, layer in enumerate(layers_of(checkpoint.lower.model, "bert"))
        ),
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
    seen["work"] = work.counted() - start


def featurizer(model, **parameters):
    return BertFeaturizer(model, **({"precision": "float32", "device": "cpu"} | parameters))


def test_duplicates_pass_once(model):
    texts = [*TEXTS, *TEXTS[::-1], TEXTS[0]]
    with observed(model) as seen:
        vectors = featurizer(model, cache=None).transform(texts)
    assert seen["texts"] == seen["work"].texts == len(TEXTS)
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_array_equal(vector, vectors[texts.index(text)])


def test_a_second_transform_encodes_nothing(model):
    first = featurizer(model).transform(MANY)
    with observed(model) as seen:
        second = featurizer(model).transform(MANY)
        shuffled = featurizer(model).transform(MANY[::-1])
    assert seen["texts"] == seen["work"].batches == 0
    np.testing.assert_array_equal(second, first)
    np.testing.assert_array_equal(shuffled, first[::-1])


def test_one_pass_keeps_every_layer_and_pooling(model, reference):
    featurizer(model, layers=0).transform(TEXTS)
    with observed(model) as seen:
        for pooling in ["cls", "mean", "max"]:
            for layer in range(N_LAYERS + 1):
                vectors = featurizer(model, pooling=pooling, layers=layer).transform(TEXTS)
                np.testing.assert_allclose(
                    vectors, reference().vectors(TEXTS, pooling, layer), **EXACT
                )
    assert seen["texts"] == 0


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_grid_search_encodes_each_text_once(model, cache, tmp_path):
    texts = MANY + MANY[:30]
    labels = [len(text) % 2 for text in texts]
    bert = featurizer(model, cache=cache if cache == "memory" else tmp_path)
    pipeline = Pipeline([("bert", bert), ("clf", LogisticRegression(max_iter=1000))])
    grid = {
        "bert__pooling": ["cls", "mean", "max"],
        "bert__layers": range(N_LAYERS + 1),
        "clf__C": [0.1, 1.0],
    }
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    with observed(model) as seen:
        GridSearchCV(pipeline, dict(grid, bert__layers=list(grid["bert__layers"])), cv=folds).fit(
            texts, labels
        )
    assert seen["texts"] == seen["work"].texts == len(set(texts))
    assert seen["work"].models_loaded == 0


@pytest.mark.parametrize("layer", range(N_LAYERS + 1))
def test_without_a_store_layers_above_are_not_run(model, layer):
    with observed(model) as seen:
        featurizer(model, cache=None, layers=layer).transform(TEXTS)
    assert set(seen["layers"]) == set(range(layer))
    assert seen["work"].layer_tokens == seen["work"].padded_tokens * layer


def test_a_store_that_is_too_small(model):
    """It keeps the first part, which every later scan finds, and nothing comes out wrong."""
    expected = featurizer(model, cache=None).transform(MANY)
    per_text = HIDDEN * 4 + 300
    sklearn_bert.cache.set_limit(per_text * len(MANY) // 3)
    counts = []
    for _ in range(3):
        with observed(model) as seen:
            np.testing.assert_allclose(featurizer(model).transform(MANY), expected, **EXACT)
        counts.append(seen["texts"])
        info = sklearn_bert.cache.info()
        assert 0 < info.size <= info.limit
    assert counts[0] == len(MANY)
    assert counts[1] == counts[2] <= len(MANY) * 0.8


def test_a_store_that_keeps_nothing(model):
    expected = featurizer(model, cache=None).transform(TEXTS)
    sklearn_bert.cache.set_limit(0)
    np.testing.assert_allclose(featurizer(model).transform(TEXTS), expected, **EXACT)
    assert sklearn_bert.cache.info().entries == 0


@pytest.mark.parametrize("share", [1.02, 1.05, 1.09])
@pytest.mark.parametrize("for_tuning", [False, True])
def test_states_that_are_wanted_go_before_vectors_that_are_not(model, share, for_tuning):
    checkpoint = load_checkpoint(model, None, CPU, "float32")
    texts = [f"{number} {'film ' * 30}" for number in range(20)]
    roomy = FrozenEncoder(checkpoint, MemoryStore(10**9), 32, "truncate", 64)
    keys = roomy.keys().of_texts(texts)
    tokens = roomy.tokenizer().all_windows(texts).lengths
    states = int(roomy.kept_states().text_bytes(keys, tokens).sum())
    store = MemoryStore(int(share * states))
    encoder = FrozenEncoder(checkpoint, store, 32, "truncate", 64, for_tuning=for_tuning)
    encoder.keep_states(texts, 2)
    assert encoder.kept_states().has(keys, 2).all()


def test_threads_that_encode_the_same_texts_do_it_once(model):
    expected = featurizer(model, cache=None).transform(MANY)
    barrier = threading.Barrier(4)

    def encode(_):
        barrier.wait()
        return featurizer(model).transform(MANY)

    with observed(model) as seen, ThreadPoolExecutor(4) as pool:
        results = list(pool.map(encode, range(4)))
    assert seen["texts"] == len(MANY)
    for vectors in results:
        np.testing.assert_allclose(vectors, expected, **EXACT)


@pytest.mark.parametrize("budget", [1, 20, 64, 500])
def test_batches_keep_to_their_budget(model, budget):
    with observed(model) as seen:
        featurizer(model, cache=None, batch_tokens=budget).transform(MANY)
    assert seen["texts"] == len(MANY)
    for rows, length in seen["shapes"]:
        assert rows == 1 or rows * length <= budget
    assert seen["work"].padded_tokens == sum(rows * length for rows, length in seen["shapes"])
    assert seen["work"].tokens <= seen["work"].padded_tokens


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_without_memory_the_batch_shrinks_and_work_goes_on(model, error):
    expected = featurizer(model, cache=None).transform(MANY)
    limit, refused = 40, []

    def refuse(shape):
        if shape[0] * shape[1] > limit:
            refused.append(shape)
            raise error

    with observed(model, refuse) as seen:
        vectors = featurizer(model, cache=None, batch_tokens=320).transform(MANY)
    np.testing.assert_allclose(vectors, expected, **EXACT)
    assert refused
    assert len(refused) <= 3  # 320, 160, 80: halved each time, and never raised again
    assert seen["texts"] == len(MANY)


def test_without_memory_for_anything_the_error_is_raised(model):
    def refuse(shape):
        raise torch.OutOfMemoryError("nothing is left")

    with observed(model, refuse), pytest.raises(torch.OutOfMemoryError, match="nothing is left"):
        featurizer(model, cache=None).transform(TEXTS)


def test_other_errors_are_not_taken_for_lack_of_memory(model):
    calls = []

    def refuse(shape):
        calls.append(shape)
        raise RuntimeError("something else")

    with observed(model, refuse), pytest.raises(RuntimeError, match="something else"):
        featurizer(model, cache=None).transform(TEXTS)
    assert len(calls) == 1


def test_what_differs_in_settings_shares_nothing(saved_model):
    """One store, many settings: each gives what it gives without a store."""
    text = ["the story was very dull a good film " * 4]
    settings = [
        {
            "model": saved_model("bert", seed),
            "precision": precision,
            "max_length": length,
            "long_text": long_text,
        }
        for seed in (0, 1)
        for precision in ("float32", "bfloat16")
        for length in (16, 24)
        for long_text in ("truncate", "chunk")
    ]
    vectors = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LongTextWarning)
        for setting in settings:
            kept = BertFeaturizer(**setting).transform(text)
            np.testing.assert_allclose(
                kept, BertFeaturizer(**setting, cache=None).transform(text), **EXACT
            )
            vectors.append(kept)
    for i, one in enumerate(vectors):
        assert all(np.abs(one - other).max() > 1e-5 for other in vectors[:i])


@pytest.mark.parametrize(
    ("verbose", "delay", "shown"), [(1, 0, True), (0, 0, False), (1, 60, False)]
)
def test_the_bar_is_for_long_work_only(model, verbose, delay, shown, monkeypatch, capfd):
    monkeypatch.setattr(passes, "_SECONDS_BEFORE_BAR", delay)
    featurizer(model, verbose=verbose, cache=None, batch_tokens=1).transform(MANY)
    output = capfd.readouterr()
    assert ("Encoding" in output.err) == shown
    assert output.out == ""

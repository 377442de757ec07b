"""Other tools, as the benchmarks use them: they do the same work, or the comparison is void."""

import numpy as np
import pytest

from benchmarks import encode
from benchmarks.embedded import MAX_LENGTH
from benchmarks.rivals.encoders import ENCODERS, STEPS, padded_tutorial
from sklearn_bert import BertFeaturizer
from sklearn_bert.encoder import work

# The last one is longer than the limit.
TEXTS = ["a good film", "dull", "a story of some length, well told", "word " * (MAX_LENGTH + 9)]
LENGTHS = [5, 3, 10, MAX_LENGTH]
PADDED = {
    "transformers pipeline": sum(LENGTHS),
    "padded tutorial loop": MAX_LENGTH * len(TEXTS),
}
NEEDS = {"skrub TextEncoder": "skrub", "embetter SentenceEncoder": "embetter"}
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sklearn_bert.errors.LongTextWarning"),
]


@pytest.fixture(params=list(ENCODERS))
def tool(request):
    """Return the name of each tool that is installed."""
    pytest.importorskip(NEEDS.get(request.param, "sentence_transformers"))
    return request.param


@pytest.fixture(scope="module")
def ours():
    featurizer = BertFeaturizer(
        precision="float32", device="cpu", max_length=MAX_LENGTH, cache=None
    )
    return unit(featurizer.transform(TEXTS))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_all_give_the_vectors_that_ours_gives(tool, ours):
    vectors = ENCODERS[tool]().encode(TEXTS)

    np.testing.assert_allclose(unit(vectors), ours, atol=1e-5)


def test_all_read_as_many_tokens_as_ours(tool):
    featurizer = BertFeaturizer(device="cpu", max_length=MAX_LENGTH, cache=None)
    before = work.counted()
    featurizer.transform(TEXTS)
    tokens = (work.counted() - before).tokens
    encoder = ENCODERS[tool]()
    tokens_before, padded_before = encoder.tokens()
    encoder.encode(TEXTS)
    tokens_after, padded_after = encoder.tokens()

    assert tokens_after - tokens_before == tokens == sum(LENGTHS)
    assert padded_after - padded_before == PADDED.get(tool, MAX_LENGTH * len(TEXTS))


def test_all_work_as_a_step_in_a_search(tool, ours):
    pandas = pytest.importorskip("pandas")
    from sklearn.base import clone
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    pipeline = clone(Pipeline([("same", FunctionTransformer()), ("bert", STEPS[tool]())]))
    X = pandas.Series(TEXTS, name="text")

    for vectors in (pipeline.fit_transform(X), pipeline["bert"].transform(X)):
        np.testing.assert_allclose(unit(np.asarray(vectors)), ours, atol=1e-5)


def test_the_pipeline_returns_tensors(monkeypatch):
    from transformers import FeatureExtractionPipeline

    postprocess, returned = FeatureExtractionPipeline.postprocess, []

    def watched(*args, **settings):
        returned.append(postprocess(*args, **settings))
        return returned[-1]

    monkeypatch.setattr(FeatureExtractionPipeline, "postprocess", watched)
    ENCODERS["transformers pipeline"]().encode(TEXTS[:2])
    assert [tuple(states.shape[:2]) for states in returned] == [(1, 5), (1, 3)]


def test_vectors_are_there_as_a_whole_or_not_at_all(monkeypatch, tmp_path):
    file = tmp_path / "vectors.npy"

    def stopped(target, vectors):
        target.write(b"half of")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", stopped)
        with pytest.raises(KeyboardInterrupt):
            encode._save(str(file), np.ones((2, 3)))
    assert not file.exists()
    encode._save(str(file), np.ones((2, 3)))
    np.testing.assert_array_equal(np.load(file), np.ones((2, 3), dtype=np.float32))


def test_the_tutorial_can_take_the_first_token():
    cls = BertFeaturizer(
        pooling="cls", precision="float32", device="cpu", max_length=MAX_LENGTH, cache=None
    )

    vectors = padded_tutorial("cls").encode(TEXTS)
    np.testing.assert_allclose(vectors, cls.transform(TEXTS), atol=1e-4)
    with pytest.raises(ValueError, match="'max'"):
        padded_tutorial("max")

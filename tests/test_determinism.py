"""The same seed gives the same bits: in any process, with an empty store or a full one."""

import random

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier, BertFineTuneRegressor
from tests.models import TEXTS

FREEZES = ["all", -1, 1, "embeddings", "none"]
# A regressor trains as a classifier does: one depth with states that are kept, one without.
OF_REGRESSORS = [-1, "none"]
X = [f"{text} {number}" for number in range(3) for text in TEXTS]
UNSEEN = [f"{text}, {text}" for text in TEXTS[:6]]
Y = np.arange(len(X)) % 3

# Everything that could differ between two runs of a program differs: the hashes of strings, what
# the program drew before, and where the store is and what it has.
_SCRIPT = """
import random, sys
import numpy as np, torch
model, seed, target, *stores = sys.argv[1:]
for generator in (random.seed, np.random.seed, torch.manual_seed):
    generator(int(seed))
from sklearn_bert.encoder import work
from tests.test_determinism import results
for number, store in enumerate(stores):
    before = work.counted().texts
    found = results(model, None if store == "none" else store)
    np.savez(f"{target}-{number}", n_encoded=work.counted().texts - before, **found)
"""


def results(model, cache):
    """Return what all estimators give, by name."""
    found = {"features": BertFeaturizer(model, precision="float32", cache=cache).transform(X)}
    for freeze in FREEZES:
        settings = {
            "freeze": freeze,
            "max_epochs": 2,
            "batch_size": 8,
            "hidden_layer_sizes": (7,),
            "random_state": 3,
            "precision": "float32",
            "device": "cpu",
            "cache": cache,
        }
        classifier = BertFineTuneClassifier(model, early_stopping=True, **settings).fit(X, Y)
        found[f"classifier {freeze}"] = classifier.predict_proba(X + UNSEEN)
        if freeze in OF_REGRESSORS:
            regressor = BertFineTuneRegressor(model, **settings).fit(X, Y / 7)
            found[f"regressor {freeze}"] = regressor.predict(X + UNSEEN)
    return found


@pytest.fixture(scope="module")
def runs(saved_model, run_python, tmp_path_factory):
    """Results by run, in three processes."""
    folder = tmp_path_factory.mktemp("determinism")
    disk = folder / "store"
    processes = [["memory", "memory", "none"], [disk, disk], [disk]]
    for number, stores in enumerate(processes):
        arguments = (saved_model("bert"), number, folder / f"{number}", *stores)
        run_python(_SCRIPT, *arguments, PYTHONHASHSEED=str(number), OMP_NUM_THREADS="2")

    def run(process, number):
        return dict(np.load(folder / f"{process}-{number}.npz"))

    return {
        "memory": run(0, 0),
        "memory, kept": run(0, 1),
        "none": run(0, 2),
        "disk": run(1, 0),
        "disk, kept": run(1, 1),
        "disk, kept by another process": run(2, 0),
    }


def without_kept_states(name):
    """Say whether a result needs no states at a depth, which come in other batches if not kept."""
    return name.split()[-1] not in ("-1", "1")


@pytest.mark.parametrize(
    "name",
    [f"classifier {freeze}" for freeze in FREEZES]
    + [f"regressor {freeze}" for freeze in OF_REGRESSORS],
)
def test_predictions_have_the_same_bits(name, runs):
    expected = runs["memory"][name]
    assert len(np.unique(expected, axis=0)) > 1
    for run, found in runs.items():
        if run != "none" or without_kept_states(name):
            np.testing.assert_array_equal(found[name], expected, err_msg=run)
        else:
            # Without a store, frozen layers meet each text in the company of its batch, and
            # matrix products of another shape round in another order.
            np.testing.assert_allclose(found[name], expected, atol=1e-5)


def test_what_is_kept_is_not_encoded_again(runs):
    for run, found in runs.items():
        assert (found["n_encoded"] == 0) == ("kept" in run)


def test_features_have_the_same_bits(runs):
    for run, found in runs.items():
        np.testing.assert_array_equal(found["features"], runs["memory"]["features"], err_msg=run)


class Fails(Callback):
    """Fails in the second epoch."""

    def on_epoch_begin(self, net, **ignored):
        if len(net.history) == 2:
            raise OSError("a callback failed")


def generators():
    """Return the state of every global generator."""
    python, numpy = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002
    numpy = (numpy["state"]["pos"], numpy["state"]["key"].tobytes(), numpy["has_gauss"])
    return python, numpy, torch.get_rng_state().numpy().tobytes(), torch.initial_seed()


@pytest.mark.parametrize("cache", ["memory", None])
@pytest.mark.parametrize("freeze", FREEZES)
@pytest.mark.parametrize("estimator", [BertFineTuneClassifier, BertFineTuneRegressor])
def test_fit_and_predict_leave_global_generators_alone(estimator, freeze, cache, saved_model):
    tuned = estimator(saved_model("bert"), freeze=freeze, max_epochs=2, cache=cache, random_state=0)
    before = generators()
    tuned.fit(X, Y)
    assert generators() == before
    tuned.predict(UNSEEN)
    assert generators() == before
    tuned.set_params(early_stopping=True, callbacks=[Fails()])
    with pytest.raises(OSError, match="a callback failed"):
        tuned.fit(X, Y)
    assert generators() == before


@pytest.mark.parametrize("family", ["bert", "electra", "modernbert"])
def test_loading_and_encoding_leave_global_generators_alone(family, saved_model):
    before = generators()
    featurizer = BertFeaturizer(saved_model(family), cache=None)
    featurizer.fit(X).transform(X)
    assert generators() == before


def test_a_seed_from_outside_is_drawn_as_scikit_learn_does(saved_model):
    def predict(random_state):
        settings = {"freeze": "all", "max_epochs": 1, "precision": "float32"}
        classifier = BertFineTuneClassifier(
            saved_model("bert"), random_state=random_state, **settings
        )
        return classifier.fit(X, Y).predict_proba(X)

    first, second = (predict(np.random.RandomState(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    shared = np.random.RandomState(5)
    np.testing.assert_array_equal(predict(shared), first)
    assert not np.array_equal(predict(shared), first)

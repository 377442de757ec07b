"""One candidate, by a clock that each batch which passes frozen layers moves by ten seconds."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier
from sklearn_bert.comparison.clock import Clock, OutOfTimeError
from sklearn_bert.comparison.running import cross_validate_candidate
from sklearn_bert.encoder import work
from sklearn_bert.finetuning import keep_frozen_for
from tests.models import PAIRS

SETTINGS = {"device": "cpu", "precision": "float32"}
# Of 300 texts 150 tell the pace, and a batch has 42 of them or fewer.
TEXTS = [f"the {'very ' * 40}{word} film {i}" for i in range(150) for word in ("good", "bad")]
Y = np.array(["good", "bad"] * 150)
SPLITS = list(StratifiedKFold(3).split(TEXTS, Y))


@pytest.fixture
def candidates(saved_model):
    """Return a function from a name, and more parameters, to a candidate."""

    def tuned(freeze, **params):
        return BertFineTuneClassifier(
            saved_model(), freeze=freeze, max_epochs=1, random_state=0, **{**SETTINGS, **params}
        )

    def of(name, **params):
        if name == "features":
            return make_pipeline(
                BertFeaturizer(saved_model(), **{**SETTINGS, **params}), LogisticRegression()
            )
        return tuned({"head": "all", "top layer": -1}[name], **params)

    return of


def run(candidate, budget=float("inf"), reserve=0.0):
    clock = Clock(budget, now=lambda: 10.0 * work.counted().batches)
    return cross_validate_candidate(
        "it",
        candidate,
        TEXTS,
        Y,
        SPLITS,
        clock=clock,
        refits=False,
        reserve=reserve,
        on_fold=lambda n_done: None,
    )


def given_up(candidate, budget, reserve=0.0):
    """Return why a candidate was given up, and after how many batches."""
    before = work.counted()
    with pytest.raises(OutOfTimeError) as raised:
        run(candidate, budget, reserve)
    return str(raised.value), (work.counted() - before).batches


KINDS = pytest.mark.parametrize("name", ["features", "head", "top layer"])


@KINDS
def test_texts_pass_frozen_layers_before_the_folds(name, candidates):
    before = work.counted()
    result = run(candidates(name))
    # Those whose prediction is timed pass besides, and are not told.
    n_timed = len(SPLITS[-1][1])
    assert (work.counted() - before).texts == len(TEXTS) + n_timed
    assert result.texts_encoded == len(TEXTS)
    assert result.encode_time >= 80
    assert result.fit_time == 0


@KINDS
def test_encoding_ends_between_two_batches_when_its_time_is_up(name, candidates):
    said, n_batches = given_up(candidates(name), budget=25)
    assert said == "encoding takes more than the 25.0 s that were left for it"
    assert n_batches == 3
    assert run(candidates(name)).texts_encoded < len(TEXTS)


@KINDS
def test_and_as_soon_as_its_pace_is_known(name, candidates):
    said, n_batches = given_up(candidates(name), budget=70)
    assert said == (
        "encoding all 300 texts takes 1 min 29 s more or less, and 1 min 10 s were left for it"
    )
    # That of the first text, and those of a portion.
    assert n_batches == 5


@KINDS
def test_time_for_the_refit_of_the_best_so_far_is_no_time_to_encode(name, candidates):
    said, n_batches = given_up(candidates(name), budget=1000, reserve=975)
    assert "the 25.0 s that were left" in said
    assert n_batches == 3


@pytest.mark.parametrize("name", ["features", "head"])
def test_what_no_cache_keeps_is_bounded_in_each_fit(name, candidates):
    before = work.counted()
    said, n_batches = given_up(candidates(name, cache=None), budget=105)
    # A third of it for a fold, whose 200 texts are five batches or more.
    assert said == "encoding takes more than the 35.0 s that were left for it"
    assert n_batches == 4
    assert (work.counted() - before).texts == 0


def test_a_search_does_not_take_it_for_a_failed_fit(candidates):
    """The first of its candidates is done in time, and would be taken for the best."""
    grid = {"bertfeaturizer__max_length": [None, 20]}
    said, n_batches = given_up(GridSearchCV(candidates("features"), grid, cv=2), budget=195)
    assert said == "encoding takes more than the 1 min 5 s that were left for it"
    assert n_batches == 7


def test_what_is_kept_is_what_clones_read(candidates):
    """One that is fitted would go on where it was, with states."""
    candidate = candidates("top layer", warm_start=True).fit(TEXTS[:4], Y[:4])
    candidate.set_params(gradual_unfreezing=True)
    assert run(candidate).fit_time == 0


def test_what_reads_no_encoder_takes_no_time():
    result = run(DummyClassifier())
    assert result.encode_time == result.texts_encoded == result.seconds == 0


@pytest.mark.parametrize(
    "params",
    [
        {"freeze": "all", "pooling": ["mean", "max"]},
        {"freeze": -2},
        {"freeze": "none"},
        {"freeze": -2, "unfreeze": ["layer.1.output"]},
        {"freeze": -1, "pairs": "separate"},
        {"freeze": "all", "pairs": "separate"},
        {"freeze": -3, "gradual_unfreezing": True},
    ],
    ids=str,
)
def test_what_is_kept_for_a_fit_is_what_it_reads(params, saved_model):
    texts = PAIRS if "pairs" in params else TEXTS[:20]
    estimator = BertFineTuneClassifier(saved_model(), max_epochs=4, **params, **SETTINGS)
    keep_frozen_for(estimator, texts)
    before = work.counted()
    estimator.fit(texts, [0, 1] * (len(texts) // 2) + [0] * (len(texts) % 2))
    assert (work.counted() - before).texts == 0

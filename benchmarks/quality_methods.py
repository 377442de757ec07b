"""The methods of the benchmark quality: each fits some rows, and predicts others."""

from __future__ import annotations

import datetime
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.children import Result
from benchmarks.embedded import MAX_LENGTH, model_folder
from benchmarks.machine import where
from benchmarks.quality_tasks import TASKS, Split, load, unknown_share
from benchmarks.rivals.models import freeze_parameter
from benchmarks.rivals.recipes import RECIPES
from benchmarks.rivals.training import BATCH_SIZE, timed

__all__ = [
    "BESIDE",
    "LONGER",
    "METHODS",
    "OURS",
    "Method",
    "epochs_for",
    "measure",
    "said",
    "suits",
]

_DEPTHS = ["all", "-1", "-2", "-3", "none"]
_STEPS = 150
_LEAST_EPOCHS, _MOST_EPOCHS = 3, 20
# A head by itself costs next to nothing an epoch.
_HEAD_EPOCHS = 10
_FOLDS = 5
_FOLDS_OVER_WAYS = 3
_STRENGTHS = [0.01, 0.1, 1.0, 10.0]
_TFIDF_STRENGTHS = [0.1, 1.0, 10.0, 100.0]
_LAYERS = list(range(1, 7))
_ITERATIONS = 1000
# How ours fine-tunes: as it is told, or as a search over all of these finds.
_WAYS: dict[str, dict[str, Any]] = {
    **{f"freeze={freeze}": {"freeze": freeze} for freeze in _DEPTHS},
    "contrastive": {"freeze": "none", "contrastive_weight": 1},
    "separate-all": {"freeze": "all", "pairs": "separate"},
    "separate-none": {"freeze": "none", "pairs": "separate"},
}
# Ways that no search is over.
BESIDE: dict[str, dict[str, Any]] = {
    "balanced": {"freeze": "none", "class_weight": "balanced"},
}
# Ways that train for so many times the epochs, too.
_TIMES_LONGER = 3
LONGER = {"contrastive-longer": "contrastive"}

# See `Method.fit`.
_Found = tuple[Any, float, np.ndarray]
_Fit = Callable[[Split, str, int, int, str], _Found]


@dataclass(frozen=True)
class Method:
    """One way to classify.

    Attributes
    ----------
    title : str
        Its name in tables.
    fit : callable
        From a split, a task's name, a seed, a number of epochs and a device to what
        cross-validation chose (None where nothing is searched), seconds, and predictions for the
        rows to score.
    of_pairs : bool
        Whether it is for text pairs alone.
    """

    title: str
    fit: _Fit
    of_pairs: bool = False


def measure(
    part: str,
    n_rows: int | None,
    n_test: int | None,
    method: str,
    seed: int,
    epochs: int | None = None,
    device: str = "cpu",
) -> Result:
    """Fit one method on some rows of one corpus, and score it.

    Parameters
    ----------
    part, n_rows, n_test, seed
        See `benchmarks.quality_tasks.load`.
    method : str
        One of `METHODS`.
    epochs : int or None
        None is `epochs_for` the rows.
    device : str
        What it runs on. TF-IDF and LogisticRegression always run on the processor.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import accuracy_score, f1_score
    from transformers import AutoTokenizer

    from sklearn_bert import BertFineTuneClassifier, cache
    from sklearn_bert.errors import LongTextWarning

    # Where this process measured before.
    cache.clear()
    split = load(part, n_rows, n_test, seed)
    epochs = epochs or epochs_for(len(split.X))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LongTextWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        chosen, seconds, predicted = METHODS[method].fit(split, part, seed, epochs, device)
    return {
        "seed": seed,
        "where": where(device),
        "date": datetime.date.today().isoformat(),
        "accuracy": float(accuracy_score(split.y_test, predicted)),
        "f1": float(f1_score(split.y_test, predicted, average="macro")),
        "chosen": chosen,
        "head_lr": BertFineTuneClassifier().head_lr,
        "seconds": seconds,
        "train": len(split.X),
        "test": len(split.X_test),
        "unknown": unknown_share(split.X_test, AutoTokenizer.from_pretrained(model_folder())),
    }


def suits(method: str, part: str) -> bool:
    """Say whether a method is for the samples of a corpus."""
    return TASKS[part].pairs or not METHODS[method].of_pairs


def said(way: dict[str, Any]) -> str:
    """Return the parameters of a way to fine-tune, as tables have them."""
    return ", ".join(f"{name}={value}" for name, value in way.items() if name != "max_epochs")


def epochs_for(n_rows: int) -> int:
    """Return the epochs of all that fine-tunes: more where there are few rows.

    As many as make 150 steps, at least 3 and at most 20.
    """
    return min(max(math.ceil(_STEPS * BATCH_SIZE / n_rows), _LEAST_EPOCHS), _MOST_EPOCHS)


def _tfidf(split: Split, part: str, seed: int, epochs: int, device: str) -> _Found:
    """Count words and pairs of them, or characters; both texts of a pair as one."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    kind = ("char", (1, 3)) if TASKS[part].characters else ("word", (1, 2))
    vectorizer = TfidfVectorizer(analyzer=kind[0], ngram_range=kind[1], sublinear_tf=True)
    classifier = LogisticRegression(max_iter=_ITERATIONS)
    pipeline = Pipeline([("tfidf", vectorizer), ("clf", classifier)])

    def joined(X: list[Any]) -> list[str]:
        return [text if isinstance(text, str) else " ".join(text) for text in X]

    whole = Split(joined(split.X), split.y, joined(split.X_test), split.y_test)
    return _searched(pipeline, {"clf__C": _TFIDF_STRENGTHS}, whole, _FOLDS, seed)


def _features(split: Split, part: str, seed: int, epochs: int, device: str) -> _Found:
    """Classify pooled vectors of the best layer; halves of pairs by themselves."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from sklearn_bert import BertFeaturizer

    halves = {"pairs": "separate", "normalize": True} if TASKS[part].pairs else {}
    pipeline = Pipeline(
        [
            ("bert", BertFeaturizer(max_length=MAX_LENGTH, device=device, **halves)),
            ("scale", StandardScaler()),
            ("clf", LogisticRegression(max_iter=_ITERATIONS)),
        ]
    )
    grid = {"bert__layers": _LAYERS, "clf__C": _STRENGTHS}
    return _searched(pipeline, grid, split, _FOLDS, seed)


def _ours(
    split: Split, part: str, seed: int, epochs: int, device: str, way: str, times: int = 1
) -> _Found:
    """Fine-tune in one way, for some times the epochs."""
    told = _parameters((_WAYS | BESIDE)[way], times * epochs)
    classifier = _classifier(seed, device).set_params(**told)
    run = timed(lambda: classifier.fit(split.X, split.y))
    return None, run.seconds, classifier.predict(split.X_test)


def _ours_searched(split: Split, part: str, seed: int, epochs: int, device: str) -> _Found:
    """Fine-tune in the way that cross-validation of the training rows finds best."""
    settings = [_parameters(way, epochs) for name, way in _WAYS.items() if suits(name, part)]
    grid = [{name: [value] for name, value in of_way.items()} for of_way in settings]
    return _searched(_classifier(seed, device), grid, split, _FOLDS_OVER_WAYS, seed)


def _rival(split: Split, part: str, seed: int, epochs: int, device: str, recipe: str) -> _Found:
    """Train as another tool does, all layers."""
    trained = RECIPES[recipe].train(
        split.X,
        split.y,
        folder=model_folder(),
        freeze="none",
        # SetFit's epochs go over pairs.
        epochs=1 if recipe == "setfit" else epochs,
        seed=seed,
        max_length=MAX_LENGTH,
        device=device,
    )
    return None, trained.run.seconds, trained.predict(split.X_test)


def _classifier(seed: int, device: str) -> Any:
    from sklearn_bert import BertFineTuneClassifier

    return BertFineTuneClassifier(
        batch_size=BATCH_SIZE, max_length=MAX_LENGTH, device=device, random_state=seed
    )


def _parameters(way: dict[str, Any], epochs: int) -> dict[str, Any]:
    """Return what a classifier is told for one of `_WAYS`."""
    head_alone = way["freeze"] == "all"
    return {
        **way,
        "freeze": freeze_parameter(way["freeze"]),
        "max_epochs": max(epochs, _HEAD_EPOCHS) if head_alone else epochs,
    }


def _searched(estimator: Any, grid: Any, split: Split, n_folds: int, seed: int) -> _Found:
    """Search within the training rows, fit the best on all of them, and predict."""
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    search = GridSearchCV(estimator, grid, cv=folds)
    run = timed(lambda: search.fit(split.X, split.y))
    return search.best_params_, run.seconds, search.predict(split.X_test)


OURS = list(_WAYS)
METHODS = {
    "tfidf": Method("TF-IDF + LogisticRegression", _tfidf),
    "features": Method("features + LogisticRegression", _features),
    **{
        name: Method(f"ours, {said(way)}", partial(_ours, way=name), of_pairs="pairs" in way)
        for name, way in _WAYS.items()
    },
    "searched": Method("ours, by cross-validation", _ours_searched),
    **{
        name: Method(f"ours, {said(way)}", partial(_ours, way=name)) for name, way in BESIDE.items()
    },
    **{
        name: Method(
            f"ours, {said(_WAYS[way])}, {_TIMES_LONGER} times the epochs",
            partial(_ours, way=way, times=_TIMES_LONGER),
        )
        for name, way in LONGER.items()
    },
    "trainer": Method(RECIPES["trainer"].title, partial(_rival, recipe="trainer")),
    "expert": Method(RECIPES["expert"].title, partial(_rival, recipe="expert")),
    "setfit": Method(RECIPES["setfit"].title, partial(_rival, recipe="setfit")),
}

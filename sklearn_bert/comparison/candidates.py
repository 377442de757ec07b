"""What is compared by default: cheap first, so that what is kept serves the dearer ones."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert.classifier import BertFineTuneClassifier
from sklearn_bert.encoder.checkpoint import Checkpoint
from sklearn_bert.encoder.sources import EMBEDDED_MODEL
from sklearn_bert.featurizer import BertFeaturizer
from sklearn_bert.persistence import EncoderReference
from sklearn_bert.validation import Text, are_pairs, check_texts

__all__ = ["default_candidates"]

# Scripts that are written without spaces: Thai, kana, Han.
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_LETTER = re.compile(r"[^\W\d_]")
_LOOKED_AT = 1000
_TOP_LAYERS = 4
# Few texts are passed more often, so that so many are seen, or training ends before it has begun.
_LEAST_SEEN, _EPOCHS = 3000, (3, 10)


def default_candidates(
    X: Any,
    *,
    model: str | os.PathLike[str] = EMBEDDED_MODEL,
    max_length: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    cache: str | os.PathLike[str] | None = "memory",
    random_state: int | None = None,
    revision: str | None = None,
) -> dict[str, Any]:
    """Return the estimators that :func:`~sklearn_bert.compare` tries, unfitted, by name.

    TF-IDF with a linear model; fixed features of several poolings and layers with a linear model;
    fine-tuning of the top layer, of the top third and of all layers, for 3 epochs, or more where
    there are fewer than 1,000 texts (Mosbach, Andriushchenko and Klakow, "On the Stability of
    Fine-tuning BERT", arXiv 2006.04884). TF-IDF counts characters
    where most letters are of scripts without spaces (Chinese, Japanese, Thai), and words
    elsewhere; text pairs have none.

    Parameters
    ----------
    X : container of str of shape (n_samples,), or of text pairs of shape (n_samples, 2)
        The texts.
    model, max_length, device, precision, cache, random_state, revision
        As in :class:`~sklearn_bert.BertFineTuneClassifier`.

    Returns
    -------
    dict of str to estimator
        In the order in which they are tried. Add your own, or take some away.

    Examples
    --------
    >>> from sklearn_bert.comparison import default_candidates
    >>> for name in default_candidates(["A text", "Another"]):
    ...     print(name)
    TF-IDF of words
    features: mean, last layer
    features: cls, last layer
    features: mean, second last layer
    features: mean and max, top 4 layers averaged
    fine-tuning: top layer
    fine-tuning: top 2 layers
    fine-tuning: all layers
    """
    texts = check_texts(X)
    # As plain strings they can be written down as code.
    model = os.fspath(model)
    cache = None if cache is None else os.fspath(cache)
    place = {"device": device, "precision": precision, "cache": cache, "revision": revision}
    reference = EncoderReference(model, revision, max_length, device, precision, cache)
    checkpoint = reference.encoder().checkpoint
    shared = {"model": model, "max_length": max_length, **place}
    return {
        **_tfidf(texts),
        **_features(texts, checkpoint, shared),
        **_fine_tuning(len(texts), checkpoint, {**shared, "random_state": random_state}),
    }


def _tfidf(texts: Sequence[Text]) -> dict[str, Any]:
    singles = [text for text in texts[:_LOOKED_AT] if isinstance(text, str)]
    if not singles:
        return {}
    if _mostly_unspaced(singles):
        name = "TF-IDF of characters"
        vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
    else:
        name = "TF-IDF of words"
        vectorizer = TfidfVectorizer(sublinear_tf=True)
    return {name: make_pipeline(vectorizer, LogisticRegression(C=10, max_iter=1000))}


def _mostly_unspaced(texts: Sequence[str]) -> bool:
    unspaced = sum(len(_UNSPACED.findall(text)) for text in texts)
    return 2 * unspaced > sum(len(_LETTER.findall(text)) for text in texts)


def _features(
    texts: Sequence[Text], checkpoint: Checkpoint, shared: dict[str, Any]
) -> dict[str, Any]:
    n_top = min(_TOP_LAYERS, checkpoint.n_layers)
    choices: dict[str, dict[str, Any]] = {
        "features: mean, last layer": {},
        "features: cls, last layer": {"pooling": "cls"},
        "features: mean, second last layer": {"layers": -2},
        f"features: mean and max, top {n_top} layers averaged": {
            "pooling": ["mean", "max"],
            "layers": list(range(-n_top, 0)),
        },
    }
    if are_pairs(texts):
        choices["features: mean, last layer, each half by itself"] = {"pairs": "separate"}
    return {
        name: make_pipeline(
            BertFeaturizer(**shared, **params),
            StandardScaler(),
            LogisticRegression(C=0.01, max_iter=1000),
        )
        for name, params in choices.items()
    }


def _fine_tuning(n_texts: int, checkpoint: Checkpoint, shared: dict[str, Any]) -> dict[str, Any]:
    """Return fine-tuning to some depths; layers that share their weights train together."""
    depths = [] if checkpoint.lower.shares_layers else sorted({1, checkpoint.n_layers // 3})
    names: dict[str, str | int] = {
        "fine-tuning: top layer" if depth == 1 else f"fine-tuning: top {depth} layers": -depth
        for depth in depths
        if 0 < depth < checkpoint.n_layers
    }
    names["fine-tuning: all layers"] = "none"
    epochs = min(max(_LEAST_SEEN // n_texts, _EPOCHS[0]), _EPOCHS[1])
    return {
        name: BertFineTuneClassifier(freeze=freeze, max_epochs=epochs, **shared)
        for name, freeze in names.items()
    }

"""BERT with scikit-learn habits: features and fine-tuning, no text twice through a frozen layer.

Names are imported when they are first used, so that `import sklearn_bert` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn_bert import cache, datasets
    from sklearn_bert.classifier import BertFineTuneClassifier
    from sklearn_bert.comparison import compare
    from sklearn_bert.featurizer import BertFeaturizer
    from sklearn_bert.masked_lm import BertMaskedLM
    from sklearn_bert.plotting import (
        FreezeDepthDisplay,
        LayerPoolingDisplay,
        TrainingCurveDisplay,
    )
    from sklearn_bert.regressor import BertFineTuneRegressor

__version__ = "0.1.0.dev0"

__all__ = [
    "BertFeaturizer",
    "BertFineTuneClassifier",
    "BertFineTuneRegressor",
    "BertMaskedLM",
    "FreezeDepthDisplay",
    "LayerPoolingDisplay",
    "TrainingCurveDisplay",
    "cache",
    "compare",
    "datasets",
]

_HOMES = {
    "BertFeaturizer": "sklearn_bert.featurizer",
    "BertFineTuneClassifier": "sklearn_bert.classifier",
    "BertFineTuneRegressor": "sklearn_bert.regressor",
    "BertMaskedLM": "sklearn_bert.masked_lm",
    "compare": "sklearn_bert.comparison",
    "FreezeDepthDisplay": "sklearn_bert.plotting",
    "LayerPoolingDisplay": "sklearn_bert.plotting",
    "TrainingCurveDisplay": "sklearn_bert.plotting",
}
_MODULES = ("cache", "datasets")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"sklearn_bert.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'sklearn_bert' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

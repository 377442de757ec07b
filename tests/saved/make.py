"""Write folders as this release saves them, for later releases to read.

Run ``python -m tests.saved.make`` once a release, and commit what it writes: tiny estimators, each
with what it says about some texts.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import sklearn_bert
from sklearn_bert import (
    BertFeaturizer,
    BertFineTuneClassifier,
    BertFineTuneRegressor,
    BertMaskedLM,
)
from tests.models import FAMILIES, TEXTS, save
from tests.test_pretrained import outputs

_SIZES = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
_TUNING = {"max_epochs": 2, "random_state": 0, "freeze": -1}


def main() -> None:
    """Write a folder for each kind of estimator."""
    target = Path(__file__).parent / sklearn_bert.__version__.split(".dev")[0]
    with tempfile.TemporaryDirectory() as folder:
        model = save(Path(folder), *FAMILIES["bert"].build(intermediate_size=8, **_SIZES))
        for name, (estimator, y) in _estimators(model).items():
            estimator.set_params(device="cpu", precision="float32").fit(TEXTS, y)
            estimator.save_pretrained(target / name)
            expected = {
                "estimator": type(estimator).__name__,
                "texts": TEXTS,
                "outputs": [output.tolist() for output in outputs(estimator, TEXTS)],
            }
            text = json.dumps(expected, ensure_ascii=False, indent=1)
            (target / name / "expected.json").write_text(text + "\n", encoding="utf-8")


def _estimators(model: Path) -> dict[str, tuple[Any, Any]]:
    labels = np.array(list("ababababcc"))
    tasks = np.array(
        [[label, number] for label, number in zip(labels, [1, 2] * 5, strict=True)], object
    )
    tasks[3, 1] = None
    return {
        "featurizer": (BertFeaturizer(model, layers=[0, -1], pooling=["cls", "mean"]), None),
        "classifier": (BertFineTuneClassifier(model, hidden_layer_sizes=(4,), **_TUNING), labels),
        "label_set": (BertFineTuneClassifier(model, **_TUNING), np.eye(10, 3, dtype=int)),
        "tasks": (BertFineTuneClassifier(model, **_TUNING), tasks),
        "regressor": (BertFineTuneRegressor(model, **_TUNING), np.linspace(0, 9, 10)),
        "language": (BertMaskedLM(model, chunk_length=16, **_TUNING), None),
    }


if __name__ == "__main__":
    main()

"""Values that can't be used are named, with what is accepted."""

import numpy as np
import pytest

from sklearn_bert import BertFineTuneClassifier
from sklearn_bert.tuning_parameters import check_tuning_parameters, head_sizes


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pooling": "median"}, r"pooling='median'"),
        ({"hidden_layer_sizes": (8, 0)}, r"hidden_layer_sizes=\(8, 0\)"),
        ({"activation": "swish"}, r"activation='swish'.*'relu'"),
        ({"lr_schedule": "zigzag"}, r"lr_schedule='zigzag'.*'cosine'"),
        ({"dropout": 1.0}, r"dropout=1.0"),
        ({"max_epochs": 0}, r"max_epochs=0"),
        ({"batch_size": 2.5}, r"batch_size=2.5"),
        ({"lr": 0}, r"lr=0 can't"),
        ({"lr": "fast"}, r"lr='fast' can't.*'auto'"),
        ({"head_lr": "fast"}, r"head_lr='fast'.*'auto', or a number above 0"),
        ({"warmup": 1.0}, r"warmup=1.0"),
        ({"max_grad_norm": 0}, r"max_grad_norm=0"),
        ({"precision": "fp32"}, r"precision='fp32'.*'auto', 'float32', 'bfloat16', 'float64'\."),
        ({"precision": "float16"}, r"precision='float16'.*Gradients"),
        ({"early_stopping": 1}, r"early_stopping=1"),
        ({"label_smoothing": -0.1}, r"label_smoothing=-0.1"),
        ({"contrastive_weight": -1}, r"contrastive_weight=-1"),
        ({"contrastive_weight": float("nan")}, r"contrastive_weight=nan"),
        ({"verbose": 2}, r"verbose=2"),
        ({"gradient_accumulation": 0}, r"gradient_accumulation=0.*at least 1"),
        ({"weight_decay": float("nan")}, r"weight_decay=nan"),
        ({"layer_lr_decay": None}, r"layer_lr_decay=None"),
        ({"validation_fraction": 0}, r"validation_fraction=0"),
        ({"pooling": []}, r"pooling=\[\]"),
    ],
)
def test_bad_values_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        check_tuning_parameters(BertFineTuneClassifier(**parameters))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"lr": 1e-5, "max_grad_norm": None, "warmup": 100},
        {"lr": np.float32(1e-5), "max_epochs": np.int64(2), "warmup": 0},
        {"hidden_layer_sizes": 16, "dropout": 0, "weight_decay": 0},
        {"pooling": ["cls", "max"], "early_stopping": True},
    ],
)
def test_good_values_pass(parameters):
    check_tuning_parameters(BertFineTuneClassifier(**parameters))


@pytest.mark.parametrize(
    ("sizes", "expected"), [((), ()), (8, (8,)), ([8, 4], (8, 4)), (np.array([3]), (3,))]
)
def test_head_sizes(sizes, expected):
    assert head_sizes(sizes) == expected

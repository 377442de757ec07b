"""Where a pass and a fit spend their time, by kind of work, and how fast their products are.

With PyTorch's profiler, on a processor. What is left beside the products says how near to the
machine's limit the whole could come.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.children import Job, Result, alternate
from benchmarks.embedded import MAX_LENGTH, auto_precision, model_config, model_folder
from benchmarks.matmul import best_rate, limit_job
from benchmarks.report import Report, median
from benchmarks.rivals.models import freeze_parameter
from benchmarks.rivals.training import BATCH_SIZE
from benchmarks.texts import corpus_texts

REPEATS = 3

_TEXTS = {"sst2": 2000, "imdb": 400}
_DEPTHS = ("-1", "none")
_ROWS = 1000
_QUICK_SHARE = 16
_WARM_UP_ROWS = 64
_LIMIT = "matrix products"
_LINEAR, _ATTENTION = "linear maps", "attention's products"
_FUSED = "attention in one kernel"
_FUSED_OPERATOR = "aten::_scaled_dot_product_flash_attention_for_cpu"
_PRODUCTS = (_LINEAR, _ATTENTION, _FUSED)
_REST, _OUTSIDE = "the rest of PyTorch", "outside PyTorch"
# Kinds of work in the order of the table; an operator belongs to the first that begins its name.
_KINDS = {
    _LINEAR: (
        "mkldnn::_linear_pointwise",
        "aten::addmm",
        "aten::mm",
        # What float32 maps are.
        "aten::_convolution",
        "aten::convolution_backward",
        "aten::mkldnn_convolution",
        "aten::_slow_conv2d",
    ),
    _ATTENTION: ("aten::bmm", "aten::baddbmm"),
    _FUSED: (_FUSED_OPERATOR,),
    "softmax": ("aten::_softmax",),
    "GELU by itself": ("aten::gelu",),
    "norms": ("aten::native_layer_norm", "aten::_fused_rms_norm"),
    "copies and casts": ("aten::copy_", "aten::cat"),
    "sums and factors": ("aten::add", "aten::sub", "aten::mul", "aten::div", "aten::sum"),
    "optimizer": ("aten::_fused_adam", "aten::_foreach", "aten::linalg_vector_norm"),
    "embeddings": ("aten::index", "aten::embedding", "aten::_index"),
    _REST: ("",),
}


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    fewer = _QUICK_SHARE if options.quick else 1
    jobs = {
        f"encode {corpus}": Job(profile_encode, {"corpus": corpus, "n_texts": n // fewer})
        for corpus, n in _TEXTS.items()
    }
    jobs |= {
        f"fit, freeze={freeze}": Job(profile_fit, {"freeze": freeze, "n_rows": _ROWS // fewer})
        for freeze in _DEPTHS
    }
    config = model_config()
    precision = auto_precision()
    limit = limit_job(
        config["hidden_size"], config["intermediate_size"], precision == "bfloat16", options.quick
    )
    report.runs = alternate({_LIMIT: limit, **jobs}, options.repeats)
    _add_shares(report, list(jobs))
    _add_rates(report, list(jobs), best_rate(report.runs[_LIMIT], precision))
    report.note(
        f"Encode: {_TEXTS['sst2'] // fewer:,} sentences of SST-2, {_TEXTS['imdb'] // fewer:,} "
        f"reviews of IMDB, cut at {MAX_LENGTH} tokens, no store. Fit: one epoch over "
        f"{_ROWS // fewer:,} sentences in batches of {BATCH_SIZE}, the frozen pass included. "
        f"{precision}; what is small is warm. Medians of {options.repeats}."
    )
    report.note(
        "GELU is in the maps' kernel where they are frozen. Outside PyTorch: tokenizing, NumPy's "
        "draws for dropout, and Python between operators. Rates count products as they are "
        "computed, padding too; the last column is what would be reached if all but products took "
        "no time at all. Attention in one kernel counts as a product with its softmax."
    )


def profile_encode(corpus: str, n_texts: int) -> Result:
    """Profile a pass without a store."""
    from sklearn_bert import BertFeaturizer

    texts = corpus_texts(corpus, n_texts)[0]
    featurizer = BertFeaturizer(model_folder(), max_length=MAX_LENGTH, device="cpu", cache=None)
    featurizer.fit(texts).transform(texts)
    return _profiled(lambda: featurizer.transform(texts))


def profile_fit(freeze: str, n_rows: int) -> Result:
    """Profile a fit of one epoch with a cold store."""
    from sklearn_bert import BertFineTuneClassifier, cache
    from sklearn_bert.datasets import fetch_sst2

    train = fetch_sst2(subset="train")

    def fit(n: int) -> None:
        cache.clear()
        classifier = BertFineTuneClassifier(
            model_folder(),
            freeze=freeze_parameter(freeze),
            max_epochs=1,
            batch_size=BATCH_SIZE,
            device="cpu",
            random_state=0,
        )
        classifier.fit(train.data[:n], train.target[:n])

    fit(_WARM_UP_ROWS)
    return _profiled(lambda: fit(n_rows))


def _profiled(work: Callable[[], Any]) -> Result:
    """Return seconds in all and by kind of work, and the operations of products by kind."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
    # Once more for the shapes: keeping them costs memory and up to as much time again.
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as with_shapes:
        work()
    by_kind: dict[str, float] = defaultdict(float)
    flop: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        by_kind[_kind(event.key)] += event.self_cpu_time_total / 1e6
    for event in with_shapes.key_averages(group_by_input_shape=True):
        kind = _kind(event.key)
        if kind in _PRODUCTS:
            flop[kind] += event.count * _flop(event.key, event.input_shapes)
    by_kind[_OUTSIDE] = seconds - sum(by_kind.values())
    return {"seconds": seconds, "by_kind": by_kind, "flop": flop}


def _kind(operator: str) -> str:
    return next(kind for kind, names in _KINDS.items() if operator.startswith(names))


def _flop(operator: str, shapes: Sequence[Sequence[int]]) -> float:
    """Count the operations of one call of a product by the shapes of what it was given."""
    if operator in ("aten::mm", "aten::bmm"):
        return 2 * math.prod(shapes[0]) * shapes[1][-1]
    if operator in ("aten::addmm", "aten::baddbmm"):
        return 2 * math.prod(shapes[1]) * shapes[2][-1]
    if operator == "mkldnn::_linear_pointwise":
        return 2 * math.prod(shapes[0]) * shapes[2][0]
    if operator == "aten::_convolution":
        return 2 * math.prod(shapes[0]) * shapes[1][0]
    if operator == "aten::convolution_backward":
        return 4 * math.prod(shapes[1]) * shapes[2][0]
    if operator == _FUSED_OPERATOR:
        # Scores, and what is attended to with them.
        return 4 * math.prod(shapes[0]) * shapes[1][-2]
    if operator == f"{_FUSED_OPERATOR}_backward":
        # Scores once more, and four gradients.
        return 10 * math.prod(shapes[1]) * shapes[2][-2]
    # What one of these calls.
    return 0


def _add_shares(report: Report, names: Sequence[str]) -> None:
    """Add the share of each kind of work in the time of each job."""

    def share(name: str, kind: str) -> str:
        parts = [
            round_["by_kind"].get(kind, 0.0) / round_["seconds"] for round_ in report.runs[name]
        ]
        return f"{100 * median([{'part': part} for part in parts], 'part'):.1f}"

    report.table(
        "Per cent of the time",
        ["", *names],
        [[kind, *(share(name, kind) for name in names)] for kind in (*_KINDS, _OUTSIDE)]
        + [["seconds in all", *(f"{median(report.runs[name], 'seconds'):.2f}" for name in names)]],
    )


def _add_rates(report: Report, names: Sequence[str], most: float) -> None:
    """Add the rate of products, beside the machine's limit."""
    rows = []
    for name in names:
        rounds = [
            {
                "linear": round_["flop"][_LINEAR] / round_["by_kind"][_LINEAR] / 1e9 / most,
                "products": sum(round_["flop"].values())
                / sum(round_["by_kind"].get(kind, 0.0) for kind in _PRODUCTS)
                / 1e9
                / most,
                "all": sum(round_["flop"].values()) / round_["seconds"] / 1e9 / most,
            }
            for round_ in report.runs[name]
        ]
        shares = (median(rounds, key) for key in ("linear", "all", "products"))
        rows.append([name, *(f"{share:.0%}" for share in shares)])
    report.table(
        f"Share of the limit of {most:,.0f} GFLOP/s",
        ["", "linear maps by themselves", "all of the time", "all products by themselves"],
        rows,
    )

"""What the encoder swaps in on a processor, piece by piece, beside what PyTorch does by itself.

Linear maps, attention by length, encoding and in training, dropout, new shapes, the memory of a
batch's states; and what the size of memory pages does to a fit.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.children import Job, alternate, page_faults
from benchmarks.embedded import MAX_LENGTH, auto_precision, native_precisions
from benchmarks.report import Report, median, spread
from benchmarks.texts import corpus_texts

_TOKENS = 1024
_HIDDEN, _INTERMEDIATE, _HEADS = 384, 1536, 12
_LENGTHS = (8, 12, 16, 24, 32, 48, 64, 104, 128, 208, 256, 384, 512)
_DTYPES = ("float32", "bfloat16")
_DROPPED = 0.1
_IN_TRAINING = f"attention in training, there and back, {_DROPPED:.0%} dropped"
_KEPT, _AS_IT_IS = "kept", "as the C library does by itself"
_PAGES = {
    "pages as they are": {},
    "GLIBC_TUNABLES=glibc.malloc.hugetlb=1": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
}
_CORPORA = {"sst2": 960, "imdb": 160}


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    texts = 60 if options.quick else 1000
    jobs = {"pieces": Job(measure_pieces, {"seconds": 0.05 if options.quick else 0.3})}
    jobs |= {
        name: Job(measure_heap, {"kept": name == _KEPT, "texts": texts})
        for name in (_KEPT, _AS_IT_IS)
    }
    for corpus, rows in _CORPORA.items():
        settings = {"corpus": corpus, "rows": rows // 20 if options.quick else rows}
        jobs |= {
            f"{corpus}, {name}": Job(measure_fit, settings, environment)
            for name, environment in _PAGES.items()
        }
    report.runs = alternate(jobs, options.repeats)
    _add_pieces(report, report.runs["pieces"])
    report.table(
        f"Freed memory: kept, or given back to the system ({texts:,} texts, {auto_precision()})",
        ["", "seconds", "page faults"],
        [[name, *_seconds_and_faults(report, name)] for name in (_KEPT, _AS_IT_IS)],
    )
    for corpus in _CORPORA:
        report.table(
            f"{corpus}: fine-tuning all layers, by the size of memory pages",
            ["", "seconds", "page faults"],
            [[name, *_seconds_and_faults(report, f"{corpus}, {name}")] for name in _PAGES],
        )


def _add_pieces(report: Report, rounds: list[dict[str, Any]]) -> None:
    for title in ("linear maps", "attention", _IN_TRAINING, "dropout"):
        report.table(
            f"{title}: milliseconds for {_TOKENS} tokens, {_HIDDEN} wide",
            ["", "PyTorch", "ours", "times as fast"],
            [_row(name, [round_[title][name] for round_ in rounds]) for name in rounds[0][title]],
        )
    report.table(
        f"A product of {_HIDDEN} to {_INTERMEDIATE} with a number of rows not seen before",
        ["", "first ms", "later ms", "times as long"],
        [
            _row(name, [round_["new shapes"][name] for round_ in rounds])
            for name in rounds[0]["new shapes"]
        ],
    )


def _seconds_and_faults(report: Report, name: str) -> tuple[str, str]:
    rounds = report.runs[name]
    seconds = spread([round_["seconds"] for round_ in rounds], 2)
    return seconds, f"{median(rounds, 'faults'):,.0f}"


def measure_pieces(seconds: float) -> dict[str, Any]:
    """Time linear maps and attention, PyTorch's and ours in turn."""
    import torch

    with torch.inference_mode():
        pieces = {
            "linear maps": _linear(seconds),
            "attention": _attention(seconds, _DTYPES),
            "dropout": _dropout(seconds),
            "new shapes": _new_shapes(),
        }
    trained = _attention(seconds, native_precisions(), {"dropout": _DROPPED})
    return pieces | {_IN_TRAINING: trained}


def measure_heap(kept: bool, texts: int) -> dict[str, Any]:
    """Encode with and without `prepare_heap`, which loading a model calls."""
    from sklearn_bert import BertFeaturizer
    from sklearn_bert.encoder import checkpoint

    if not kept:
        checkpoint.prepare_heap = lambda: None  # type: ignore[assignment]
    featurizer = BertFeaturizer(cache=None, device="cpu")
    sentences = corpus_texts("sst2", texts)[0]
    featurizer.transform(sentences)
    return _time_and_faults(lambda: featurizer.transform(sentences))


def measure_fit(corpus: str, rows: int) -> dict[str, Any]:
    """Fine-tune all layers for an epoch, for the second time in the process."""
    from sklearn_bert import BertFineTuneClassifier

    texts = corpus_texts(corpus, rows)[0]
    classifier = BertFineTuneClassifier(
        max_epochs=1, max_length=MAX_LENGTH, cache=None, device="cpu", random_state=0
    )
    labels = [number % 2 for number in range(len(texts))]
    classifier.fit(texts, labels)
    return _time_and_faults(lambda: classifier.fit(texts, labels))


def _time_and_faults(work: Callable[[], Any]) -> dict[str, float]:
    faults = page_faults()
    start = time.perf_counter()
    work()
    return {
        "seconds": time.perf_counter() - start,
        "faults": page_faults() - faults,
    }


def _mapped(linear: Any, after: Any = None) -> Any:
    """Return a module with a linear map and what follows it, under the names that BERT has."""
    import torch

    class Intermediate(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = linear
            self.intermediate_act_fn = torch.nn.Identity() if after is None else after

        def forward(self, states: torch.Tensor) -> torch.Tensor:
            mapped: torch.Tensor = self.intermediate_act_fn(self.dense(states))
            return mapped

    return Intermediate()


def _linear(seconds: float) -> dict[str, tuple[float, float]]:
    import torch

    times = {}
    for dtype in native_precisions():
        for inner, outer, after in (
            (_HIDDEN, _HIDDEN, None),
            (_HIDDEN, _INTERMEDIATE, None),
            (_HIDDEN, _INTERMEDIATE, torch.nn.GELU()),
            (_INTERMEDIATE, _HIDDEN, None),
        ):
            states = torch.randn(_TOKENS // 32, 32, inner, dtype=getattr(torch, dtype))
            theirs = _mapped(torch.nn.Linear(inner, outer, dtype=states.dtype), after)
            name = f"{dtype}, {inner} to {outer}{' and GELU' if after else ''}"
            times[name] = _in_turn(theirs, _packed(theirs), states, seconds)
    return times


def _packed(module: Any) -> Any:
    """Return a copy of a module as it is in a frozen encoder."""
    from sklearn_bert.encoder.linear import pack_linear

    packed = copy.deepcopy(module)
    pack_linear(packed)
    return packed


def _attention(
    seconds: float, dtypes: Sequence[str], in_training: dict[str, float] | None = None
) -> dict[str, tuple[float, float]]:
    """Time attention, and with settings for training its gradients too."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    from sklearn_bert.encoder.attention import cpu_attention

    module = torch.nn.Module()
    module.is_causal = False
    trains = in_training is not None

    def attend(function: Callable[..., Any], qkv: Sequence[torch.Tensor]) -> None:
        attended = function(module, *qkv, None, **in_training or {})[0]
        if trains:
            attended.backward(torch.ones_like(attended))

    times = {}
    for dtype in dtypes:
        for length in _LENGTHS:
            shape = (max(1, _TOKENS // length), length, _HEADS, _HIDDEN // _HEADS)
            states = [torch.randn(shape, dtype=getattr(torch, dtype)) for _ in range(3)]
            qkv = [each.transpose(1, 2).requires_grad_(trains) for each in states]
            times[f"{dtype}, length {length}"] = _in_turn(
                partial(attend, sdpa_attention_forward),
                partial(attend, cpu_attention),
                qkv,
                seconds,
            )
    return times


def _dropout(seconds: float) -> dict[str, tuple[float, float]]:
    import torch

    from sklearn_bert.encoder.dropout import CpuDropout

    theirs, ours = torch.nn.Dropout(_DROPPED).train(), CpuDropout(_DROPPED).train()
    return {
        dtype: _in_turn(
            theirs, ours, torch.ones(_TOKENS, _HIDDEN, dtype=getattr(torch, dtype)), seconds
        )
        for dtype in _DTYPES
    }


def _new_shapes() -> dict[str, tuple[float, float]]:
    """Return median milliseconds of the first and of a later use of 40 numbers of rows."""
    import torch

    times = {}
    for dtype in native_precisions():
        states = torch.randn(_TOKENS, _HIDDEN, dtype=getattr(torch, dtype))
        layer = _packed(_mapped(torch.nn.Linear(_HIDDEN, _INTERMEDIATE, dtype=states.dtype)))
        uses = []
        for _ in range(3):
            uses.append([_milliseconds(layer, states[:rows]) for rows in range(901, 941)])
        times[dtype] = (statistics.median(uses[0]), statistics.median(uses[-1]))
    return times


def _milliseconds(function: Callable[[Any], Any], argument: Any) -> float:
    before = time.perf_counter()
    function(argument)
    return (time.perf_counter() - before) * 1e3


def _in_turn(
    theirs: Callable[[Any], Any], ours: Callable[[Any], Any], argument: Any, seconds: float
) -> tuple[float, float]:
    """Return median milliseconds of both, called alternately."""
    times: tuple[list[float], list[float]] = ([], [])
    start = time.perf_counter()
    while len(times[0]) < 5 or time.perf_counter() - start < seconds:
        for function, taken in zip((theirs, ours), times, strict=True):
            taken.append(_milliseconds(function, argument))
    return statistics.median(times[0]), statistics.median(times[1])


def _row(name: str, pairs: list[tuple[float, float]]) -> list[str]:
    theirs, ours = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    return [name, f"{theirs:.2f}", f"{ours:.2f}", f"{theirs / ours:.2f}"]

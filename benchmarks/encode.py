"""Texts per second beside other tools and the machine's limit: short, medium, long and mixed texts.

The same weights, texts and limit in tokens; processor only, each competitor in a fresh process.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import encode_tables
from benchmarks.arguments import count
from benchmarks.children import Job, Result, alternate, run_job
from benchmarks.embedded import (
    MAX_LENGTH,
    auto_precision,
    matrix_flop,
    model_config,
    model_folder,
    native_precisions,
)
from benchmarks.encode_tables import LIMIT, Competitor, name_of_run
from benchmarks.kept import working_folder
from benchmarks.matmul import limit_job
from benchmarks.report import Report, in_one_step
from benchmarks.rivals.encoders import ENCODERS, REFERENCE
from benchmarks.texts import CORPORA, corpus_texts

REPEATS = 3

_QUICK_CORPORA = ("mixed",)
_QUICK_TEXTS = 30
_WARM_UP_TEXTS = 64
# Those that would need hours for what others do in minutes get no more texts than this: every
# k-th one.
_SLOW = ("transformers pipeline", "padded tutorial loop")
_SLOW_TEXTS = 1000
# Not what anyone gets without asking for it.
_ROUNDED = f"{REFERENCE}, bfloat16"
_PRECISIONS = ("float32", "bfloat16", "float16", "float64")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument("--corpus", nargs="+", choices=CORPORA, help="default all")
    parser.add_argument(
        "--texts",
        type=count,
        metavar="N",
        help="texts of each corpus; where it has fewer, more are made of halves of two "
        "(default: all of a corpus, and 2,000 of each in the mixture)",
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=_PRECISIONS,
        help="of ours (default float32, and bfloat16 where the processor computes it natively)",
    )
    parser.add_argument(
        "--tools",
        nargs="+",
        choices=list(ENCODERS),
        default=list(ENCODERS),
        help=f"to measure beside (default all; {REFERENCE} always takes part)",
    )


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    default = [auto_precision()] if options.quick else native_precisions()
    precisions = options.precision or default
    n_texts = options.texts or (_QUICK_TEXTS if options.quick else None)
    competitors = _competitors(precisions, [REFERENCE, *options.tools])
    config = model_config()
    limit = limit_job(
        config["hidden_size"], config["intermediate_size"], "bfloat16" in precisions, options.quick
    )
    report.runs = {LIMIT: []}
    measured = []
    for corpus in options.corpus or (_QUICK_CORPORA if options.quick else CORPORA):
        texts = run_job(Job(describe, {"corpus": corpus, "n_texts": n_texts}))
        with working_folder(corpus) as folder:
            jobs = {
                name_of_run(corpus, competitor.name): _job(
                    competitor, corpus, n_texts, texts, folder
                )
                for competitor in competitors
                if not competitor.warm
            }
            # The limit is measured beside each corpus: machines drift.
            found = alternate({LIMIT: limit, **jobs}, options.repeats)
            reference = vectors_file(folder, REFERENCE)
            alike = {
                competitor.name: cosines(vectors_file(folder, _measured(competitor)), reference)
                for competitor in competitors
            }
        report.runs[LIMIT] += found.pop(LIMIT)
        report.runs |= _with_warm_passes(found)
        measured.append((corpus, texts, alike))
    for corpus, texts, alike in measured:
        encode_tables.add_corpus(report, corpus, texts, competitors, alike)
        if not options.quick:
            encode_tables.add_checks(report, corpus, auto_precision())
    encode_tables.add_limit(report)
    encode_tables.add_notes(report, precisions)


def describe(corpus: str, n_texts: int | None, folder: str | None = None) -> Result:
    """Count texts and tokens, and the operations that all of them and that each k-th cost.

    Parameters
    ----------
    corpus, n_texts
        See `benchmarks.texts.corpus_texts`.
    folder : str or None
        Of another model than the embedded one.
    """
    from transformers import AutoTokenizer

    texts, n_made = corpus_texts(corpus, n_texts, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder or model_folder())
    encoded = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    step = _step(len(texts), _SLOW_TEXTS)
    config = model_config(folder)
    return {
        "texts": len(texts),
        "made": n_made,
        "tokens": sum(lengths),
        "longest": max(lengths),
        "flop": {str(every): matrix_flop(lengths[::every], config) for every in {1, step}},
    }


def encode_ours(
    corpus: str,
    n_texts: int | None,
    step: int,
    vectors: str,
    precision: str,
    cache: str | None,
    folder: str | None = None,
    device: str = "cpu",
    n_warm_up: int = _WARM_UP_TEXTS,
) -> Result:
    """Encode with BertFeaturizer, the store cold, and once more where it is warm."""
    from sklearn_bert import BertFeaturizer
    from sklearn_bert import cache as store
    from sklearn_bert.encoder import work

    featurizer = BertFeaturizer(
        folder or model_folder(),
        device=device,
        precision=precision,
        cache=cache,
        max_length=MAX_LENGTH,
    )

    def tokens() -> tuple[int, int]:
        return work.counted().tokens, work.counted().padded_tokens

    def forget() -> None:
        if cache is not None:
            store.clear(cache)

    texts = corpus_texts(corpus, n_texts, folder)[0][::step]
    result = _timed(featurizer.transform, texts, vectors, n_warm_up, tokens, forget)
    if cache is None:
        return result
    before = work.counted()
    start = time.perf_counter()
    featurizer.transform(texts)
    seconds = time.perf_counter() - start
    again = (work.counted() - before).texts
    warm = {"seconds": seconds, "texts_per_second": len(texts) / seconds, "encoded": again}
    return {**result, "warm": warm}


def encode_rival(
    corpus: str,
    n_texts: int | None,
    step: int,
    vectors: str,
    tool: str,
    n_warm_up: int = _WARM_UP_TEXTS,
    **settings: Any,
) -> Result:
    """Encode with another tool, made with `settings`."""
    texts = corpus_texts(corpus, n_texts, settings.get("folder"))[0][::step]
    encoder = ENCODERS[tool](**settings)
    return _timed(encoder.encode, texts, vectors, n_warm_up, encoder.tokens)


def _timed(
    encode: Callable[[list[str]], Any],
    texts: list[str],
    vectors: str,
    n_warm_up: int,
    tokens: Callable[[], tuple[int, int]],
    forget: Callable[[], None] = lambda: None,
) -> Result:
    """Warm up, time one pass over all texts, and write the vectors where there are none yet."""
    encode(texts[:: _step(len(texts), n_warm_up)])
    forget()
    tokens_before, padded_before = tokens()
    start = time.perf_counter()
    result = encode(texts)
    seconds = time.perf_counter() - start
    tokens_after, padded_after = tokens()
    if not Path(vectors).exists():
        _save(vectors, result)
    return {
        "seconds": seconds,
        "texts": len(texts),
        "texts_per_second": len(texts) / seconds,
        "tokens": tokens_after - tokens_before,
        "padded_tokens": padded_after - padded_before,
    }


def _save(vectors: str, result: Any) -> None:
    """Write vectors: a run that goes on would take a torn file for a whole one."""
    with in_one_step(Path(vectors)) as part, part.open("wb") as file:
        np.save(file, np.asarray(result, dtype=np.float32))


def _competitors(precisions: Sequence[str], tools: Sequence[str]) -> list[Competitor]:
    ours = [
        Competitor(f"ours {precision}, {store}", precision, store == "warm store")
        for precision in precisions
        for store in ("no store", "cold store", "warm store")
    ]
    rounded = [Competitor(_ROUNDED, "bfloat16")] if "bfloat16" in precisions else []
    return [*ours, *(Competitor(tool, "float32") for tool in dict.fromkeys(tools)), *rounded]


def _job(
    competitor: Competitor, corpus: str, n_texts: int | None, texts: Result, folder: str
) -> Job:
    tool = competitor.name
    step = _step(texts["texts"], _SLOW_TEXTS) if tool in _SLOW else 1
    vectors = vectors_file(folder, tool)
    settings = {"corpus": corpus, "n_texts": n_texts, "step": step, "vectors": vectors}
    if tool == _ROUNDED:
        return Job(encode_rival, {**settings, "tool": REFERENCE, "dtype": "bfloat16"})
    if tool in ENCODERS:
        return Job(encode_rival, {**settings, "tool": tool})
    cache = None if tool.endswith("no store") else "memory"
    return Job(encode_ours, {**settings, "precision": competitor.precision, "cache": cache})


def _with_warm_passes(runs: dict[str, list[Result]]) -> dict[str, list[Result]]:
    """Give second passes entries of their own, and each result what it is a result of."""
    all_runs: dict[str, list[Result]] = {}
    for name, results in runs.items():
        all_runs[name] = [
            {key: value for key, value in result.items() if key != "warm"} for result in results
        ]
        if "warm" in results[0]:
            warm = [{**result["warm"], "texts": result["texts"]} for result in results]
            all_runs[name.replace("cold store", "warm store")] = warm
    for name, results in all_runs.items():
        corpus, tool = name.split(": ", 1)
        for result in results:
            result |= {"corpus": corpus, "tool": tool}
    return all_runs


def cosines(vectors_file: str, reference_file: str) -> np.ndarray:
    """Return the cosine of each text's vector to the reference's, whose texts may be more."""

    def unit(file: str) -> np.ndarray:
        vectors = np.load(file).astype(np.float64)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    vectors, reference = unit(vectors_file), unit(reference_file)
    every = -(-len(reference) // len(vectors))
    return (vectors * reference[::every]).sum(axis=1)


def _step(n: int, most: int) -> int:
    """Return k so that every k-th of `n` are no more than `most`."""
    return -(-n // most)


def vectors_file(folder: str, name: str) -> str:
    """Return where the vectors of a competitor are."""
    return str(Path(folder, f"{name.replace(' ', '-').replace(':', '')}.npy"))


def _measured(competitor: Competitor) -> str:
    """Return whose vectors are compared: a warm pass only reads those of the cold one."""
    return competitor.name.replace("warm store", "cold store")

"""The machine's limit: how fast it multiplies matrices of the shapes that an encoder has."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.children import Job

__all__ = ["best_rate", "best_rates", "limit_job"]

_TOKENS = {"cpu": (1024, 2048), "cuda": (8192, 32_768)}
_SQUARES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}
# Products that are timed together on a GPU, which works through a queue of them.
_QUEUED = 10
_DTYPES = ("float32", "bfloat16")


def limit_job(
    hidden: int, intermediate: int, bfloat16: bool, quick: bool, device: str = "cpu"
) -> Job:
    """Return the job that measures the limit for a model of this width."""
    settings = {
        "hidden": hidden,
        "intermediate": intermediate,
        "dtypes": _DTYPES if bfloat16 else _DTYPES[:1],
        "seconds": 0.05 if quick else 0.25,
        "device": device,
    }
    return Job(measure, settings)


def best_rates(rounds: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the best shape of each way: its median GFLOP/s over the rounds, and which it is.

    Parameters
    ----------
    rounds : list of dict
        What the job returned in each round.
    """
    best: dict[str, dict[str, Any]] = {}
    for way in rounds[0]["rates"]:
        for shape in rounds[0]["rates"][way]:
            rate = statistics.median(each["rates"][way][shape] for each in rounds)
            if rate > best.get(way, {"gflops": 0})["gflops"]:
                best[way] = {"gflops": rate, "shape": shape}
    return best


def best_rate(rounds: list[dict[str, Any]], precision: str) -> float:
    """Return the GFLOP/s of the best way at one precision; 0 where none was measured."""
    rates = best_rates(rounds)
    return max((rates[way]["gflops"] for way in rates if way.startswith(precision)), default=0.0)


def measure(
    hidden: int, intermediate: int, dtypes: list[str], seconds: float, device: str = "cpu"
) -> dict[str, Any]:
    """Measure every way and shape, in this process."""
    import torch

    shapes = [
        shape
        for n in _TOKENS[device]
        for shape in ((n, hidden, intermediate), (n, intermediate, hidden), (n, hidden, hidden))
    ]
    shapes += [(n, n, n) for n in _SQUARES[device]]
    rates: dict[str, dict[str, float]] = {}
    with torch.inference_mode():
        for rows, inner, columns in shapes:
            flop = 2 * rows * inner * columns
            for dtype in dtypes:
                for way, product in _ways(rows, inner, columns, dtype, device):
                    rate = flop / _median_seconds(product, seconds, device) / 1e9
                    by_shape = rates.setdefault(f"{dtype} {way}", {})
                    name = f"{rows}x{inner}x{columns}"
                    by_shape[name] = max(rate, by_shape.get(name, 0.0))
    return {"rates": rates, "threads": torch.get_num_threads()}


def _ways(
    rows: int, inner: int, columns: int, dtype: str, device: str
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the ways to multiply; of two with one name the faster counts.

    torch's float32 product goes through MKL where torch was built with it, which on some
    processors reaches half of what oneDNN does there; hence oneDNN by itself.
    """
    import torch
    from torch.nn.functional import conv2d, linear

    a = torch.randn(rows, inner, device=device).to(getattr(torch, dtype))
    b = torch.randn(inner, columns, device=device).to(a.dtype)
    weight = b.T.contiguous()
    yield "torch.matmul", lambda: a @ b
    yield "torch.matmul", lambda: linear(a, weight)
    if device == "cpu" and dtype == "float32" and torch.backends.mkldnn.is_available():
        packed = weight.to_mkldnn()
        yield "oneDNN", lambda: linear(a.to_mkldnn(), packed).to_dense()
        pixels, window = a.view(1, rows, 1, inner).permute(0, 3, 1, 2), weight[:, :, None, None]
        yield "oneDNN", lambda: conv2d(pixels, window)


def _median_seconds(product: Callable[[], Any], seconds: float, device: str) -> float:
    import torch

    together = _QUEUED if device == "cuda" else 1
    finish = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(3):
        product()
    finish()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        for _ in range(together):
            product()
        finish()
        times.append((time.perf_counter() - before) / together)
    return statistics.median(times)

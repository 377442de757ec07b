"""Where and how the encoder runs: device, precision, batch size, backing off without memory."""

from __future__ import annotations

import contextlib
import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from sklearn_bert.encoder.interruptions import before_batch
from sklearn_bert.errors import parameter_error
from sklearn_bert.validation import check_integer, is_word

__all__ = [
    "PRECISIONS",
    "Budget",
    "ToHost",
    "ahead",
    "has_matrix_units",
    "has_native_bfloat16",
    "has_slow_mkl",
    "in_batches",
    "is_out_of_memory",
    "length_multiple",
    "prepare_heap",
    "resolve_batch_tokens",
    "resolve_device",
    "resolve_precision",
    "to_device",
    "with_gradients",
    "without_autocast",
]

S = TypeVar("S")
T = TypeVar("T")

PRECISIONS: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
_NATIVE_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
# Padded tokens for which one forward pass is fastest, by type of device.
_BATCH_TOKENS = {"cpu": 2048, "cuda": 131_072}
_BATCH_TOKENS_ELSEWHERE = 32_768
# Where bfloat16 has matrix units, all that is done once a batch weighs more.
_BATCH_TOKENS_OF_MATRIX_UNITS = 4096
# What lengths are a multiple of, so that kernels find rows of a mask where they can read them.
_LENGTH_MULTIPLES = {"cuda": 8}
# Results that a GPU may owe. As long as it owes no more it is not waited for.
_OWED_BYTES = 2**28
# Just under the largest block that glibc's thresholds follow (mallopt(3)).
_HEAP_BLOCK_BYTES = 31 * 2**20


def resolve_device(device: Any) -> torch.device:
    """Return the torch device that a `device` parameter means.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes a GPU where there is one.

    Raises
    ------
    ValueError
        If the device is unknown or is not on this machine.
    """
    if is_word(device, "auto"):
        return _best_device()
    try:
        if not isinstance(device, (str, torch.device)):
            raise TypeError
        resolved = torch.device(device)
    except (RuntimeError, TypeError, ValueError):
        raise parameter_error("device", device, _available_devices()) from None
    counts = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if (resolved.index or 0) >= counts.get(resolved.type, 0):
        remedy = "Pass device='auto', or install a PyTorch build that supports the hardware."
        raise parameter_error("device", str(device), _available_devices(), remedy)
    if str(resolved) == "cuda":
        return torch.device("cuda", torch.cuda.current_device())
    return resolved


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return the precision to compute in: `precision`, or for "auto" the fastest safe one.

    Parameters
    ----------
    precision : str
        "auto" means bfloat16 where `device` computes it natively, else float32.
    device : torch.device
        Where the encoder runs.

    Raises
    ------
    ValueError
        If the precision is unknown.
    """
    if is_word(precision, "auto"):
        return "bfloat16" if has_native_bfloat16(device) else "float32"
    if not isinstance(precision, str) or precision not in PRECISIONS:
        raise parameter_error("precision", precision, ["auto", *PRECISIONS])
    return precision


def has_native_bfloat16(device: torch.device) -> bool:
    """Say whether a device computes in bfloat16 without converting to float32 and back."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bool(_NATIVE_BFLOAT16_FLAGS & _cpu_flags())


def has_matrix_units() -> bool:
    """Say whether the processor multiplies matrices of bfloat16 by units of their own (AMX)."""
    return "amx_bf16" in _cpu_flags()


def has_slow_mkl() -> bool:
    """Say whether the processor has AVX-512 that MKL leaves alone, as it is not Intel's."""
    return "avx512f" in _cpu_flags() and _cpu_line("vendor_id") != "GenuineIntel"


@functools.cache
def prepare_heap() -> None:
    """Have the C library keep freed blocks as large as a batch's states.

    glibc gives large blocks back to the system when they are freed and takes them anew for the next
    layer, with a page fault for every 4 KiB. It keeps blocks up to the size of the largest one that
    was ever freed. The measurements are in docs/decisions/0004-cpu-speed.md.
    """
    torch.empty(_HEAP_BLOCK_BYTES, dtype=torch.uint8)


def resolve_batch_tokens(batch_tokens: int | str, device: torch.device, precision: str) -> int:
    """Return the number of padded tokens for one forward pass."""
    if is_word(batch_tokens, "auto"):
        if device.type == "cpu" and precision == "bfloat16" and has_matrix_units():
            return _BATCH_TOKENS_OF_MATRIX_UNITS
        return _BATCH_TOKENS.get(device.type, _BATCH_TOKENS_ELSEWHERE)
    accepted = "'auto', or a number of tokens"
    check_integer("batch_tokens", batch_tokens, minimum=1, accepted=accepted)
    return int(batch_tokens)


def length_multiple(device: torch.device) -> int:
    """Return what the lengths of batches on a device are a multiple of."""
    return _LENGTH_MULTIPLES.get(device.type, 1)


def to_device(inputs: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """Return tensors where a model takes them; a GPU is not waited for."""
    if device.type != "cuda":
        return {name: tensor.to(device) for name, tensor in inputs.items()}
    return {name: _pinned(given).to(device, non_blocking=True) for name, given in inputs.items()}


@contextlib.contextmanager
def with_gradients() -> Iterator[None]:
    """Make weights that can be trained, and train them, whether the caller wants gradients or not.

    Whoever has switched them off means passes of their own.
    """
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextlib.contextmanager
def without_autocast(device: torch.device) -> Iterator[None]:
    """Compute in the types that tensors have, in whatever autocast the caller may be.

    As long as that goes on, PyTorch would keep what an inner autocast made of weights, however they
    are trained.
    """
    with torch.autocast(device.type, enabled=False):
        try:
            yield
        finally:
            torch.clear_autocast_cache()


def _pinned(tensor: torch.Tensor) -> torch.Tensor:
    """Copy a tensor to where a GPU fetches it by itself."""
    if tensor.is_floating_point():
        # States; NumPy has no bfloat16.
        return tensor.pin_memory()
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    # torch would take several threads for token ids, which then wait for cores that tokenize.
    np.copyto(pinned.numpy(), tensor.numpy())
    return pinned


class Budget:
    """Padded tokens for one forward pass; halves itself when memory runs out.

    Parameters
    ----------
    tokens : int
        What to start with.
    device : torch.device
        Where the passes run.
    """

    def __init__(self, tokens: int, device: torch.device) -> None:
        self.tokens = tokens
        self._device = device

    def run(self, work: Callable[[], T], tokens: int) -> T | None:
        """Return `work()`, or None with a smaller budget if there was not enough memory.

        Parameters
        ----------
        work : callable
            A forward pass.
        tokens : int
            What it takes, about; half of it is the budget next time.

        Raises
        ------
        torch.OutOfMemoryError or RuntimeError
            If there is not enough memory for a single token.
        """
        try:
            return work()
        except RuntimeError as error:
            if not is_out_of_memory(error) or self.tokens <= 1:
                raise
        self.tokens = max(1, min(self.tokens, tokens) // 2)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None


def in_batches(
    lengths: np.ndarray,
    batch_end: Callable[[np.ndarray, int, int], int],
    budget: Budget,
    forward: Callable[[int, int], None],
) -> None:
    """Call `forward(start, stop)` for one batch after another, smaller ones if memory runs out.

    Parameters
    ----------
    lengths : ndarray of int
        Tokens of each item, longest first.
    batch_end : callable
        From lengths, start and a number of tokens to where the batch ends.
    budget : Budget
        Padded tokens of a batch.
    forward : callable
        One forward pass.
    """
    start = 0
    while start < len(lengths):
        before_batch()
        stop = batch_end(lengths, start, budget.tokens)
        if budget.run(_and_say_so(forward, start, stop), int(lengths[start]) * (stop - start)):
            start = stop


def _and_say_so(forward: Callable[[int, int], None], start: int, stop: int) -> Callable[[], bool]:
    def run() -> bool:
        forward(start, stop)
        return True

    return run


class ToHost:
    """Hands over what a device computed; a GPU goes on computing meanwhile.

    What a GPU computed is handed over when it has more before it, so that the work that is done
    with it fills the time in which the GPU is at that.

    Parameters
    ----------
    device : torch.device
        Where tensors come from.
    """

    def __init__(self, device: torch.device) -> None:
        self._behind = device.type == "cuda"
        self._owed: deque[tuple[int, Callable[[], None]]] = deque()

    def send(self, tensor: torch.Tensor, take: Callable[[np.ndarray], None]) -> None:
        """Have `take` be called with the values of `tensor`, now or later."""
        if not self._behind:
            take(tensor.cpu().numpy())
            return
        copied = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        copied.copy_(tensor, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record(torch.cuda.current_stream(tensor.device))

        def hand_over() -> None:
            arrived.synchronize()
            take(copied.numpy())

        self._owed.append((copied.nbytes, hand_over))
        while len(self._owed) > 1 and sum(size for size, _ in self._owed) > _OWED_BYTES:
            self._hand_over_first()

    def finish(self) -> None:
        """Hand over what was not yet."""
        while self._owed:
            self._hand_over_first()

    def _hand_over_first(self) -> None:
        _, hand_over = self._owed.popleft()
        hand_over()


def ahead(make: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """Yield what is made of each item; a thread makes the next while the caller works on one."""
    pending: Future[T] | None = None
    with ThreadPoolExecutor(max_workers=1) as pool:
        for item in items:
            made, pending = pending, pool.submit(make, item)
            if made is not None:
                yield made.result()
        if pending is not None:
            yield pending.result()


def _best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _available_devices() -> list[str]:
    names = ["auto", "cpu"]
    names += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    names += ["mps"] if torch.backends.mps.is_available() else []
    return names


def _cpu_flags() -> frozenset[str]:
    """Return the processor's features, as far as the system lists them."""
    return _words(_cpu_line("flags"))


@functools.cache
def _words(line: str) -> frozenset[str]:
    """Return the words of a line; attention asks for the processor's in each layer."""
    return frozenset(line.split())


@functools.cache
def _cpu_line(name: str) -> str:
    """Return what the system says of the first processor under a name, "" where it doesn't."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error means that a device has too little memory."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


if hasattr(os, "register_at_fork"):
    # OpenMP's threads do not survive a fork, and a child that waits for them hangs.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))

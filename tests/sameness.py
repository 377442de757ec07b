"""Whether two fitted estimators are the same, to the last bit: all that they hold is compared."""

import copy
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any
from weakref import WeakMethod

import numpy as np
import torch

# How long an epoch took is no result.
_TIMES = {"seconds", "dur", "epoch_start_time_"}


def fitted_state(estimator: Any) -> dict[str, Any]:
    """Return all that an estimator holds beside its parameters."""
    parameters = estimator.get_params(deep=False)
    return {name: value for name, value in vars(estimator).items() if name not in parameters}


def snapshot(estimator: Any) -> dict[str, Any]:
    """Return a copy of it, which later fits can't reach."""
    return copy.deepcopy(fitted_state(estimator))


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Return the places at which two objects differ; those that took time are left out."""
    return list(_differences(one, other, at, set()))


def _differences(one: Any, other: Any, at: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    if one is other or (id(one), id(other)) in seen:
        return
    seen.add((id(one), id(other)))
    if type(one) is not type(other):
        yield f"{at}: {type(one).__name__} and {type(other).__name__}"
    elif isinstance(one, (np.ndarray, torch.Tensor)):
        if one.dtype != other.dtype or not np.array_equal(_array(one), _array(other)):
            yield at
    elif isinstance(one, Mapping):
        yield from _of_mappings(one, other, at, seen)
    elif isinstance(one, (list, tuple)):
        if len(one) != len(other):
            yield f"{at}: {len(one)} and {len(other)} items"
        for number, pair in enumerate(zip(one, other, strict=False)):
            yield from _differences(*pair, f"{at}[{number}]", seen)
        if hasattr(one, "__dict__"):
            yield from _of_mappings(vars(one), vars(other), at, seen)
    elif isinstance(one, WeakMethod):
        yield from _of_mappings(_parts(one()), _parts(other()), at, seen)
    elif isinstance(one, FunctionType) and one.__code__ is other.__code__:
        # What holds them makes the same functions anew in each fit.
        yield from _differences(_closure(one), _closure(other), f"{at}.__closure__", seen)
    elif isinstance(one, (type, FunctionType)) or not hasattr(one, "__dict__"):
        if one != other and not _both_nan(one, other):
            yield f"{at}: {one!r} and {other!r}"
    else:
        yield from _of_mappings(vars(one), vars(other), at, seen)


def _of_mappings(one: Any, other: Any, at: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    # torch numbers the hooks of all modules of a process.
    if set(one) != set(other) and "_hooks" not in at.rpartition(".")[2]:
        yield f"{at}: names {sorted(map(str, set(one) ^ set(other)))}"
    for name in one:
        if name in other and name not in _TIMES:
            yield from _differences(one[name], other[name], f"{at}.{name}", seen)


def _parts(method: Any) -> dict[str, Any]:
    return {} if method is None else {"self": method.__self__, "function": method.__func__}


def _closure(function: Any) -> list[Any]:
    return [cell.cell_contents for cell in function.__closure__ or ()]


def _array(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values


def _both_nan(one: Any, other: Any) -> bool:
    return isinstance(one, float) and bool(np.isnan(one)) and bool(np.isnan(other))

"""From `freeze` and `unfreeze` to the parameters that train, and the depth that is kept."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from sklearn_bert.errors import parameter_error

__all__ = ["Freezing", "resolve_freeze", "unfreeze_gradually"]

_SHOWN = 5


@dataclass(frozen=True)
class Freezing:
    """What of an encoder trains.

    Attributes
    ----------
    depth : int
        Layers, counted from below, that are frozen as a whole: their output is kept. The number
        of layers if nothing of the encoder trains.
    trainable : frozenset of str
        Names of the parameters that train.
    """

    depth: int
    trainable: frozenset[str]

    @classmethod
    def of(
        cls,
        trainable: Iterable[str],
        places: Mapping[str, int | None],
        n_layers: int,
        shares_layers: bool = False,
    ) -> Freezing:
        """Return the freezing in which these parameters train; the depth follows from them.

        Raises
        ------
        KeyError
            If the model has no such parameter.
        """
        names = frozenset(trainable)
        # What several layers share is in use from the lowest on.
        lowest = [0 if shares_layers else places[name] or 0 for name in names]
        # The last layer runs again where only what follows it trains: kept states end before it.
        depth = min([n_layers, *(max(0, min(place, n_layers - 1)) for place in lowest)])
        return cls(depth, names)


def resolve_freeze(
    freeze: Any,
    unfreeze: Any,
    n_layers: int,
    places: Mapping[str, int | None],
    shares_layers: bool = False,
) -> Freezing:
    """Return what trains.

    Parameters
    ----------
    freeze : {"none", "embeddings", "all"} or int
        What is frozen: nothing; the embeddings; the whole encoder; embeddings and the lowest
        layers (0 and above); or all but the top layers (negative).
    unfreeze : list of str or None
        Patterns of parameter names that train all the same.
    n_layers : int
        Layers of the model.
    places : dict of str to int or None
        From `parameter_places`.
    shares_layers : bool, default=False
        Whether the layers are one and the same module.

    Raises
    ------
    ValueError
        If the model can't be frozen so, or a pattern matches nothing.
    """
    n_frozen = _frozen_layers(freeze, n_layers, shares_layers)
    trainable = {name for name, place in places.items() if _trains(place, n_frozen, n_layers)}
    for pattern in _patterns(unfreeze):
        trainable |= _matching(pattern, list(places))
    return Freezing.of(trainable, places, n_layers, shares_layers)


def unfreeze_gradually(
    freezing: Freezing,
    n_epochs: int,
    n_layers: int,
    places: Mapping[str, int | None],
    shares_layers: bool = False,
    trained: Collection[str] = (),
) -> list[Freezing]:
    """Return what trains in the first epochs; the last holds in all that follow.

    At first the head alone, then one layer more in each epoch, from the top down, and the
    embeddings in the end (ULMFiT, arXiv 1801.06146). What several layers share comes with the
    lowest, what follows the layers with the highest; layers that are one module come as one.

    Parameters
    ----------
    freezing : Freezing
        What may train at all.
    n_epochs : int
        Epochs there will be.
    n_layers, places, shares_layers
        As in `resolve_freeze`.
    trained : collection of str
        Names of parameters that are not as pretrained any more. They train from the first epoch,
        since what passes them can't be kept.
    """
    n_steps = 1 if shares_layers else n_layers
    heights = {name: min(places[name] or 0, n_steps - 1) for name in freezing.trainable}
    stages = []
    for lowest in range(n_steps, max(n_steps - n_epochs, -2), -1):
        reached = {name for name, height in heights.items() if height >= lowest}
        trainable = reached | (freezing.trainable & set(trained))
        stages.append(Freezing.of(trainable, places, n_layers, shares_layers))
    return stages


def _frozen_layers(freeze: Any, n_layers: int, shares_layers: bool) -> int:
    """Return how many layers are frozen, -1 if even the embeddings train."""
    if isinstance(freeze, str) and freeze in ("none", "embeddings", "all"):
        return {"none": -1, "embeddings": 0, "all": n_layers}[freeze]
    whole = isinstance(freeze, Integral) and not isinstance(freeze, bool)
    if shares_layers:
        raise parameter_error(
            "freeze",
            freeze,
            ["none", "embeddings", "all"],
            "The layers of this model share their weights, so they are frozen all or none.",
        )
    if not whole or not -n_layers <= freeze <= n_layers:
        raise parameter_error(
            "freeze",
            freeze,
            f"'none', 'embeddings', 'all', 0 to {n_layers} (so many of the lowest layers and the "
            f"embeddings are frozen), or -1 to {-n_layers} (all but so many of the top layers are)",
            f"The model has {n_layers} layers.",
        )
    return int(freeze) if freeze >= 0 else n_layers + int(freeze)


def _trains(place: int | None, n_frozen: int, n_layers: int) -> bool:
    if n_frozen == n_layers:
        return False
    if place is None:
        return n_frozen <= 0
    return place >= n_frozen


def _patterns(unfreeze: Any) -> list[str]:
    if unfreeze is None:
        return []
    is_list = isinstance(unfreeze, Sequence) and not isinstance(unfreeze, str)
    if not is_list or not all(isinstance(pattern, str) and pattern for pattern in unfreeze):
        raise parameter_error(
            "unfreeze", unfreeze, "None, or a list of patterns such as ['layer.5.output']"
        )
    return list(unfreeze)


def _matching(pattern: str, names: list[str]) -> set[str]:
    """Return the names in which the pattern stands between dots, or at an end."""
    glob = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    matcher = re.compile(rf"(?:.*\.)?{glob}(?:\..*)?")
    found = {name for name in names if matcher.fullmatch(name)}
    if found:
        return found
    parts = [name.split(".") for name in names]
    runs = {
        ".".join(part[i:j])
        for part in parts
        for i in range(len(part))
        for j in range(i + 1, len(part) + 1)
    }
    near = difflib.get_close_matches(pattern, sorted(runs), n=_SHOWN, cutoff=0.5)
    raise parameter_error(
        "unfreeze",
        pattern,
        "patterns that match names of the model's parameters",
        f"It matches none of {len(names)}. Near are: {', '.join(near or sorted(names)[:_SHOWN])}.",
    )

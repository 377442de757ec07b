"""Every recipe by the name that it has on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.rivals import setfit, skorch_recipe, trainer, tutorial
from benchmarks.rivals.training import Trained

__all__ = ["RECIPES", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """How one rival is trained.

    Attributes
    ----------
    title : str
        Its name in tables.
    train : callable
        See `benchmarks.rivals.training`.
    """

    title: str
    train: Callable[..., Trained]


RECIPES = {
    "trainer": Recipe("transformers Trainer", trainer.train_defaults),
    "expert": Recipe("transformers Trainer, expert", trainer.train_expert),
    "skorch": Recipe("skorch + transformers", skorch_recipe.train),
    "padded": Recipe("tutorial, padded to 512", tutorial.train_padded),
    "items": Recipe("tutorial, text by text", tutorial.train_item_by_item),
    "setfit": Recipe("SetFit", setfit.train),
}

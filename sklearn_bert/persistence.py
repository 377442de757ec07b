"""What a fitted estimator keeps of a pretrained encoder: its identity, and not its weights."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from sklearn_bert.encoder.checkpoint import Checkpoint, load_checkpoint
from sklearn_bert.encoder.execution import (
    resolve_batch_tokens,
    resolve_device,
    resolve_precision,
)
from sklearn_bert.encoder.frozen import FrozenEncoder
from sklearn_bert.errors import ModelLoadError
from sklearn_bert.store import open_store

__all__ = ["EncoderReference", "check_same"]


def check_same(
    model: str | os.PathLike[str],
    checkpoint: Checkpoint,
    fingerprint: str,
    tokenizer_fingerprint: str,
) -> None:
    """Raise if what a model's name led to is not what it led to in a fit.

    Parameters
    ----------
    model : str or path
        The name.
    checkpoint : Checkpoint
        What it leads to now.
    fingerprint, tokenizer_fingerprint : str
        What it led to; empty where nothing is known of it.

    Raises
    ------
    ModelLoadError
        If weights or tokenizer are others.
    """
    for what, found, expected in (
        ("other weights", checkpoint.fingerprint, fingerprint),
        ("another tokenizer", checkpoint.tokenizer_fingerprint, tokenizer_fingerprint),
    ):
        if expected and found != expected:
            raise ModelLoadError(
                f"model={model!r} has {what} than this estimator was fitted with "
                f"(fingerprint {found[:12]}, then {expected[:12]}). Put the model back that it was "
                f"fitted with, or fit anew."
            )


@dataclass(frozen=True)
class EncoderReference:
    """A frozen encoder that can be pickled: the shared copy is found again where it is loaded.

    Attributes
    ----------
    model, revision, max_length, device, precision, cache : object
        The parameters of the estimator.
    fingerprint : str
        Digest of the weights; empty before the first use.
    tokenizer_fingerprint : str
        Digest of the tokenizer; empty before the first use.
    """

    model: str | os.PathLike[str]
    revision: str | None
    max_length: int | None
    device: Any
    precision: str
    cache: str | os.PathLike[str] | None
    fingerprint: str = ""
    tokenizer_fingerprint: str = ""
    _encoder: list[FrozenEncoder] = field(default_factory=list, compare=False, repr=False)

    def encoder(self, verbose: int = 0) -> FrozenEncoder:
        """Return the encoder, loading it if this process has none yet.

        Raises
        ------
        ModelNotFoundError
            If the model is in no place that could be reached.
        ModelLoadError
            If it is not the one that it was.
        """
        if not self._encoder:
            self._encoder.append(self._load(verbose))
        return self._encoder[0]

    def known(self) -> EncoderReference:
        """Return the reference with the fingerprints of what is loaded."""
        checkpoint = self.encoder().checkpoint
        return replace(
            self,
            fingerprint=checkpoint.fingerprint,
            tokenizer_fingerprint=checkpoint.tokenizer_fingerprint,
        )

    def is_of(self, checkpoint: Checkpoint) -> bool:
        """Say whether a checkpoint has the weights and the tokenizer that are referred to."""
        found = checkpoint.fingerprint, checkpoint.tokenizer_fingerprint
        return found == (self.fingerprint, self.tokenizer_fingerprint)

    def _load(self, verbose: int) -> FrozenEncoder:
        store = open_store(self.cache)
        device = self._device()
        precision = resolve_precision(self.precision, device)
        checkpoint = load_checkpoint(self.model, self.revision, device, precision)
        check_same(self.model, checkpoint, self.fingerprint, self.tokenizer_fingerprint)
        return FrozenEncoder(
            checkpoint,
            store,
            checkpoint.resolve_max_length(self.max_length),
            "truncate",
            resolve_batch_tokens("auto", device, precision),
            verbose,
            for_tuning=True,
        )

    def _device(self) -> torch.device:
        """Return the device asked for; what was fitted on one that is not here runs on another."""
        try:
            return resolve_device(self.device)
        except ValueError:
            if not self.fingerprint:
                raise
            return resolve_device("auto")

    def __getstate__(self) -> dict[str, Any]:
        """Leave the weights out."""
        return self.__dict__ | {"_encoder": []}

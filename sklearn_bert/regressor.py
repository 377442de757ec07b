"""BertFineTuneRegressor: an encoder such as BERT fine-tuned to any depth, as a regressor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from sklearn_bert.arrays import as_array, as_numbers, check_sample_weight
from sklearn_bert.finetuning import BertFineTuneBase
from sklearn_bert.samples import Samples, Targets
from sklearn_bert.training.losses import SquaredError
from sklearn_bert.training.module import FineTuneModule
from sklearn_bert.training.net import RegressorNet
from sklearn_bert.validation import check_no_missing, check_target_given

__all__ = ["BertFineTuneRegressor"]


class BertFineTuneRegressor(RegressorMixin, BertFineTuneBase):
    """Fine-tune a pretrained encoder to predict numbers, with as much of it frozen as you like.

    As :class:`BertFineTuneClassifier`, with a squared loss. Targets are scaled to a mean of 0 and
    a standard deviation of 1 for training, each output by itself, and predictions scaled back.

    Parameters
    ----------
    model, freeze, unfreeze, pooling, pairs, hidden_layer_sizes, activation, dropout, max_epochs, \
batch_size, lr, head_lr, layer_lr_decay, weight_decay, lr_schedule, warmup, gradual_unfreezing, \
max_grad_norm, gradient_accumulation, gradient_checkpointing, early_stopping, \
validation_fraction, n_iter_no_change, max_length, device, precision, cache, callbacks, \
warm_start, random_state, revision, verbose :
        As in :class:`BertFineTuneClassifier`.

    Attributes
    ----------
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        Mean and standard deviation of the targets that were trained on, with their weights.
    n_outputs_ : int
        Number of targets.
    history_ : list of dict
        As in :class:`BertFineTuneClassifier`; losses are of scaled targets, ``valid_score`` is the
        coefficient of determination.
    net_ : skorch.NeuralNetRegressor
        What was trained, on scaled targets.
    lr_, head_lr_, depth_, n_trainable_parameters_, device_, precision_, max_length_, \
takes_pairs_, feature_names_in_ :
        As in :class:`BertFineTuneClassifier`.

    Examples
    --------
    >>> from sklearn_bert import BertFineTuneRegressor
    >>> texts = ["What a wonderful film", "Dull from start to end", "I loved it", "Boring"]
    >>> stars = [5.0, 1.0, 4.5, 1.5]
    >>> regressor = BertFineTuneRegressor(freeze=-1, max_epochs=8, random_state=0)
    >>> good, bad = regressor.fit(texts, stars).predict(["A lovely film", "So boring"])
    >>> print(good > bad)
    True
    """

    _saved_attributes = ("flat_", "n_outputs_", "target_mean_", "target_scale_")

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> BertFineTuneRegressor:
        """Train the head, and the layers that are not frozen.

        Parameters
        ----------
        X : container of str of shape (n_samples,), or of text pairs of shape (n_samples, 2)
            The texts.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            What each sample counts; only proportions matter. Those of 0 are left out.
        X_val, y_val : as X and y, default=None
            Validation data: scored before the first epoch and after each, and used for early
            stopping.
        sample_weight_val : array-like of shape (n_validation_samples,), default=None
            What each validation sample counts in the loss; only proportions matter. Those of 0 are
            left out of the score too.

        Returns
        -------
        self : BertFineTuneRegressor

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data can't be used; the message says what is accepted.
        ModelNotFoundError, ModelLoadError
            If the model is in no place that could be reached, or can't be used.
        TrainingDivergedError
            If the loss became infinite or no number. The best weights so far are kept.
        """
        self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the numbers predicted for each text.

        Parameters
        ----------
        X : container of str of shape (n_samples,), or of text pairs of shape (n_samples, 2)
            The texts.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            As `y` was.
        """
        predicted = self._outputs(X) * self.target_scale_ + self.target_mean_
        return predicted.ravel() if self.flat_ else predicted

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination.

        Parameters
        ----------
        X : container of str of shape (n_samples,), or of text pairs of shape (n_samples, 2)
            The texts.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            True numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            What each sample counts.

        Returns
        -------
        float
            At most 1; the mean over several outputs.
        """
        predicted = self.predict(X)
        numbers = _check_numbers("y", y, len(predicted))
        weights = check_sample_weight("sample_weight", sample_weight, len(predicted))
        if numbers.size != predicted.size:
            raise ValueError(
                f"y has shape {numbers.shape}. Accepted: {predicted.shape}, as the model predicts."
            )
        return float(r2_score(numbers.reshape(predicted.shape), predicted, sample_weight=weights))

    def _encode_targets(self, y: Any, n_samples: int) -> Targets:
        numbers = _check_numbers("y", y, n_samples)
        columns = numbers.reshape(n_samples, -1)
        fitted = {"flat_": numbers.ndim == 1, "n_outputs_": columns.shape[1]}
        if self._goes_on and self.n_outputs_ != columns.shape[1]:
            raise ValueError(
                f"warm_start=True can't go on with another number of outputs: fitted were "
                f"{self.n_outputs_}, y has {columns.shape[1]}. Pass warm_start=False."
            )
        return Targets(columns, columns.shape[1], fitted)

    def _encode_validation_targets(self, y: Any, n_samples: int, targets: Targets) -> np.ndarray:
        columns = _check_numbers("y_val", y, n_samples).reshape(n_samples, -1)
        if columns.shape[1] != targets.n_outputs:
            raise ValueError(
                f"y_val has {columns.shape[1]} outputs and y has {targets.n_outputs}. Accepted: as "
                f"many as y has."
            )
        return columns

    def _saved_targets(self, fitted: dict[str, Any], n_outputs: int) -> Targets:
        attributes = {name: fitted[name] for name in self._saved_attributes}
        shapes = {np.shape(attributes[name]) for name in ("target_mean_", "target_scale_")}
        if shapes != {(n_outputs,)} or attributes["n_outputs_"] != n_outputs:
            raise ValueError(f"The head has {n_outputs} outputs, and targets have {shapes}.")
        return Targets(np.empty(0), n_outputs, attributes)

    def _prepare(
        self, samples: Samples, validation: Samples | None, targets: Targets
    ) -> tuple[Samples, Samples | None, dict[str, Any]]:
        samples = samples.weighted(None)
        if self._goes_on:
            mean, scale = self.target_mean_, self.target_scale_
        else:
            mean, scale = _mean_and_scale(samples.y, samples.weights)

        def scaled(of: Samples) -> Samples:
            return replace(of, y=((of.y - mean) / scale).astype(np.float32))

        held_out = validation and scaled(validation)
        learnt = {"target_mean_": mean, "target_scale_": scale}
        return scaled(samples), held_out, learnt

    def _net(self, module: FineTuneModule, targets: Targets, **settings: Any) -> RegressorNet:
        return RegressorNet(module, criterion=SquaredError, **settings)

    def __sklearn_tags__(self) -> Any:
        """Add that there may be several targets."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _mean_and_scale(y: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column, 1 for those of constants."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.average(y, axis=0, weights=weights)
        scale = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weights))
    if not np.isfinite(scale).all():
        raise ValueError(
            f"y has numbers up to {np.abs(y).max():.3g}, whose squares are too big for a float. "
            f"Accepted: numbers up to about 1e150. Divide them by a constant."
        )
    rounding = 10 * np.finfo(y.dtype).eps * np.abs(mean)
    return mean, np.where(scale > rounding, scale, 1.0)


def _check_numbers(name: str, y: Any, n_samples: int) -> np.ndarray:
    """Return targets as floats, or raise for what is none."""
    check_target_given(name, y)
    accepted = (
        "numbers of shape (n_samples,) or (n_samples, n_outputs); for labels use "
        "BertFineTuneClassifier"
    )
    array = as_array(name, y, n_samples, "numbers", accepted)
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}. Accepted: {accepted}.")
    numbers = as_numbers(name, array, accepted)
    missing = np.isnan(numbers).reshape(n_samples, -1).any(axis=1)
    check_no_missing(name, np.where(missing, np.nan, 0.0))
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} has infinite values. Accepted: finite numbers. Drop these rows.")
    return numbers

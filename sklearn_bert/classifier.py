"""BertFineTuneClassifier: an encoder such as BERT fine-tuned to any depth, as a classifier."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from sklearn_bert.arrays import check_sample_weight
from sklearn_bert.encoder.sources import EMBEDDED_MODEL
from sklearn_bert.finetuning import BertFineTuneBase
from sklearn_bert.labels import KINDS, Labels, are_there, as_labels, learn_labels
from sklearn_bert.samples import Samples, Targets
from sklearn_bert.training.module import FineTuneModule
from sklearn_bert.training.net import FineTuning

__all__ = ["BertFineTuneClassifier"]


class BertFineTuneClassifier(ClassifierMixin, BertFineTuneBase):
    """Fine-tune a pretrained encoder such as BERT, with as much of it frozen as you like.

    A head on top of the encoder is trained, and the layers above `freeze`. What is frozen is
    computed once for each distinct text and kept in `cache`, where other epochs, folds, grid
    candidates and estimators find it.

    Parameters
    ----------
    model : str or path, default="sentence-transformers/all-MiniLM-L6-v2"
        A folder with a saved model, or a name on the Hugging Face Hub. The default comes with the
        `embedded` extra and needs no network.
    freeze : {"none", "embeddings", "all"} or int, default="none"
        What is not trained: nothing; the embeddings; the whole encoder, so that the head alone is
        trained; ``k >= 0``: the embeddings and the lowest k layers; ``-d``: all but the top d
        layers. The grid ``["all", -1, -2, -3, "none"]`` suits any model of three layers or more but
        ALBERT, whose layers share their weights.
    unfreeze : list of str, default=None
        Parameters that are trained all the same, by parts of their names, such as
        ``["layer.5.output"]``; ``*`` stands for anything.
    pooling : {"cls", "mean", "max", "last", "pooler"} or list of these, default="mean"
        How the states of a text's tokens become one vector; several are concatenated. Where the
        first token alone is read ("cls", "pooler", or both), the last layer computes it alone in
        BERT, RoBERTa, XLM-R, CamemBERT, ELECTRA and DistilBERT, and epochs with ``freeze=-1`` take
        a fraction of the time that they take with "mean".
    pairs : {"joint", "separate"}, default="joint"
        How text pairs are read: as one text, whose tokens see each other, or each half by itself;
        then the head is given ``[u, v, |u - v|, u * v]`` of the vectors of the halves (InferSent,
        arXiv 1705.02364), and `max_length` is that of a half. Try "separate" with ``freeze="all"``
        where labelled pairs are few.
    hidden_layer_sizes : tuple of int, default=()
        Hidden layers of the head; none is a linear head.
    activation : {"identity", "logistic", "tanh", "relu", "gelu"}, default="relu"
        Between the head's layers.
    dropout : float, default=0.1
        In the head, before each of its linear maps. The encoder has its own.
    max_epochs : int, default=3
        Passes over the training data.
    batch_size : int, default=32
        Texts, or pairs, in a batch. Batches hold texts of like length.
    lr : float or "auto", default="auto"
        Learning rate of the encoder's top layer (AdamW). "auto" goes by the width of the encoder:
        2e-4 for 384, 5e-5 for 768 (BERT-base), 2.8e-5 for 1,024.
    head_lr : float or "auto", default="auto"
        Learning rate of the head. "auto" is 1e-3 where layers train, too. Where the head trains
        alone it goes by the steps of the training, 0.3 / steps, and is at least 1e-3 (300 steps or
        more) and at most 1e-2 (30 or fewer); for a head that reads more than 384 features it is as
        many times lower, but not below 1e-3.
    layer_lr_decay : float, default=1.0
        What the learning rate of a layer is multiplied with for the layer below.
    weight_decay : float, default=0.01
        Not applied to biases and norms.
    lr_schedule : {"linear", "cosine", "constant", "step", "slanted_triangular"}, default="linear"
        How learning rates fall after warmup: in a line to 0; along a cosine to 0; not at all; to a
        tenth after half of training and a hundredth after three quarters; or in a line to 1/32,
        from where "slanted_triangular" rises too (ULMFiT's, with a ratio of 32).
    warmup : float or int, default=0.1
        Share of the steps, or their number, in which learning rates rise; the cut fraction of
        "slanted_triangular".
    gradual_unfreezing : bool, default=False
        Whether to train the head alone in the first epoch, and one layer more in each that follows,
        down to `freeze`: with few epochs the lowest layers stay frozen. What is frozen in an epoch
        is not run in it. In a warm start, what was trained before trains from the first epoch.
    max_grad_norm : float or None, default=1.0
        Gradients are scaled down to this norm.
    gradient_accumulation : int, default=1
        Batches whose gradients are added up for one step, as of one large batch.
    gradient_checkpointing : bool, default=False
        Whether to compute activations twice instead of keeping them: less memory, more time.
    class_weight : dict, "balanced" or None, default=None
        What samples of each class count in training; 1 if a dict does not name it. A dict may name
        classes that `y` lacks, as a fold may, but not only such. "balanced" is computed from the
        samples that are trained on and their weights, without those that are held out.
    label_smoothing : float, default=0.0
        Share of each target that goes to all classes alike.
    contrastive_weight : float, default=0.0
        What a second loss counts, which draws the vectors of texts of one class together and apart
        from others (supervised contrastive learning), where layers train and texts have one label.
        Try 1 with few labelled texts; it is nothing for pairs. Contrasts are within a batch, so
        `gradient_accumulation` adds none. They are in ``train_loss``, not in ``valid_loss``.
    early_stopping : bool, default=False
        Whether to stop when the validation score gets no better, and go back to the best weights.
        Without ``X_val`` a share of the data is held out. Weights count in the loss alone: a sample
        counts in the score unless its weight is 0.
    validation_fraction : float, default=0.1
        What is held out, in the proportions of the classes.
    n_iter_no_change : int, default=3
        Epochs without a better score before training stops.
    max_length : int, default=None
        Tokens of a text, special tokens included; longer texts are cut, with a warning. None is the
        model's limit.
    device : str or torch.device, default="auto"
        "auto" takes a GPU where there is one.
    precision : {"auto", "float32", "bfloat16", "float64"}, default="auto"
        What is computed in. "auto" is bfloat16 where the hardware computes it natively, else
        float32. What is trained is kept in float32.
    cache : "memory", path or None, default="memory"
        Where the states of frozen layers are kept; see :mod:`sklearn_bert.cache`.
    callbacks : list of skorch callbacks, default=None
        See :mod:`skorch.callbacks`. They get the net that becomes `net_`. One that sets learning
        rates wants ``lr_schedule="constant", warmup=0``.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last fit.
    random_state : int, RandomState instance or None, default=None
        Fixes the head's first weights, dropout, the order of batches, and what `early_stopping`
        holds out.
    revision : str, default=None
        Branch, tag or commit of a model on the Hub.
    verbose : int, default=0
        1 shows a progress bar for each epoch, and says when the cache does not hold all.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of such
        The labels; with several tasks those of each; of an indicator matrix the columns.
    labels_ : Labels
        How labels became numbers.
    history_ : list of dict
        For each epoch ``epoch``, ``train_loss``, ``lr``, ``n_trainable_parameters`` (which grow in
        gradual unfreezing) and ``seconds``, and with validation data ``valid_loss`` and
        ``valid_score`` (accuracy; with several tasks the share of labels that are right); these
        also for epoch 0, the model before its first step. ``lr`` is the highest of all rates at the
        end of the epoch, by default the head's; `lr` and `lr_` are the top layer's.
    net_ : skorch.NeuralNetClassifier
        What was trained; its classes are numbers.
    depth_ : int
        How many of the lowest layers are frozen as a whole.
    lr_, head_lr_ : float
        The learning rates in use, of the top layer and of the head.
    n_trainable_parameters_ : int
        Numbers that were trained, the head's included.
    device_, precision_ : str
        Those in use.
    max_length_ : int
        The limit in tokens in use.
    takes_pairs_ : bool
        Whether it was fitted on text pairs, and so predicts for pairs alone.
    feature_names_in_ : ndarray of str of shape (2,)
        The columns of text pairs that `fit` was given, where they have names that are strings.
        Predictions refuse others, and these the other way round.

    See Also
    --------
    BertFeaturizer : Fixed vectors for any other classifier.

    Notes
    -----
    Frozen layers always run in evaluation mode. With the same `random_state` on the same machine,
    predictions are the same.

    References
    ----------
    Lee, Tang and Lin, "What Would Elsa Do? Freezing Layers During Transformer Fine-Tuning",
    arXiv 1911.03090.

    Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification",
    arXiv 1801.06146: `gradual_unfreezing`, ``layer_lr_decay=1 / 2.6``,
    ``lr_schedule="slanted_triangular"`` and ``pooling=["last", "max", "mean"]``.

    Gunel, Du, Conneau and Stoyanov, "Supervised Contrastive Learning for Pre-trained Language Model
    Fine-tuning", arXiv 2011.01403: `contrastive_weight`.

    Examples
    --------
    >>> from sklearn_bert import BertFineTuneClassifier
    >>> texts = ["What a wonderful film", "Dull from start to end", "I loved it", "Boring"]
    >>> labels = ["good", "bad", "good", "bad"]
    >>> classifier = BertFineTuneClassifier(freeze=-1, max_epochs=8, random_state=0)
    >>> print(classifier.fit(texts, labels).predict(["A lovely film", "So boring"]))
    ['good' 'bad']
    """

    _saved_attributes = ("labels_",)
    _for_layers = BertFineTuneBase._for_layers | {"contrastive_weight": 0}

    def __init__(
        self,
        model: str | os.PathLike[str] = EMBEDDED_MODEL,
        *,
        freeze: str | int = "none",
        unfreeze: Sequence[str] | None = None,
        pooling: str | list[str] = "mean",
        pairs: str = "joint",
        hidden_layer_sizes: Sequence[int] = (),
        activation: str = "relu",
        dropout: float = 0.1,
        max_epochs: int = 3,
        batch_size: int = 32,
        lr: float | str = "auto",
        head_lr: float | str = "auto",
        layer_lr_decay: float = 1.0,
        weight_decay: float = 0.01,
        lr_schedule: str = "linear",
        warmup: float = 0.1,
        gradual_unfreezing: bool = False,
        max_grad_norm: float | None = 1.0,
        gradient_accumulation: int = 1,
        gradient_checkpointing: bool = False,
        class_weight: dict[Any, float] | str | None = None,
        label_smoothing: float = 0.0,
        contrastive_weight: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 3,
        max_length: int | None = None,
        device: str = "auto",
        precision: str = "auto",
        cache: str | os.PathLike[str] | None = "memory",
        callbacks: list[Any] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        revision: str | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            model,
            freeze=freeze,
            unfreeze=unfreeze,
            pooling=pooling,
            pairs=pairs,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            dropout=dropout,
            max_epochs=max_epochs,
            batch_size=batch_size,
            lr=lr,
            head_lr=head_lr,
            layer_lr_decay=layer_lr_decay,
            weight_decay=weight_decay,
            lr_schedule=lr_schedule,
            warmup=warmup,
            gradual_unfreezing=gradual_unfreezing,
            max_grad_norm=max_grad_norm,
            gradient_accumulation=gradient_accumulation,
            gradient_checkpointing=gradient_checkpointing,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            max_length=max_length,
            device=device,
            precision=precision,
            cache=cache,
            callbacks=callbacks,
            warm_start=warm_start,
            random_state=random_state,
            revision=revision,
            verbose=verbose,
        )
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.contrastive_weight = contrastive_weight

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> BertFineTuneClassifier:
        """Train the head, and the layers that are not frozen.

        Parameters
        ----------
        X : container of str of shape (n_samples,), or of text pairs of shape (n_samples, 2)
            The texts.
        y : array-like of shape (n_samples,), (n_samples, n_labels) or (n_samples, n_tasks)
            Labels: strings, integers or booleans. A matrix of zeros and ones is a set of labels for
            each text, with independent probabilities. Any other matrix has a column for each of
            several tasks, which share the encoder; None or NaN is a missing label there, and texts
            without any label are left out.
        sample_weight : array-like of shape (n_samples,), default=None
            What each sample counts; only proportions matter.
        X_val, y_val : as X and y, default=None
            Validation data: scored before the first epoch and after each, and used for early
            stopping.
        sample_weight_val : array-like of shape (n_validation_samples,), default=None
            What each validation sample counts in the loss; only proportions matter.

        Returns
        -------
        self : BertFineTuneClassifier

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

    def decision_function(self, X: Any) -> Any:
        """Return the head's outputs.

        Parameters
        ----------
        X : container of str of shape (n_samples,), or of text pairs of shape (n_samples, 2)
            The texts.

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            Logits; with two classes the log-odds of the second. With several tasks a list.
        """
        outputs = self._outputs(X)
        return self.labels_.decisions(outputs)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        X : container of str of shape (n_samples,), or of text pairs of shape (n_samples, 2)
            The texts.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_labels)
            In the order of `classes_`. With several tasks a list of such.
        """
        outputs = self._outputs(X)
        return self.labels_.probabilities(outputs)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each text.

        Parameters
        ----------
        X : container of str of shape (n_samples,), or of text pairs of shape (n_samples, 2)
            The texts.

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_labels) or (n_samples, n_tasks)
            Labels, as `fit` got them.
        """
        outputs = self._outputs(X)
        return self.labels_.predict(outputs)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy.

        Parameters
        ----------
        X : container of str of shape (n_samples,), or of text pairs of shape (n_samples, 2)
            The texts.
        y : array-like of shape (n_samples,), (n_samples, n_labels) or (n_samples, n_tasks)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            What each sample counts.

        Returns
        -------
        float
            Share of samples all of whose labels are right. Labels of tasks that are missing are
            left out, and samples without any.

        Raises
        ------
        ValueError
            If `y` has another shape than predictions, or no label that counts.
        """
        predicted = self.predict(X)
        labels = as_labels("y", y, len(predicted))
        if labels.shape != predicted.shape:
            raise ValueError(
                f"y has shape {labels.shape}. Accepted: {predicted.shape}, as the model predicts."
            )
        weights = check_sample_weight("sample_weight", sample_weight, len(predicted))
        there = are_there(labels)
        right = ~there
        # As objects: labels of another kind are wrong ones, and no error.
        right[there] = np.equal(predicted[there].astype(object), labels[there].astype(object))
        counts = np.ones(len(labels)) if weights is None else weights
        counts = counts * there.reshape(len(labels), -1).any(axis=1)
        if not counts.any():
            raise ValueError("y has no labels. Accepted: at least one, in a sample that counts.")
        return float(np.average(right.reshape(len(labels), -1).all(axis=1), weights=counts))

    def _encode_targets(self, y: Any, n_samples: int) -> Targets:
        y = as_labels("y", y, n_samples)
        labels = self.labels_ if self._goes_on else learn_labels(y)
        labels.check_contrast(self.contrastive_weight)
        targets = labels.encode("y", y)
        fitted = {"labels_": labels, "classes_": labels.classes}
        return Targets(targets, labels.n_outputs, fitted)

    def _encode_validation_targets(self, y: Any, n_samples: int, targets: Targets) -> np.ndarray:
        labels: Labels = targets.fitted["labels_"]
        return labels.encode("y_val", as_labels("y_val", y, n_samples))

    def _labelled(self, samples: Samples, targets: Targets) -> Samples:
        """Leave out what has no label at all, too."""
        samples = super()._labelled(samples, targets)
        there = targets.fitted["labels_"].labelled(samples.y)
        return samples if there.all() else samples.take(np.flatnonzero(there))

    def _strata(self, samples: Samples, targets: Targets) -> np.ndarray | None:
        labels: Labels = targets.fitted["labels_"]
        return labels.strata(samples.y)

    def _saved_targets(self, fitted: dict[str, Any], n_outputs: int) -> Targets:
        labels: Labels = fitted["labels_"]
        if labels.n_outputs != n_outputs:
            raise ValueError(f"The head has {n_outputs} outputs, and there are {labels}.")
        attributes = {"labels_": labels, "classes_": labels.classes}
        return Targets(np.empty(0), n_outputs, attributes)

    @classmethod
    def _saved_classes(cls) -> dict[str, type]:
        return {kind.__name__: kind for kind in KINDS}

    def _prepare(
        self, samples: Samples, validation: Samples | None, targets: Targets
    ) -> tuple[Samples, Samples | None, dict[str, Any]]:
        labels: Labels = targets.fitted["labels_"]
        weights = labels.weights(self.class_weight, samples)
        return samples.weighted(weights), validation, {}

    def _net(self, module: FineTuneModule, targets: Targets, **settings: Any) -> FineTuning:
        labels: Labels = targets.fitted["labels_"]
        settings["contrastive_weight"] = float(self.contrastive_weight)
        return labels.net(module, float(self.label_smoothing), **settings)

    def __sklearn_tags__(self) -> Any:
        """Add that there may be several labels."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags

"""BertMaskedLM: parameters, fit, perplexity, and what stands behind a mask."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted

from sklearn_bert.encoder.checkpoint import Checkpoint
from sklearn_bert.encoder.corpus import CorpusTokenizer, Segmenter
from sklearn_bert.encoder.execution import with_gradients
from sklearn_bert.encoder.freezing import Freezing, resolve_freeze
from sklearn_bert.encoder.language_model import save_language_model
from sklearn_bert.encoder.randomness import own_randomness
from sklearn_bert.encoder.sources import EMBEDDED_MODEL
from sklearn_bert.errors import parameter_error
from sklearn_bert.fitting import (
    NEW_HEAD_LR,
    attach_once,
    encoder_attributes,
    net_settings,
    ready_to_predict,
    resolved_lr,
    run_training,
    training_callbacks,
)
from sklearn_bert.mask_filling import fill_masks
from sklearn_bert.persistence import EncoderReference
from sklearn_bert.pretrained import PretrainedMixin, Saved
from sklearn_bert.training.callbacks import check_monitors
from sklearn_bert.training.losses import CrossEntropy
from sklearn_bert.training.masked_module import MaskedLMModule
from sklearn_bert.training.masked_net import MaskedLMNet
from sklearn_bert.training.masking import MaskedChunks, Masking
from sklearn_bert.tuning_parameters import check_tuning_parameters, seed_from
from sklearn_bert.validation import check_integer, check_texts

__all__ = ["BertMaskedLM"]

# Below, there is little context to predict a token from.
_SHORTEST_CHUNK = 8
# Fitted attributes that the model does not tell.
_SAVED = ("has_pretrained_head_", "lr_", "head_lr_", "n_trainable_parameters_", "history_")


class BertMaskedLM(PretrainedMixin, BaseEstimator):
    """Continues the pretraining of an encoder on unlabelled texts: it predicts masked tokens.

    Texts of the kind that will be classified later teach the encoder their words and their style.
    `save_pretrained` writes a folder that is ``model=`` of every other estimator, and that
    transformers' ``AutoModelForMaskedLM`` reads with the head. A pooler, which no masked token
    trains, is left out.

    Parameters
    ----------
    model : str or path, default="sentence-transformers/all-MiniLM-L6-v2"
        A folder with a saved model, or a name on the Hugging Face Hub. A model without a head that
        predicts tokens, as the default is, gets a new one; see Notes.
    freeze : {"none", "embeddings", "all"} or int, default="none"
        What is not trained: nothing; the embeddings; the whole encoder, so that the head alone is
        trained; ``k >= 0``: the embeddings and the lowest k layers; ``-d``: all but the top d
        layers. Masks differ each time, so that the states of frozen layers can't be kept.
    unfreeze : list of str, default=None
        Parameters that are trained all the same, by parts of their names.
    chunk_length : int, default=128
        Tokens that the model sees together, special tokens included. Texts follow each other with a
        separator between, and are cut into chunks of this length; nothing is lost.
    mlm_probability : float, default=0.15
        Share of the tokens that are to be predicted. In their place the model sees the mask for
        80 %, a random token for 10 %, and the token itself for 10 %; drawn anew each epoch.
    whole_word_masking : bool, default=False
        Whether all tokens of a word are masked together.
    word_segmenter : callable, default=None
        From a text to the list of its words, such as ``jieba.lcut``, for whole words where the
        tokenizer's are single characters, as in Chinese. None takes the tokenizer's words. A
        pickle of the estimator needs a function that can be imported.
    max_epochs : int, default=3
        Passes over the texts; 0 leaves the model as it is, to be measured.
    batch_size : int, default=32
        Chunks in a batch.
    lr : float or "auto", default="auto"
        Learning rate of the encoder's top layer (AdamW). "auto" goes by the width of the encoder:
        2e-4 for 384, 5e-5 for 768 (BERT-base), 2.8e-5 for 1,024.
    head_lr : float or "auto", default="auto"
        Learning rate of the head. "auto" is `lr` for a head that came with the weights, and 1e-3
        for a new one.
    layer_lr_decay : float, default=1.0
        What the learning rate of a layer is multiplied with for the layer below.
    weight_decay : float, default=0.01
        Not applied to biases and norms.
    lr_schedule : {"linear", "cosine", "constant", "step", "slanted_triangular"}, default="linear"
        How learning rates fall after warmup; see :class:`BertFineTuneClassifier`.
    warmup : float or int, default=0.1
        Share of the steps, or their number, in which learning rates rise.
    max_grad_norm : float or None, default=1.0
        Gradients are scaled down to this norm.
    gradient_accumulation : int, default=1
        Batches whose gradients are added up for one step, as of one large batch.
    gradient_checkpointing : bool, default=False
        Whether to compute activations twice instead of keeping them: less memory, more time.
    early_stopping : bool, default=False
        Whether to stop when the validation score gets no better, and go back to the best weights.
        Without ``X_val`` a share of the texts is held out.
    validation_fraction : float, default=0.1
        What is held out.
    n_iter_no_change : int, default=3
        Epochs without a better score before training stops.
    device : str or torch.device, default="auto"
        "auto" takes a GPU where there is one.
    precision : {"auto", "float32", "bfloat16", "float64"}, default="auto"
        What is computed in. "auto" is bfloat16 where the hardware computes it natively, else
        float32. What is trained is kept in float32.
    callbacks : list of skorch callbacks, default=None
        See :mod:`skorch.callbacks`. They get the net that becomes `net_`. One that sets learning
        rates wants ``lr_schedule="constant", warmup=0``.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last fit. Schedule and optimizer start anew.
    random_state : int, RandomState instance or None, default=None
        Fixes masks, dropout, the order of batches, a new head, and what `early_stopping` holds out.
    revision : str, default=None
        Branch, tag or commit of a model on the Hub.
    verbose : int, default=0
        1 shows a progress bar for each epoch.

    Attributes
    ----------
    history_ : list of dict
        For each epoch ``epoch``, ``train_loss``, ``lr``, ``n_trainable_parameters`` and
        ``seconds``, and with validation data ``valid_loss`` and ``valid_score``, its negative;
        these also for epoch 0, the model before its first step. The validation data has the same
        masks in each epoch. ``lr`` is the highest of all rates at the end of the epoch, such as a
        new head's; `lr` and `lr_` are the top layer's.
    net_ : skorch.NeuralNet
        What was trained.
    has_pretrained_head_ : bool
        Whether the head came with the weights.
    mask_token_ : str
        How the mask is written in the texts of `fill_mask`.
    depth_ : int
        How many of the lowest layers are frozen as a whole.
    lr_, head_lr_ : float
        The learning rates in use.
    n_trainable_parameters_ : int
        Numbers that were trained.
    device_, precision_ : str
        Those in use.

    See Also
    --------
    BertFineTuneClassifier, BertFeaturizer : What the trained encoder is for.

    Notes
    -----
    A head turns the state of a token into a score for each entry of the vocabulary: a small
    transformation, then the product with the embedding of each entry. That product is tied to the
    embeddings of the encoder, so a model without a head only lacks the transformation. It starts
    random: before training the perplexity is near that of guessing or above, and the first epochs
    train the head more than the encoder.

    With the same `random_state` on the same machine, the weights are the same.

    References
    ----------
    Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language
    Understanding", arXiv 1810.04805. Gururangan et al., "Don't Stop Pretraining: Adapt Language
    Models to Domains and Tasks", arXiv 2004.10964.

    Examples
    --------
    >>> from sklearn_bert import BertMaskedLM
    >>> texts = ["The room was clean and quiet.", "The room was dirty and loud."] * 20
    >>> language = BertMaskedLM(chunk_length=32, max_epochs=0, random_state=0).fit(texts)
    >>> before = language.perplexity(texts)
    >>> language.set_params(max_epochs=3, batch_size=4).fit(texts).perplexity(texts) < before
    True
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = EMBEDDED_MODEL,
        *,
        freeze: str | int = "none",
        unfreeze: Sequence[str] | None = None,
        chunk_length: int = 128,
        mlm_probability: float = 0.15,
        whole_word_masking: bool = False,
        word_segmenter: Segmenter | None = None,
        max_epochs: int = 3,
        batch_size: int = 32,
        lr: float | str = "auto",
        head_lr: float | str = "auto",
        layer_lr_decay: float = 1.0,
        weight_decay: float = 0.01,
        lr_schedule: str = "linear",
        warmup: float = 0.1,
        max_grad_norm: float | None = 1.0,
        gradient_accumulation: int = 1,
        gradient_checkpointing: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 3,
        device: str = "auto",
        precision: str = "auto",
        callbacks: list[Any] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        revision: str | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.freeze = freeze
        self.unfreeze = unfreeze
        self.chunk_length = chunk_length
        self.mlm_probability = mlm_probability
        self.whole_word_masking = whole_word_masking
        self.word_segmenter = word_segmenter
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.head_lr = head_lr
        self.layer_lr_decay = layer_lr_decay
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.warmup = warmup
        self.max_grad_norm = max_grad_norm
        self.gradient_accumulation = gradient_accumulation
        self.gradient_checkpointing = gradient_checkpointing
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.precision = precision
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.revision = revision
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, *, X_val: Any = None) -> BertMaskedLM:
        """Train on texts without labels.

        Parameters
        ----------
        X : container of str of shape (n_samples,)
            The texts, of any length.
        y : object, default=None
            Ignored.
        X_val : container of str, default=None
            Texts that the model is scored on before the first epoch and after each.

        Returns
        -------
        self : BertMaskedLM

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data can't be used; the message says what is accepted.
        ModelNotFoundError, ModelLoadError
            If the model is in no place that could be reached, or can't predict tokens.
        TrainingDivergedError
            If the loss became infinite or no number. The best weights so far are kept.
        """
        texts = _single_texts("X", X)
        held_out = None if X_val is None else _single_texts("X_val", X_val)
        self._check_parameters()
        if held_out is None and not self.early_stopping:
            check_monitors(self.callbacks)
        reference = self._reference()
        checkpoint = reference.encoder(int(self.verbose)).checkpoint
        freezing = self._freezing(checkpoint)
        seed = seed_from(self.random_state)
        held_out_is = "X_val"
        if held_out is None and self.early_stopping:
            texts, held_out = self._hold_out(texts, seed)
            held_out_is = "What early_stopping holds out of X"
        train = self._masked("X", texts, checkpoint, np.random.default_rng((seed, 1)))
        validation = None if held_out is None else self._masked(held_out_is, held_out, checkpoint)
        with own_randomness(seed, checkpoint.device), with_gradients():
            module = self._module(checkpoint, freezing)
            lr = resolved_lr(self.lr, checkpoint.hidden_size)
            head_lr = lr if module.has_pretrained_head else NEW_HEAD_LR
            fitted = {
                **encoder_attributes(reference.known(), freezing),
                "mask_token_": checkpoint.tokenizer.mask_token,
                "has_pretrained_head_": module.has_pretrained_head,
                "lr_": lr,
                "head_lr_": head_lr if self.head_lr == "auto" else float(self.head_lr),
                "n_trainable_parameters_": module.n_trainable_parameters(),
            }
            self._train(module, checkpoint, train, validation, seed, fitted)
        return self

    def score(self, X: Any, y: Any = None) -> float:
        """Return the negative mean cross-entropy of masked tokens; more is better.

        The masks depend on the texts and on `chunk_length`, `mlm_probability` and the words, and
        on no seed: what is found before and after training can be compared.

        Parameters
        ----------
        X : container of str of shape (n_samples,)
            The texts.
        y : object, default=None
            Ignored.

        Returns
        -------
        float
            In nats.
        """
        check_is_fitted(self, "net_")
        checkpoint = self._checkpoint()
        masked = self._masked("X", _single_texts("X", X), checkpoint)
        return float(self.net_.measure(masked)[1])

    def perplexity(self, X: Any) -> float:
        """Return the exponential of the mean cross-entropy of masked tokens; less is better.

        That is, among how many tokens the model is undecided; see `score` on the masks.

        Parameters
        ----------
        X : container of str of shape (n_samples,)
            The texts.

        Returns
        -------
        float
            From 1 up; infinite where training went so wrong that no number is as high.
        """
        with np.errstate(over="ignore"):
            return float(np.exp(-self.score(X)))

    def fill_mask(self, X: Any, *, top_k: int = 5) -> list[list[Any]]:
        """Say what most probably stands behind the masks in texts.

        Parameters
        ----------
        X : container of str of shape (n_samples,)
            Texts with one `mask_token_` or several, such as ``"The room was [MASK]."``.
        top_k : int, default=5
            How many tokens to return for a mask.

        Returns
        -------
        list of list
            For each text the list of (token, probability), the most probable first; for a text
            with several masks the list of such lists. Parts of words are marked as the tokenizer
            marks them.

        Raises
        ------
        ValueError
            If a text has no mask, or `top_k` can't be used.
        """
        check_is_fitted(self, "net_")
        texts = _single_texts("X", X)
        check_integer("top_k", top_k, minimum=1, accepted="an integer of at least 1")
        return fill_masks(texts, int(top_k), self.net_, self._checkpoint())

    def _reference(self) -> EncoderReference:
        return EncoderReference(self.model, self.revision, None, self.device, self.precision, None)

    def _check_parameters(self) -> None:
        self._check_tuning_parameters()
        if self.word_segmenter is None:
            return
        remedy = ""
        if callable(self.word_segmenter):
            if self.whole_word_masking:
                return
            remedy = "It says what whole words are: pass whole_word_masking=True with it."
        accepted = "a callable from a text to the list of its words, or None"
        raise parameter_error("word_segmenter", self.word_segmenter, accepted, remedy)

    def _check_tuning_parameters(self) -> None:
        check_tuning_parameters(self, least_epochs=0)

    def _check_chunk_length(self, checkpoint: Checkpoint) -> None:
        most = checkpoint.max_length
        accepted = f"{_SHORTEST_CHUNK} to {most} tokens, which is the limit of the model"
        check_integer("chunk_length", self.chunk_length, minimum=_SHORTEST_CHUNK, accepted=accepted)
        if self.chunk_length > most:
            raise parameter_error("chunk_length", self.chunk_length, accepted)

    def _freezing(self, checkpoint: Checkpoint) -> Freezing:
        places = {
            name: place
            for name, place in checkpoint.parameter_places.items()
            if not name.startswith("pooler.")
        }
        shares_layers = checkpoint.lower.shares_layers
        return resolve_freeze(
            self.freeze, self.unfreeze, checkpoint.n_layers, places, shares_layers
        )

    def _hold_out(self, texts: list[str], seed: int) -> tuple[list[str], list[str]]:
        try:
            train, held_out = train_test_split(
                texts, test_size=self.validation_fraction, random_state=seed
            )
        except ValueError as error:
            raise parameter_error(
                "validation_fraction",
                self.validation_fraction,
                "a share that leaves texts in both parts",
                f"{error} Pass X_val to fit, or early_stopping=False.",
            ) from error
        return train, held_out

    def _masked(
        self,
        name: str,
        texts: list[str],
        checkpoint: Checkpoint,
        generator: np.random.Generator | None = None,
    ) -> MaskedChunks:
        """Return texts as chunks with masks; without a generator these are fixed."""
        self._check_chunk_length(checkpoint)
        tokenizer = CorpusTokenizer(checkpoint.tokenizer)
        corpus = tokenizer.corpus(texts, self.whole_word_masking, self.word_segmenter)
        chunks = tokenizer.chunks(corpus, int(self.chunk_length))
        masking = Masking(float(self.mlm_probability), tokenizer.mask_id, tokenizer.ordinary_ids)
        masked = MaskedChunks(chunks, masking, tokenizer.pad_id, generator)
        if not len(masked):
            raise ValueError(
                f"{name} has no token that could be masked: its {len(texts)} text(s) are empty, or "
                f"of characters that the model does not know. Pass texts with words in them."
            )
        return masked

    def _module(self, checkpoint: Checkpoint, freezing: Freezing) -> MaskedLMModule:
        """Return the module to train: a new one, or in a warm start a copy of the trained one."""
        module = MaskedLMModule()
        if self.warm_start and hasattr(self, "net_"):
            lost = self.freezing_.trainable - freezing.trainable
            if lost or not self.reference_.is_of(checkpoint):
                raise ValueError(
                    "warm_start=True can't go on from what was fitted: the weights and "
                    "tokenizer of model have to be the same, and what was trained may not be "
                    "frozen. Pass warm_start=False to start anew."
                )
            module = copy.deepcopy(self.net_.module_)
        module.attach(checkpoint, freezing, self.gradient_checkpointing)
        return module

    def _train(
        self,
        module: MaskedLMModule,
        checkpoint: Checkpoint,
        train: MaskedChunks,
        validation: MaskedChunks | None,
        seed: int,
        fitted: dict[str, Any],
    ) -> None:
        callbacks = training_callbacks(self, validation)
        net = self._net(module, checkpoint, callbacks, fitted, seed)
        run_training(
            net,
            train,
            validation,
            callbacks,
            keep=lambda rows: self._set_fitted(fitted | {"history_": rows, "net_": net}),
        )

    def _net(
        self,
        module: MaskedLMModule,
        checkpoint: Checkpoint,
        callbacks: Sequence[Any],
        fitted: dict[str, Any],
        seed: int,
    ) -> MaskedLMNet:
        rates = fitted["lr_"], fitted["head_lr_"]
        settings = net_settings(self, checkpoint, callbacks, *rates, seed)
        return MaskedLMNet(module, criterion=CrossEntropy, **settings)

    def _set_fitted(self, fitted: dict[str, Any]) -> None:
        for name, value in fitted.items():
            setattr(self, name, value)

    def _checkpoint(self) -> Checkpoint:
        """Return the checkpoint, with the module attached to it, as it is not after a pickle."""
        checkpoint = self.reference_.encoder(int(self.verbose)).checkpoint
        module = self.net_.module_
        attach_once(module, lambda: module.model is not None, checkpoint, self.freezing_)
        return checkpoint

    def _saved_checkpoint(self) -> Checkpoint:
        check_is_fitted(self, "net_")
        # They may have been set since, and are checked when the folder is read.
        self._check_tuning_parameters()
        return self._checkpoint()

    def _to_saved(self) -> Saved:
        fitted = {name: getattr(self, name) for name in _SAVED}
        fitted["trainable"] = sorted(self.freezing_.trainable)
        return Saved(fitted, trained=self.net_.module_.trained())

    def _export(self, checkpoint: Checkpoint, saved: Saved, folder: Path) -> None:
        """Write the head with the encoder, where transformers has it too."""
        save_language_model(checkpoint, saved.trained, folder)

    def _from_saved(self, saved: Saved) -> None:
        self._check_parameters()
        reference = self._reference().known()
        checkpoint = reference.encoder().checkpoint
        freezing = Freezing.of(
            saved.fitted["trainable"],
            checkpoint.parameter_places,
            checkpoint.n_layers,
            checkpoint.lower.shares_layers,
        )
        module = MaskedLMModule()
        module.attach(checkpoint, freezing)
        if not module.has_pretrained_head:
            raise ValueError("the head is missing")
        kept = {name: saved.fitted[name] for name in _SAVED}
        net = ready_to_predict(self._net(module, checkpoint, [], kept, seed=0))
        kept |= {"mask_token_": checkpoint.tokenizer.mask_token, "net_": net}
        self._set_fitted({**encoder_attributes(reference, freezing), **kept})

    def __sklearn_tags__(self) -> Any:
        """Describe the input: one column of strings, and no target."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.target_tags.required = False
        return tags


def _single_texts(name: str, X: Any) -> list[str]:
    texts = check_texts(X, name)
    singles = [text for text in texts if isinstance(text, str)]
    if len(singles) < len(texts):
        raise ValueError(
            f"{name} has text pairs. Accepted: single texts, in one column. Pass both texts of a "
            f"pair one after the other: [text for pair in {name} for text in pair]."
        )
    return singles

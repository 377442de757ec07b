"""BertFeaturizer: texts to fixed vectors of a pretrained encoder, as a scikit-learn transformer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from sklearn_bert.encoder.checkpoint import Checkpoint, load_checkpoint
from sklearn_bert.encoder.depth import resolve_layer
from sklearn_bert.encoder.execution import (
    resolve_batch_tokens,
    resolve_device,
    resolve_precision,
)
from sklearn_bert.encoder.frozen import FrozenEncoder, Kind
from sklearn_bert.encoder.pairs import PAIRS, SIDES, check_pairs, halves, sides
from sklearn_bert.encoder.pooling import POOLINGS
from sklearn_bert.encoder.sources import EMBEDDED_MODEL
from sklearn_bert.encoder.tokenization import LONG_TEXT
from sklearn_bert.errors import parameter_error, warn_cut
from sklearn_bert.pair_names import ATTRIBUTE, check_pair_names, pair_names, set_pair_names
from sklearn_bert.persistence import check_same
from sklearn_bert.pretrained import PretrainedMixin, Saved, SentenceModel
from sklearn_bert.store import open_store
from sklearn_bert.validation import (
    Text,
    are_pairs,
    check_choice,
    check_texts,
    check_verbose,
    one_or_list,
)

__all__ = ["BertFeaturizer"]

# What one that was never fitted was fitted with.
_NOTHING = (None, None, "", "")
# From (n_samples, n_poolings, n_layers, hidden_size) to (n_samples, n_poolings, width).
_REDUCE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda vectors: vectors.mean(axis=2),
    "sum": lambda vectors: vectors.sum(axis=2),
    "concat": lambda vectors: vectors.reshape(*vectors.shape[:2], -1),
}


class BertFeaturizer(PretrainedMixin, TransformerMixin, BaseEstimator):
    """Turn texts into fixed vectors with a pretrained encoder such as BERT.

    The encoder is not trained. Each distinct text passes it once: what a pass computed is kept
    in `cache` and found again by other folds, grid candidates and estimators.

    The transformer is stateless: `transform` works without `fit`, as that of
    :class:`~sklearn.feature_extraction.text.HashingVectorizer` does.

    Parameters
    ----------
    model : str or path, default="sentence-transformers/all-MiniLM-L6-v2"
        A folder with a saved model, or a name on the Hugging Face Hub. The default comes with the
        `embedded` extra and needs no network.
    pooling : {"cls", "mean", "max", "last", "pooler"} or list of these, default="mean"
        How the states of a text's tokens become one vector: the first token's, the mean or the
        maximum over tokens, the last token's, or the output of the model's own pooler, which
        exists for the last layer of some models only. Several are concatenated. Padding never
        counts; special tokens do.
    layers : int or list of int, default=-1
        Which hidden states, counted as in NumPy: 0 is the output of the embeddings, -1 the last.
    layer_reduction : {"mean", "sum", "concat"}, default="mean"
        How several layers become one.
    normalize : bool, default=False
        Whether to scale each vector to unit L2 norm.
    pairs : {"joint", "separate"}, default="joint"
        How text pairs become vectors: as one text that the model reads together, or each half by
        itself, joined as ``[u, v, |u - v|, u * v]`` (InferSent, arXiv 1705.02364). Halves that
        occur in several pairs are encoded once.
    max_length : int, default=None
        Tokens of a text, special tokens included. None is the model's limit: 512 for the default,
        which sentence-transformers cuts at 256.
    long_text : {"truncate", "chunk"}, default="truncate"
        What happens to texts beyond `max_length`: cut their ends, and warn with the count, or
        encode overlapping windows and pool over all tokens.
    batch_tokens : int or "auto", default="auto"
        Padded tokens of a forward pass. It changes speed and memory, not the result.
    device : str or torch.device, default="auto"
        "auto" takes a GPU where there is one.
    precision : {"auto", "float32", "bfloat16", "float16", "float64"}, default="auto"
        What the encoder computes in. "auto" is bfloat16 where the hardware computes it natively
        (vectors then have a cosine of 0.999 or more to those of float32), else float32. The
        result is always float32.
    cache : "memory", path or None, default="memory"
        Where vectors are kept: in this process, in a folder that processes share, or not at all.
        See :mod:`sklearn_bert.cache`. With a cache that has room, a pass runs all layers and
        keeps each of them; without, it ends at the highest layer asked for.
    revision : str, default=None
        Branch, tag or commit of a model on the Hub.
    verbose : int, default=0
        1 shows a progress bar once work takes seconds.

    Attributes
    ----------
    device_ : str
        The device in use.
    precision_ : str
        The precision in use.
    max_length_ : int
        The limit in tokens in use.
    feature_names_in_ : ndarray of str of shape (2,)
        The columns of text pairs that `fit` was given, where they have names that are strings.
        `transform` refuses others, and these the other way round.

    Notes
    -----
    A text is encoded by itself: other texts in `X`, their order and the batch size change its
    vector by rounding only.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_bert import BertFeaturizer
    >>> texts = ["What a wonderful film", "Dull from start to end", "I loved it", "Boring"]
    >>> labels = ["good", "bad", "good", "bad"]
    >>> classifier = make_pipeline(BertFeaturizer(), LogisticRegression()).fit(texts, labels)
    >>> print(classifier.predict(["A lovely story"]))
    ['good']
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = EMBEDDED_MODEL,
        *,
        pooling: str | list[str] = "mean",
        layers: int | list[int] = -1,
        layer_reduction: str = "mean",
        normalize: bool = False,
        pairs: str = "joint",
        max_length: int | None = None,
        long_text: str = "truncate",
        batch_tokens: int | str = "auto",
        device: str = "auto",
        precision: str = "auto",
        cache: str | os.PathLike[str] | None = "memory",
        revision: str | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.pooling = pooling
        self.layers = layers
        self.layer_reduction = layer_reduction
        self.normalize = normalize
        self.pairs = pairs
        self.max_length = max_length
        self.long_text = long_text
        self.batch_tokens = batch_tokens
        self.device = device
        self.precision = precision
        self.cache = cache
        self.revision = revision
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> BertFeaturizer:
        """Check the parameters and `X`, and load the model; nothing is learnt.

        Parameters
        ----------
        X : container of str of shape (n_samples,), or of text pairs of shape (n_samples, 2)
            The texts.
        y : ignored
            For the API only.

        Returns
        -------
        self : BertFeaturizer

        Raises
        ------
        ValueError, TypeError
            If a parameter or `X` can't be used; the message says what is accepted.
        ModelNotFoundError, ModelLoadError
            If the model is in no place that could be reached, or can't be used.
        """
        texts = check_texts(X)
        encoder = self._encoder()
        self._check_pairs(texts)
        self._set_fitted(encoder)
        set_pair_names(self, pair_names(X, texts))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the vector of each text.

        Parameters
        ----------
        X : container of str of shape (n_samples,), or of text pairs of shape (n_samples, 2)
            A list, tuple, NumPy array, pandas or polars Series, or pyarrow array; for pairs a
            list of 2-tuples, a DataFrame or array with two columns.

        Returns
        -------
        float32 ndarray of shape (n_samples, n_features)
            A DataFrame instead after ``set_output(transform="pandas")`` or ``"polars"``.

        Raises
        ------
        ValueError, TypeError
            If a parameter or `X` can't be used; the message says what is accepted.
        """
        texts = check_texts(X)
        check_pair_names(getattr(self, ATTRIBUTE, None), X, texts)
        encoder = self._fitted_encoder()
        self._check_pairs(texts)
        if self.pairs == "joint":
            return self._features(encoder, texts)
        first, second = np.split(self._features(encoder, halves(texts)), 2)
        return np.hstack(sides(first, second))

    def _features(self, encoder: FrozenEncoder, texts: Sequence[Text]) -> np.ndarray:
        """Return the features of texts, or of pairs read together."""
        layers, poolings = self._layers_and_poolings(encoder.checkpoint)
        wanted = [Kind(layer, pooling) for pooling in poolings for layer in layers]
        vectors, n_cut = encoder.pooled(texts, wanted)
        limit = encoder.checkpoint.max_length
        chunks = "long_text='chunk'" + (" with pairs='separate'" if are_pairs(texts) else "")
        remedy = f"pass {chunks} to use all of each text"
        warn_cut(n_cut, len(texts), encoder.max_length, limit, remedy)
        vectors = vectors.reshape(len(texts), len(poolings), len(layers), -1)
        features = _REDUCE[self.layer_reduction](vectors).reshape(len(texts), -1)
        return _unit_length(features) if self.normalize else features

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return a name for each feature, such as "mean_0" or, with several layers, "mean_5_0".

        Parameters
        ----------
        input_features : ignored
            For the API only.

        Returns
        -------
        ndarray of str of shape (n_features,)
        """
        checkpoint = self._fitted_encoder().checkpoint
        layers, poolings = self._layers_and_poolings(checkpoint)
        concat = self.layer_reduction == "concat" and len(layers) > 1
        parts = [f"{layer}_" for layer in layers] if concat else [""]
        width = range(checkpoint.hidden_size)
        names = [f"{pooling}_{part}{i}" for pooling in poolings for part in parts for i in width]
        prefixes = [""] if self.pairs == "joint" else [f"{side}_" for side in SIDES]
        return np.array([prefix + name for prefix in prefixes for name in names], dtype=object)

    def _fitted_encoder(self) -> FrozenEncoder:
        """Return the engine, whose model has to be the one that its name meant in a fit."""
        encoder = self._encoder()
        *name, fingerprint, tokenizer_fingerprint = getattr(self, "_fitted_with", _NOTHING)
        if name == [self.model, self.revision]:
            check_same(self.model, encoder.checkpoint, fingerprint, tokenizer_fingerprint)
        return encoder

    def _encoder(self) -> FrozenEncoder:
        """Check all parameters and return the engine that they describe."""
        check_choice("layer_reduction", self.layer_reduction, _REDUCE)
        check_choice("normalize", self.normalize, [True, False])
        check_choice("long_text", self.long_text, LONG_TEXT)
        check_choice("pairs", self.pairs, PAIRS)
        check_verbose(self.verbose)
        store = open_store(self.cache)
        device = resolve_device(self.device)
        precision = resolve_precision(self.precision, device)
        batch_tokens = resolve_batch_tokens(self.batch_tokens, device, precision)
        checkpoint = load_checkpoint(self.model, self.revision, device, precision)
        self._layers_and_poolings(checkpoint)
        max_length = checkpoint.resolve_max_length(self.max_length)
        return FrozenEncoder(
            checkpoint, store, max_length, self.long_text, batch_tokens, int(self.verbose)
        )

    def _layers_and_poolings(self, checkpoint: Checkpoint) -> tuple[list[int], list[str]]:
        poolings = one_or_list("pooling", self.pooling)
        for pooling in poolings:
            check_choice("pooling", pooling, POOLINGS)
        _check_distinct("pooling", self.pooling, poolings)
        n_layers = checkpoint.n_layers
        layers = [resolve_layer(layer, n_layers) for layer in one_or_list("layers", self.layers)]
        _check_distinct("layers", self.layers, layers)
        if "pooler" in poolings:
            if not checkpoint.has_pooler:
                raise parameter_error(
                    "pooling",
                    self.pooling,
                    [pooling for pooling in POOLINGS if pooling != "pooler"],
                    f"The weights of model={self.model!r} have no pooler.",
                )
            if layers != [n_layers]:
                raise parameter_error(
                    "layers", self.layers, "-1 with pooling='pooler', which reads the last layer"
                )
        return layers, poolings

    def _set_fitted(self, encoder: FrozenEncoder) -> None:
        self.device_ = str(encoder.checkpoint.device)
        self.precision_ = encoder.checkpoint.precision
        self.max_length_ = encoder.max_length
        checkpoint = encoder.checkpoint
        identity = checkpoint.fingerprint, checkpoint.tokenizer_fingerprint
        self._fitted_with = (self.model, self.revision, *identity)

    def _saved_checkpoint(self) -> Checkpoint:
        return self._fitted_encoder().checkpoint

    def _sentence_model(self, checkpoint: Checkpoint) -> SentenceModel | None:
        layers, poolings = self._layers_and_poolings(checkpoint)
        if layers != [checkpoint.n_layers] or self.pairs != "joint":
            return None
        if self.long_text != "truncate":
            return None
        max_length = checkpoint.resolve_max_length(self.max_length)
        return SentenceModel(poolings, self.normalize, max_length, checkpoint.hidden_size)

    def _to_saved(self) -> Saved:
        return Saved({ATTRIBUTE: getattr(self, ATTRIBUTE, None)})

    def _from_saved(self, saved: Saved) -> None:
        self._set_fitted(self._encoder())
        set_pair_names(self, saved.fitted.get(ATTRIBUTE))

    def _check_pairs(self, texts: list[Text]) -> None:
        check_pairs(self.pairs, texts)
        joint = self.pairs == "joint" and are_pairs(texts)
        if self.long_text == "chunk" and joint:
            raise parameter_error(
                "long_text",
                self.long_text,
                "'truncate' for text pairs, or pairs='separate'",
                "X has pairs.",
            )

    def __sklearn_is_fitted__(self) -> bool:
        """Say that there is nothing to fit."""
        return True

    def __sklearn_tags__(self) -> Any:
        """Describe the input: one column of strings, or two; nothing is learnt."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        tags.requires_fit = False
        return tags


def _check_distinct(name: str, value: Any, found: list[Any]) -> None:
    """Refuse what would give two features the same name."""
    if len(set(found)) < len(found):
        raise parameter_error(name, value, "a list without duplicates")


def _unit_length(features: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(norms == 0, 1, norms)

"""How each other tool turns texts into vectors: the same weights, on the processor.

All cut texts at `MAX_LENGTH` tokens. The tables at the end name them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.embedded import MAX_LENGTH, model_folder

__all__ = ["ENCODERS", "REFERENCE", "STEPS", "Encoder"]

_DEVICE = "cpu"
# What tutorials take for most things.
_TUTORIAL_BATCH = 32
_TUTORIAL_POOLINGS = ("mean", "cls")

Tokens = Callable[[], tuple[int, int]]


@dataclass(frozen=True)
class Encoder:
    """A tool with its model loaded.

    Attributes
    ----------
    encode : callable
        From a list of texts to an ndarray of shape (n_texts, hidden_size).
    tokens : callable
        Returns how many tokens have gone into the model so far, without and with padding.
    """

    encode: Callable[[Sequence[str]], np.ndarray]
    tokens: Tokens


def sentence_transformers(
    folder: str | None = None,
    device: str = _DEVICE,
    dtype: str = "float32",
    batch_size: int = 32,
) -> Encoder:
    """Load SentenceTransformer, whose batches have texts of like length, by default 32.

    Parameters
    ----------
    folder : str or None
        Of another model than the embedded one; then its own limit in tokens stands.
    device, dtype : str
        Where and in what it computes.
    batch_size : int
        Texts of a batch.
    """
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        folder or model_folder(), device=device, model_kwargs={"dtype": dtype}
    )

    def encode(texts: Sequence[str]) -> np.ndarray:
        return np.asarray(model.encode(list(texts), batch_size=batch_size))

    return Encoder(encode, _counted(model[0]))


def skrub() -> Encoder:
    """Load skrub's encoder around sentence-transformers, all components kept."""
    import pandas as pd

    encoder = skrub_step()
    encoder.fit_transform(pd.Series(["loads the model"], name="text"))

    def encode(texts: Sequence[str]) -> np.ndarray:
        return np.asarray(encoder.transform(pd.Series(list(texts), name="text")))

    return Encoder(encode, _counted(encoder._estimator[0]))


def embetter() -> Encoder:
    """Load embetter's transformer around sentence-transformers."""
    encoder = embetter_step()

    def encode(texts: Sequence[str]) -> np.ndarray:
        return np.asarray(encoder.transform(list(texts)))

    return Encoder(encode, _counted(encoder.tfm[0]))


def feature_extraction() -> Encoder:
    """Load pipeline("feature-extraction"), whose batches have one text; the mean is taken after it.

    The texts are given as a generator, as transformers advises: given as a list, the states of
    all tokens would come back at once. They come as tensors, as in its documentation's example:
    the lists of Python's floats that it returns without being asked take a part of its time.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    extractor = transformers.pipeline("feature-extraction", model=model_folder(), device=_DEVICE)

    def encode(texts: Sequence[str]) -> np.ndarray:
        states = extractor(
            (text for text in texts),
            tokenize_kwargs={"truncation": True, "max_length": MAX_LENGTH},
            return_tensors=True,
        )
        return np.stack([of_text[0].mean(dim=0).numpy() for of_text in states])

    return Encoder(encode, _counted(extractor.model))


def padded_tutorial(pooling: str = "mean") -> Encoder:
    """Load what tutorials loop over: one array padded to the longest text, batches in its order.

    Parameters
    ----------
    pooling : {"mean", "cls"}
        Of all tokens that are not padding, or of the first; most tutorials take one of these.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    if pooling not in _TUTORIAL_POOLINGS:
        raise ValueError(f"pooling={pooling!r}; {_TUTORIAL_POOLINGS} are there")
    tokenizer = AutoTokenizer.from_pretrained(model_folder())
    model = AutoModel.from_pretrained(model_folder(), dtype=torch.float32).eval()

    def encode(texts: Sequence[str]) -> np.ndarray:
        inputs = tokenizer(
            list(texts), padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt"
        )
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        vectors = []
        with torch.no_grad():
            for start in range(0, len(ids), _TUTORIAL_BATCH):
                part = slice(start, start + _TUTORIAL_BATCH)
                states = model(input_ids=ids[part], attention_mask=mask[part]).last_hidden_state
                if pooling == "cls":
                    vectors.append(states[:, 0])
                else:
                    weights = mask[part].unsqueeze(-1).float()
                    vectors.append((states * weights).sum(dim=1) / weights.sum(dim=1))
        return torch.cat(vectors).numpy()

    return Encoder(encode, _counted(model))


def sentence_transformers_step() -> Any:
    """Make SentenceTransformer.encode a step, its model loaded once for all clones."""
    return _function_step(sentence_transformers())


def skrub_step() -> Any:
    """Make skrub's transformer, which takes a pandas Series and loads the model in `fit`."""
    import skrub as package

    # The name that TextEncoder has since skrub 0.11.
    encoder_class = getattr(package, "LLMEncoder", None) or package.TextEncoder
    return encoder_class(model_name=model_folder(), n_components=None, device=_DEVICE)


def embetter_step() -> Any:
    """Make embetter's transformer, which loads the model in `__init__`, so once for each clone."""
    from embetter.text import SentenceEncoder

    return SentenceEncoder(model_folder(), device=_DEVICE)


def feature_extraction_step() -> Any:
    """Make pipeline("feature-extraction") a step, its model loaded once for all clones."""
    return _function_step(feature_extraction())


def padded_tutorial_step() -> Any:
    """Make the tutorial loop a step, its model loaded once for all clones."""
    return _function_step(padded_tutorial())


def _function_step(encoder: Encoder) -> Any:
    from sklearn.preprocessing import FunctionTransformer

    return FunctionTransformer(encoder.encode)


def _counted(module: Any) -> Tokens:
    """Count what goes into a module that is given an attention mask."""
    present: list[Any] = []
    padded: list[int] = []

    def count(module: Any, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        mask = (args[0] if args else given)["attention_mask"]
        # Read when it is asked for: a tool on a GPU does not wait for our count.
        present.append(mask.sum())
        padded.append(mask.numel())

    module.register_forward_pre_hook(count, with_kwargs=True)
    return lambda: (sum(map(int, present)), sum(padded))


REFERENCE = "sentence-transformers"
# From a tool's name to what loads it.
ENCODERS: dict[str, Callable[..., Encoder]] = {
    REFERENCE: sentence_transformers,
    "skrub TextEncoder": skrub,
    "embetter SentenceEncoder": embetter,
    "transformers pipeline": feature_extraction,
    "padded tutorial loop": padded_tutorial,
}
# From the same names to what makes a transformer for scikit-learn's Pipeline.
STEPS: dict[str, Callable[[], Any]] = {
    REFERENCE: sentence_transformers_step,
    "skrub TextEncoder": skrub_step,
    "embetter SentenceEncoder": embetter_step,
    "transformers pipeline": feature_extraction_step,
    "padded tutorial loop": padded_tutorial_step,
}

"""Whether the package can read an architecture, tried with two short texts when a model is loaded.

Hooks find the states of all architectures that call one layer after another. Of others they would
find wrong ones, and there are architectures in which a text's states depend on its padding. Neither
shows in a vector, so both are looked for before there is one.
"""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from sklearn_bert.encoder.depth import LowerPart, last_layer
from sklearn_bert.encoder.execution import is_out_of_memory
from sklearn_bert.encoder.randomness import shared_draws
from sklearn_bert.errors import ModelLoadError, architecture_error, shown

__all__ = ["check_parts", "check_states"]

# Odd, so that a model shows it that pads by itself.
_LENGTHS = (5, 3)
# How far a token's state may be off, as a share of its size, by bytes of a number. Batches of one
# shape are computed alike; those of another are rounded otherwise, which adds up over layers.
_TOLERANCE = {2: 0.01, 4: 1e-3, 8: 1e-6}
_OF_ANOTHER_SHAPE = 20


def check_parts(model: PreTrainedModel) -> None:
    """Raise ModelLoadError if a model lacks a part of an encoder of texts, or has a decoder."""
    if getattr(model.config, "is_encoder_decoder", False):
        raise architecture_error(model, "it has a decoder behind its encoder")
    try:
        sizes = (
            model.get_input_embeddings().num_embeddings,
            model.config.hidden_size,
            model.config.num_hidden_layers,
        )
        is_encoder = all(int(size) > 0 for size in sizes)
    except (AttributeError, NotImplementedError, TypeError):
        is_encoder = False
    if not is_encoder:
        raise architecture_error(
            model, "it is not one stack of layers upon a table of token embeddings"
        )
    last_layer(model)


def check_states(lower: LowerPart, pad_id: int, longest: int) -> None:
    """Run two texts together, and hold their states against the model's own and those of one alone.

    Nothing is counted as work, and random states stay as they are.

    Parameters
    ----------
    lower : LowerPart
        The model as it will be used.
    pad_id : int
        What texts are padded with.
    longest : int
        The most tokens that a text may have.

    Raises
    ------
    ModelLoadError
        If states are not those of the model's layers, or depend on what a text is padded to.
    """
    model = lower.model
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with shared_draws(), torch.random.fork_rng(devices), torch.no_grad():
            wrong = _what_is_wrong(lower, _texts(model, pad_id, longest), pad_id)
    except Exception as error:
        if isinstance(error, ModelLoadError) or is_out_of_memory(error):
            raise
        wrong = f"it can't read a text given as token ids ({shown(error)})"
        raise architecture_error(model, wrong) from error
    if wrong:
        raise architecture_error(model, wrong)


def _texts(model: PreTrainedModel, pad_id: int, longest: int) -> list[torch.Tensor]:
    """Return two texts of token ids that the model knows, the shorter one last."""
    n_known = model.get_input_embeddings().num_embeddings
    known = [token for token in range(min(n_known, max(_LENGTHS) + 1)) if token != pad_id]
    ids = torch.tensor(known * max(_LENGTHS), device=model.device)
    return [ids[: min(length, longest)] for length in _LENGTHS]


def _what_is_wrong(lower: LowerPart, texts: list[torch.Tensor], pad_id: int) -> str | None:
    together = _padded(texts, pad_id)
    visited = _visited(lower, together)
    shape = (*together["input_ids"].shape, lower.model.config.hidden_size)
    if any(states.shape != shape for states in visited):
        return "its layers get states that are not of shape (texts, tokens, hidden_size)"
    # The same texts, with something else behind the mask.
    output = lower.model(**_padded(texts, int(texts[0][0])), output_hidden_states=True)
    given = getattr(output, "hidden_states", None) or visited
    if len(given) != len(visited):
        return f"it gives {len(given)} hidden states and has {lower.n_layers} layers"
    present = together["attention_mask"].bool()
    found = torch.stack(visited)[:, present]
    expected = torch.stack([*given[:-1], output.last_hidden_state])[:, present]
    short = texts[-1]
    alone = torch.stack(_visited(lower, {"input_ids": short[None]}))[:, 0]
    of_short = found[:, -len(short) :]
    if not (_alike(found[-1], expected[-1]) and _alike(of_short, alone, _OF_ANOTHER_SHAPE)):
        return "a text's states depend on the padding behind it"
    return None if _alike(found, expected) else "what its layers get are not its hidden states"


def _padded(texts: list[torch.Tensor], fill: int) -> dict[str, torch.Tensor]:
    masks = [torch.ones_like(text) for text in texts]
    return {
        "input_ids": pad_sequence(texts, batch_first=True, padding_value=fill),
        "attention_mask": pad_sequence(masks, batch_first=True),
    }


def _visited(lower: LowerPart, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Return the states of all depths, as they were when they were visited."""
    found: list[torch.Tensor] = []
    lower.run(inputs, lower.n_layers, lambda depth, states: found.append(states.clone()))
    return found


def _alike(found: torch.Tensor, expected: torch.Tensor, times: float = 1) -> bool:
    """Say whether the states of each token are the same but for `times` the rounding.

    What should be no number, of damaged weights or in a precision that is too low, may be anything.
    """
    exact = torch.promote_types(expected.dtype, torch.float32)
    size = expected.norm(dim=-1, dtype=exact)
    error = (found.to(exact) - expected.to(exact)).norm(dim=-1)
    allowed = times * _TOLERANCE[expected.dtype.itemsize] * size
    return bool(((error <= allowed) | ~allowed.isfinite()).all())

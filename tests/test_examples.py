"""Every example runs as it is, with its defaults; minutes each, so `make test-slow` runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What examples import is no example.
EXAMPLES = sorted(
    path for path in (ROOT / "examples").glob("*.py") if "__main__" in path.read_text("utf-8")
)
GALLERY = sorted((ROOT / "examples" / "gallery").glob("*.py"))
CORPORA = {
    "chinese_five_fold": "online_shopping",
    "chinese_reviews": "chn_hotel",
    "freeze_depth_search": "sst2",
    "label_sets": "emotion",
    "paraphrase_pairs": "mrpc",
    "regression": "sst2",
    "several_tasks": "emotion",
    "transfer": "imdb_sample",
    "ulmfit": "sst2",
    "unlabelled_rows": "emotion",
}


def _output_of(script, **variables):
    result = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_all_examples_are_known():
    assert {path.stem for path in EXAMPLES} >= set(CORPORA)


# Without the prefix an example of the gallery would be shown and not be run.
def test_the_gallery_is_run_when_it_is_built():
    assert len(GALLERY) >= 6
    assert [path.stem for path in GALLERY if not path.stem.startswith("plot_")] == []


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(example):
    data = Path(os.environ.get("SKLEARN_BERT_DATA", "no-such-folder"))
    corpus = CORPORA.get(example.stem)
    if corpus is not None and not (data / corpus).is_dir():
        pytest.skip(f"needs the corpus {corpus} in SKLEARN_BERT_DATA")
    assert _output_of(example)


@pytest.mark.slow
@pytest.mark.parametrize("example", GALLERY, ids=lambda path: path.stem)
def test_the_gallery_example_runs(example):
    _output_of(example, MPLBACKEND="Agg")

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
CORPORA = {
    "chinese_five_fold": "online_shopping",
    "chinese_reviews": "chn_hotel",
    "freeze_depth_search": "sst2",
    "paraphrase_pairs": "mrpc",
    "unlabelled_rows": "emotion",
}


def test_all_examples_are_known():
    assert {path.stem for path in EXAMPLES} >= set(CORPORA)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(example):
    data = Path(os.environ.get("SKLEARN_BERT_DATA", "no-such-folder"))
    corpus = CORPORA.get(example.stem)
    if corpus is not None and not (data / corpus).is_dir():
        pytest.skip(f"needs the corpus {corpus} in SKLEARN_BERT_DATA")
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, str(example)],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout

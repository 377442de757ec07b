"""Every example runs as it is, with its defaults; minutes each, so `make test-slow` runs them."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from sklearn_bert.comparison import comparing, default_candidates

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
def test_the_example_runs(example, tmp_path):
    data = Path(os.environ.get("SKLEARN_BERT_DATA", "no-such-folder")).absolute()
    corpus = CORPORA.get(example.stem)
    if corpus is not None and not (data / corpus).is_dir():
        pytest.skip(f"needs the corpus {corpus} in SKLEARN_BERT_DATA")
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "SKLEARN_BERT_DATA": str(data)}
    result = subprocess.run(
        [sys.executable, str(example)],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_the_demo_ends_with_a_table_a_report_and_what_to_do_next(monkeypatch, tmp_path, capsys):
    """With the first candidate alone, to be done in seconds."""

    def first(X, **params):
        return dict(list(default_candidates(X, **params).items())[:1])

    monkeypatch.setattr(comparing, "default_candidates", first)
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(ROOT / "examples" / "demo.py"))["main"]
    assert main() == 0
    out, err = capsys.readouterr()
    command, table, after = out.index("sklearn-bert compare"), out.index("F1"), out.index("Next:")
    assert command < table < after
    assert "TF-IDF of words: precision" in err
    assert "360 texts, 3 classes" in out
    report = tmp_path / "demo-report.html"
    assert report.name in out[after:]
    assert report.read_text(encoding="utf-8").count("<table") >= 4
    assert f"{sys.executable} -m sklearn_bert compare" in out

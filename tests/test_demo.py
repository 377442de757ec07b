"""`make demo`: what a stranger sees first. That it runs as it is, is in `test_examples`."""

import runpy
import sys
from pathlib import Path

from sklearn_bert.comparison import comparing, default_candidates

ROOT = Path(__file__).parents[1]


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

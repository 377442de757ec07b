"""Ask what works on the bundled sample reviews: TF-IDF, features of BERT, or fine-tuning.

This is `sklearn-bert compare` with the sample as its file. The model comes with the package, so
nothing is downloaded.
"""

from __future__ import annotations

import shlex
import sys
from importlib import resources
from pathlib import Path

REPORT = "demo-report.html"
INTRODUCTION = """\
360 short reviews: negative, neutral or positive? This finds out what tells them apart best, within
a minute. The command, which takes a file of yours as well:

  sklearn-bert {arguments}
"""
NEXT = """
That was 3-fold cross-validation; what frozen layers make of a text was computed once.

Next:
  {report}
      Open it in a browser: scores of each class, what is most confidently wrong, and more.
  {python} -m sklearn_bert compare YOUR.csv --text COLUMN --label COLUMN --budget 10m
      The same on your texts; .tsv, .jsonl, .parquet and .xlsx too. More time lets all layers train.
  README.md, docs/compare.md
      The same in Python, and what each number means.
"""


def main() -> int:
    sample = resources.files("sklearn_bert.datasets") / "data" / "sample_reviews.csv"
    columns = ["--text", "text", "--label", "label"]
    limits = ["--cv", "3", "--budget", "1m"]
    arguments = ["compare", str(sample), *columns, *limits, "--html", REPORT]
    # Said before what takes seconds to import.
    print(INTRODUCTION.format(arguments=shlex.join(arguments)), flush=True)
    from sklearn_bert.__main__ import main as sklearn_bert

    code = sklearn_bert(arguments)
    if code == 0:
        print(NEXT.format(report=REPORT, python=_from_here(sys.executable)))
    return code


def _from_here(path: str) -> str:
    """Return a path as short as it can be typed."""
    return (
        str(Path(path).relative_to(Path.cwd())) if Path(path).is_relative_to(Path.cwd()) else path
    )


if __name__ == "__main__":
    sys.exit(main())

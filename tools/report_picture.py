"""Take a picture of the top of a report: `python -m tools.report_picture report.html picture.png`.

The report is one that `sklearn-bert compare ... --html report.html` wrote. `make picture` does both
for the corpus emotion; the documentation shows the result.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.browser import screenshot

__all__ = ["main"]


def main() -> None:
    """Read the arguments, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--width", type=int, default=1120, help="of the window, in pixels")
    parser.add_argument("--height", type=int, default=1240, help="of the window, in pixels")
    parser.add_argument("--dark", action="store_true", help="as a reader of dark pages sees it")
    given = parser.parse_args()
    source = given.report.read_text(encoding="utf-8")
    given.picture.parent.mkdir(parents=True, exist_ok=True)
    screenshot(source, given.picture, given.width, given.height, given.dark)


if __name__ == "__main__":
    main()

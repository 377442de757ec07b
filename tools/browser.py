"""Look at a page in a real browser without a window: for tests of the report, and its picture.

The page is put into a frame that may run no scripts. So it shows what it is without JavaScript, at
any width (windows have a least one), in the light or in the dark. The frame counts as of the same
place as the page around it: others are drawn by processes for which screenshots do not wait.
"""

from __future__ import annotations

import functools
import html
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

__all__ = ["BROWSERS", "Sizes", "find_browser", "measure", "screenshot"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_LEAST_WINDOW = 500
_SECONDS = 120
_MEASURE = """<script>onload = () => {
    const page = document.getElementById("page").contentDocument.documentElement
    const hidden = [...page.querySelectorAll("*")].filter(e => e.scrollWidth > e.clientWidth + 1)
        .filter(e => getComputedStyle(e).overflowX == "auto")
    const sizes = [page.scrollWidth, page.clientWidth, page.scrollHeight, hidden.length]
    document.body.append(`sizes ${sizes.join(" ")} end`)
}</script>"""


class Sizes(NamedTuple):
    """What was measured of a page, in pixels.

    Attributes
    ----------
    page, window : int
        How wide they are.
    height : int
        Of the page.
    scrolling : int
        How many parts of the page hide some of their width until they are scrolled.
    """

    page: int
    window: int
    height: int
    scrolling: int


def find_browser() -> str | None:
    """Return the path of a browser, None if there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def measure(source: str, width: int) -> Sizes:
    """Return how large a page is in a window.

    Parameters
    ----------
    source : str
        HTML.
    width : int
        Of the window.
    """
    wrapper = _frame(source, width, 800) + _MEASURE
    printed = _browse(wrapper, "--dump-dom", f"--window-size={max(width, _LEAST_WINDOW)},900")
    written = printed.rpartition("sizes ")[2].partition(" end")[0]
    return Sizes(*map(int, written.split()))


def screenshot(source: str, path: Path, width: int, height: int, dark: bool = False) -> None:
    """Write a PNG of the top of a page.

    Parameters
    ----------
    source : str
        HTML.
    path : Path
        Where to.
    width, height : int
        Of the window; the picture is at least 500 pixels wide.
    dark : bool, default=False
        Whether the reader prefers dark pages.
    """
    wrapper = _frame(source, width, height, scheme="dark" if dark else "light")
    window = f"{max(width, _LEAST_WINDOW)},{height}"
    _browse(wrapper, f"--screenshot={path.resolve()}", f"--window-size={window}")


def _frame(source: str, width: int, height: int, scheme: str = "light") -> str:
    style = f"width:{width}px;height:{height}px;border:0;display:block;color-scheme:{scheme}"
    quoted = html.escape(source, quote=True)
    return (
        f'<!DOCTYPE html><html style="color-scheme:{scheme}"><body style="margin:0">'
        f'<iframe id="page" sandbox="allow-same-origin" style="{style}" srcdoc="{quoted}"></iframe>'
    )


def _browse(wrapper: str, *arguments: str) -> str:
    browser = find_browser()
    if browser is None:
        raise FileNotFoundError(f"No browser on PATH. Accepted: {', '.join(BROWSERS)}.")
    flags = ("--headless", "--disable-gpu", "--no-sandbox", "--hide-scrollbars")
    folder = _folder().name
    page = Path(folder, "page.html")
    page.write_text(wrapper, encoding="utf-8")
    result = subprocess.run(
        [browser, *flags, f"--user-data-dir={folder}/profile", *arguments, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    return result.stdout


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for as long as the process lives: to make a profile takes seconds."""
    return tempfile.TemporaryDirectory(ignore_cleanup_errors=True)

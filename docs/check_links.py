"""Checks the links of built pages without a network: `python docs/check_links.py docs/_build/html`.

A link inside the pages has to lead to a file that is there, and to an anchor that the file has.
Links to other sites are written to `external_links.txt` beside the folder, to be looked at by
somebody with a network.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit


@dataclass
class Page:
    """What a page links to, and where links into it can lead."""

    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.page.links.append(value)
            elif value and (name == "id" or (tag == "a" and name == "name")):
                self.page.anchors.add(value)


def read(path: Path) -> Page:
    """Read the links and anchors of a page."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page


def broken(folder: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Yield a line for each link that leads nowhere."""
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            if is_external(link) or link == "#":
                continue
            address, anchor = urldefrag(link)
            address = urlsplit(address).path
            target = (path.parent / unquote(address)).resolve() if address else path
            if not target.is_file():
                yield f"{path.relative_to(folder)}: there is no {link}"
            elif anchor and target in pages and unquote(anchor) not in pages[target].anchors:
                yield f"{path.relative_to(folder)}: {link} has no such anchor"


def is_external(link: str) -> bool:
    """Tell whether a link leads out of the pages."""
    return bool(urlsplit(link).scheme or urlsplit(link).netloc)


def main(folder: Path) -> int:
    """Check all pages of a folder, and return the exit code."""
    folder = folder.resolve()
    pages = {
        path: read(path)
        for path in sorted(folder.rglob("*.html"))
        # Templates that the theme brings along.
        if "_static" not in path.parts
    }
    outside = {link for page in pages.values() for link in page.links if is_external(link)}
    listed = folder.parent / "external_links.txt"
    listed.write_text("".join(f"{link}\n" for link in sorted(outside)), encoding="utf-8")
    lines = list(broken(folder, pages))
    print(*lines, sep="\n", end="\n" if lines else "")
    print(f"{len(pages)} pages, {len(lines)} broken links; {len(outside)} external ones: {listed}")
    return 1 if lines or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""Links between the pages of README and docs lead somewhere, without a network or a build."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# A port where nothing listens.
NOWHERE = "http://127.0.0.1:9"
PAGES = sorted(
    [*ROOT.glob("*.md"), *DOCS.glob("*.md"), *DOCS.glob("decisions/*.md")],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)


def links_of(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text))
    return [link for link in found if "://" not in link]


def anchors_of(page):
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def target_of(page, address):
    """Return the file that a link means; gallery pages are written when docs are built."""
    target = (page.parent / address).resolve() if address else page
    if target.parent == DOCS / "gallery":
        name = "GALLERY_HEADER.rst" if target.name == "index" else f"{target.name}.py"
        return ROOT / "examples" / "gallery" / name
    return target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for link in links_of(page):
        address, _, anchor = link.partition("#")
        target = target_of(page, address)
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target), link


def test_pages_are_all_in_a_table_of_contents():
    text = "".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md"))
    listed = set("\n".join(re.findall(r"^```{toctree}\n(.*?)^```", text, re.M | re.S)).split())
    assert {path.stem for path in DOCS.glob("*.md")} - listed == {"index"}


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ('<a href="b.html#there">', None),
        ('<a href="b.html?v=1">', None),
        ('<a href="https://example.org/x">', None),
        ('<a href="c.html">', "a.html: there is no c.html"),
        ('<img src="c.png">', "a.html: there is no c.png"),
        ('<a href="b.html#gone">', "a.html: b.html#gone has no such anchor"),
        ('<a href="#gone">', "a.html: #gone has no such anchor"),
    ],
)
def test_built_pages_are_checked(link, problem, tmp_path):
    folder = tmp_path / "html"
    folder.mkdir()
    (folder / "a.html").write_text(link, encoding="utf-8")
    (folder / "b.html").write_text('<p id="there">', encoding="utf-8")
    command = [sys.executable, str(DOCS / "check_links.py"), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = result.stdout.splitlines()
    assert lines[:-1] == ([problem] if problem else [])
    assert result.returncode == (1 if problem else 0), result.stderr
    listed = (tmp_path / "external_links.txt").read_text(encoding="utf-8").split()
    assert listed == (["https://example.org/x"] if "example.org" in link else [])


@pytest.mark.slow
def test_pages_build_without_a_warning_and_without_a_network(tmp_path):
    for package in ("sphinx", "numpydoc", "myst_parser", "pydata_sphinx_theme", "sphinx_gallery"):
        pytest.importorskip(package, reason="needs the docs extra")
    built = shutil.ignore_patterns("_build", "gallery", "generated")
    shutil.copytree(DOCS, tmp_path / "docs", ignore=built)
    shutil.copytree(ROOT / "examples" / "gallery", tmp_path / "examples" / "gallery")
    nowhere = dict.fromkeys(["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"], NOWHERE)
    variables = {**os.environ, **nowhere, "PYTHONPATH": str(ROOT)}
    # `make docs` runs the gallery's examples too; here they are shown only.
    sphinx = ["-m", "sphinx", "-W", "--keep-going", "-D", "plot_gallery=0", "-b", "html"]
    for command in ([*sphinx, "docs", "html"], ["docs/check_links.py", "html"]):
        result = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr + result.stdout
    assert (tmp_path / "html" / "gallery" / "plot_01_features_pipeline.html").is_file()

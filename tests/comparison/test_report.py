"""The report: what is in it, what it must never do, and how it looks in a browser."""

import html
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sklearn_bert import compare
from sklearn_bert.comparison.markup import element
from sklearn_bert.comparison.report import COLORS, STYLE, render

EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror="alert(1)">',
    "'; </style><svg onload=alert(1)>",
    "</td></table> &amp; ]]> <!-- http://example.com/x.js",
    "javascript:alert(1)\u202egnp.exe\0",
    "一家很好的酒店 👩\u200d🍳",
]
VOID = {"meta", "br", "line", "rect"}
PAIRS_OF_COLORS = [
    *[("ink", "paper", 7.0), ("soft", "paper", 4.5), ("ink", "shade", 7.0)],
    *[("bar", "paper", 3.0), ("bar", "shade", 3.0), ("mark", "paper", 3.0)],
]


class Page(HTMLParser):
    """What a browser would find: nested tags, attributes, and text."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts, self.attributes = [], [], [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else None, data))


@pytest.fixture(scope="module")
def comparison(request):
    """Return a comparison of evil texts with evil labels, by candidates with evil names."""
    folder = request.getfixturevalue("saved_model")()
    texts = [f"{text} {number}" for number in range(12) for text in EVIL]
    texts += ["A text with many words, which is long enough to have another like it. Number 1"] * 2
    texts += ["A text with many words, which is long enough to have another like it. Number 2"] * 2
    y = np.array([EVIL[i % 3] for i in range(len(texts))])
    candidates = {
        EVIL[0]: DummyClassifier(strategy="uniform", random_state=0),
        EVIL[1] * 5: DummyClassifier(strategy="uniform", random_state=1),
        EVIL[2]: make_pipeline(TfidfVectorizer(vocabulary=[]), LogisticRegression()),
    }
    settings = {"model": folder, "device": "cpu", "precision": "float32"}
    return compare(texts, y, candidates=candidates, cv=3, random_state=0, **settings)


@pytest.fixture(scope="module")
def source(comparison):
    return render(comparison, title=f"{EVIL[0]}.csv: {EVIL[1]}")


def test_all_parts_are_there(source, comparison):
    headings = [text for tag, text in Page(source).texts if tag in ("h1", "h2", "h3")]
    assert headings[1:] == [
        "Scores",
        "Not run",
        f"The best: {comparison.best_name_}",
        "Confusion matrix",
        "Most confidently wrong",
        "The data",
        "Length",
        "Texts in several folds",
    ]
    shown = "".join(text for _, text in Page(source).texts)
    assert comparison.recommendation in shown
    assert comparison.code in shown
    for name in comparison.table.index:
        assert name in shown
    for reason in comparison.not_run.values():
        assert reason in shown
    best = comparison.table.iloc[0]
    assert f"{best['mean_test_f1_macro']:.3f} ± {best['std_test_f1_macro']:.3f}" in shown
    assert "nearly the same" in shown


def test_nothing_that_texts_hold_becomes_markup(source):
    """All tags, and all attributes, are those that the report itself writes."""
    page = Page(source)
    assert page.open == []
    written = {
        *("html", "head", "meta", "title", "style", "body", "main", "section", "h1", "h2", "h3"),
        *("p", "pre", "code", "div", "table", "thead", "tbody", "tr", "th", "td"),
        *("figure", "figcaption", "svg", "text", "rect", "line"),
    }
    assert set(page.tags) <= written
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    shown = "".join(text for _, text in page.texts)
    # Escaped they are all there to be read, with what no page should hold replaced.
    for text in EVIL:
        assert text.replace("\u202e", "\ufffd").replace("\0", "\ufffd") in shown


def test_nothing_is_loaded_or_run(source):
    page = Page(source)
    links = {"src", "href", "action", "data", "srcset", "poster", "background", "xlink:href"}
    assert not [name for _, name, _ in page.attributes if name in links]
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert not re.search(r"url\(|@import|expression\(", STYLE)
    outside = re.sub(r"&[^;]+;", "", "".join(text for tag, text in page.texts if tag == "style"))
    assert "http" not in outside
    policy = [value for tag, name, value in page.attributes if (tag, name) == ("meta", "content")]
    assert "default-src 'none'; style-src 'unsafe-inline'" in policy


def test_it_is_made_for_phones_and_readers(source):
    page = Page(source)
    assert ("meta", "content", "width=device-width, initial-scale=1") in page.attributes
    assert ("html", "lang", "en") in page.attributes
    assert source.startswith("<!DOCTYPE html>")
    # Each table in a box that scrolls, and that a keyboard reaches; each picture with words.
    assert page.tags.count("table") == source.count('<div class="box" tabindex="0"><table>')
    assert page.tags.count("svg") == len([1 for t, n, v in page.attributes if n == "aria-label"])
    headers = [(name, value) for tag, name, value in page.attributes if tag == "th"]
    assert headers.count(("scope", "col")) == page.tags.count("th")
    assert re.search(r"\.box \{ overflow-x: auto; \}", STYLE)


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def colors_in(css):
    return dict(re.findall(r"--(\w+):(#[0-9a-f]{6});", css))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("front", "back", "least"), PAIRS_OF_COLORS)
def test_contrast(source, front, back, least, dark):
    """By the formula of WCAG 2.2, on the colours that the page has."""
    light_part, dark_part = re.search(
        r":root \{(.*?)\}\s*@media \(prefers-color-scheme: dark\) \{ :root \{(.*?)\}", source
    ).groups()
    colors = colors_in(dark_part if dark else light_part)
    assert set(colors) == set(COLORS)
    low, high = sorted((luminance(colors[front]), luminance(colors[back])))
    assert (high + 0.05) / (low + 0.05) >= least


def test_colors_are_named_once():
    """So that the test above sees all of them."""
    outside = re.sub(r"--\w+:#[0-9a-f]{6};", "", STYLE)
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgb|hsl", outside)


def test_to_html_writes_the_page(comparison, tmp_path):
    path = tmp_path / "report.html"
    comparison.to_html(path, title="A title")
    assert path.read_text(encoding="utf-8") == render(comparison, "A title")
    assert "<h1>A title</h1>" in render(comparison, "A title")


def test_elements_escape_all_but_elements():
    inner = element("b", "<")
    assert element("p", inner, "<", title='"') == '<p title="&quot;"><b>&lt;</b>&lt;</p>'


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason=f"no browser on PATH: none of {', '.join(BROWSERS)}"
)


def browse(tmp_path, page, *arguments):
    """Run the browser once, without a window, and return what it printed."""
    flags = ("--headless", "--disable-gpu", "--no-sandbox", "--hide-scrollbars")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    result = subprocess.run(
        [BROWSER, *flags, profile, *arguments, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return result.stdout


@needs_browser
@pytest.mark.parametrize("width", [360, 1280])
def test_no_overflow_in_a_browser(source, tmp_path, width):
    """The page is as wide as its window: measured from outside, for it may run nothing itself."""
    # The frame, whose content it may read, has the report with its policy.
    frame = f'<iframe id="f" style="width:{width}px;height:800px;border:0" srcdoc="{{}}"></iframe>'
    script = """<script>onload = () => {
        const page = document.getElementById("f").contentDocument.documentElement
        document.body.append(`widths ${page.scrollWidth} ${page.clientWidth} ${page.scrollHeight}`)
    }</script>"""
    wrapper = tmp_path / "wrapper.html"
    quoted = html.escape(source, quote=True)
    wrapper.write_text(f"<body>{frame.format(quoted)}{script}", encoding="utf-8")
    dumped = browse(tmp_path, wrapper, "--dump-dom", f"--window-size={width + 40},900")
    scroll, client, height = map(int, re.search(r"widths (\d+) (\d+) (\d+)", dumped).groups())
    assert scroll <= client <= width
    assert height > 800


@needs_browser
def test_screenshot_at_the_width_of_a_phone(source, tmp_path):
    """With scripts off it still draws: ink, bars and paper are on the picture."""
    image = pytest.importorskip("PIL.Image")
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(source, encoding="utf-8")
    off = "--blink-settings=scriptEnabled=false"
    browse(tmp_path, page, off, f"--screenshot={picture}", "--window-size=500,2400")
    pixels = np.asarray(image.open(picture).convert("RGB")).reshape(-1, 3)
    drawn = {tuple(pixel) for pixel in np.unique(pixels, axis=0).tolist()}
    expected = [COLORS[name][0] for name in ("paper", "shade", "bar")]
    assert {tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in expected} <= drawn

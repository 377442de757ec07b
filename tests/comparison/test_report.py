"""The report: what is in it, what it must never do, and how it looks in a browser."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sklearn_bert import compare
from sklearn_bert.comparison import default_candidates
from sklearn_bert.comparison.markup import element
from sklearn_bert.comparison.report import COLORS, STYLE, render
from tests.models import TEXTS
from tools.browser import BROWSERS, find_browser, measure, screenshot

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
    *[("soft", "shade", 4.5), ("bar", "paper", 3.0), ("bar", "shade", 3.0), ("mark", "paper", 3.0)],
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
        *("p", "pre", "code", "div", "table", "thead", "tbody", "tr", "th", "td", "small"),
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
    assert page.tags.count("table") == len(
        re.findall(r'<div class="box" tabindex="0"><table(?: class="cards")?>', source)
    )
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


def test_a_report_that_can_not_be_written_leaves_the_one_before(comparison, tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "report.html"
    path.write_text("before", encoding="utf-8")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            comparison.to_html(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_elements_escape_all_but_elements():
    inner = element("b", "<")
    assert element("p", inner, "<", title='"') == '<p title="&quot;"><b>&lt;</b>&lt;</p>'


def test_white_space_of_any_script_is_no_replaced_character():
    text = "Tr\u00e8s bien\u202f!\r\n\u2009\u3000\u00a0\u2028\t."
    assert element("p", text) == f"<p>{text}</p>"


needs_browser = pytest.mark.skipif(
    find_browser() is None, reason=f"no browser on PATH: none of {', '.join(BROWSERS)}"
)
WIDTHS = (360, 390, 1280)


@needs_browser
@pytest.mark.parametrize("width", WIDTHS)
def test_no_overflow_in_a_browser(source, width):
    """The page is as wide as its window, whatever names, labels and texts it holds."""
    sizes = measure(source, width)
    assert sizes.page == sizes.window == width
    assert sizes.height > 800


@needs_browser
@pytest.mark.parametrize("width", WIDTHS[1:])
def test_all_is_seen_without_scrolling_aside(saved_model, width):
    """With the usual candidates and a few classes, no table and no code is cut at the right."""
    settings = {"model": saved_model(), "device": "cpu", "precision": "float32"}
    texts = [f"{text} {number}" for number in range(6) for text in TEXTS]
    y = np.array(["negative", "neutral", "positive"] * 20)
    dummy = DummyClassifier(strategy="stratified", random_state=0)
    candidates = dict.fromkeys(default_candidates(texts, **settings), dummy)
    found = compare(texts, y, candidates=candidates, cv=3, random_state=0, **settings)
    assert measure(render(found), width).scrolling == 0


@needs_browser
def test_a_page_that_overflows_is_noticed():
    """So that the test above can fail."""
    wide = "<div style=width:700px>wide</div>"
    sizes = measure(f"<body style=margin:0>{wide}", 390)
    assert (sizes.page, sizes.window, sizes.scrolling) == (700, 390, 0)
    sizes = measure(f"<body style=margin:0><div style=overflow-x:auto>{wide}</div>", 390)
    assert (sizes.page, sizes.window, sizes.scrolling) == (390, 390, 1)


def pixels_of(source, tmp_path, **settings):
    image = pytest.importorskip("PIL.Image")
    picture = tmp_path / "report.png"
    screenshot(source, picture, **settings)
    return np.asarray(image.open(picture).convert("RGB"))


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", WIDTHS[1:])
def test_it_is_drawn_without_scripts(source, tmp_path, width, dark):
    """Paper, shade and bars are on the picture in their colours, and no script has run."""
    alert = "<script>document.documentElement.remove()</script>"
    drawn = pixels_of(source + alert, tmp_path, width=width, height=2400, dark=dark)[:, :width]
    colors, counts = np.unique(drawn.reshape(-1, 3), axis=0, return_counts=True)
    found = dict(zip(map(tuple, colors.tolist()), counts.tolist(), strict=True))
    share = {name: found.get(rgb(both[dark]), 0) / counts.sum() for name, both in COLORS.items()}
    assert share["paper"] > 0.5
    assert min(share["shade"], share["bar"], share["ink"]) > 0.0001


def rgb(color):
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))

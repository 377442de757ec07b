"""The report of a comparison: one HTML file that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import sklearn_bert
from sklearn_bert.comparison.charts import score_bars, upright_bars
from sklearn_bert.comparison.clock import duration
from sklearn_bert.comparison.columns import HEADINGS, cells_of
from sklearn_bert.comparison.duplicates import SIMILARITY
from sklearn_bert.comparison.markup import Markup, element, join
from sklearn_bert.comparison.recommending import METRIC_NAMES
from sklearn_bert.comparison.result import Comparison
from sklearn_bert.validation import Text

__all__ = ["COLORS", "STYLE", "render"]

# Name of a custom property to a colour in the light and in the dark; tests hold their contrast.
COLORS = {
    "paper": ("#ffffff", "#15181c"),
    "ink": ("#1c2127", "#e8eaed"),
    "soft": ("#4d5661", "#b3bac3"),
    "edge": ("#c9ced6", "#434b55"),
    "shade": ("#f2f4f7", "#20252b"),
    "bar": ("#2563a8", "#7db3ee"),
    "mark": ("#b3261e", "#ff9d94"),
}
_MOST_CLASSES = 30
_LONGEST = 400


def _properties(column: int) -> str:
    return "".join(f"--{name}:{values[column]};" for name, values in COLORS.items())


STYLE = f"""
:root {{ color-scheme: light dark; {_properties(0)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_properties(1)} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; padding: 1rem; max-width: 66rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; }}
h2 {{ font-size: 1.2rem; margin-top: 2.5rem; }}
p, figcaption {{ max-width: 45rem; }}
figure {{ margin: 1rem 0; }}
figcaption, .note {{ color: var(--soft); }}
.advice {{ padding: .75rem 1rem; background: var(--shade); border-left: .3rem solid var(--bar); }}
.box {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }}
th, td {{ padding: .35rem .6rem; border-bottom: 1px solid var(--edge); text-align: right;
  vertical-align: top; white-space: nowrap; }}
th:first-child, td:first-child, .text {{ text-align: left; }}
.text {{ white-space: normal; min-width: 12rem; overflow-wrap: anywhere; }}
.right {{ background: var(--shade); font-weight: bold; }}
small {{ display: block; font-size: .8rem; color: var(--soft); }}
pre {{ overflow-x: auto; padding: .75rem 1rem; background: var(--shade); }}
svg {{ display: block; width: 100%; max-width: 27rem; height: auto; }}
svg text {{ font-size: 12px; fill: var(--ink); }}
svg .value {{ text-anchor: end; }}
.bar {{ fill: var(--bar); }}
.empty {{ fill: var(--shade); }}
.spread {{ stroke: var(--ink); stroke-width: 2; }}
.halo {{ stroke: var(--paper); stroke-width: 5; }}
.mark {{ stroke: var(--mark); stroke-width: 2; stroke-dasharray: 4 3; }}
/* On a phone, a row of a wide table is a card: its first cell, then names and values. */
@media (max-width: 40rem) {{
  pre {{ white-space: pre-wrap; }}
  th, td {{ padding: .35rem .4rem; }}
  th {{ white-space: normal; }}
  .cards, .cards tbody {{ display: block; }}
  .cards thead {{ display: none; }}
  .cards tr {{ display: grid; grid-template-columns: 1fr 1fr; gap: 0 1rem; padding: .5rem 0;
    border-bottom: 1px solid var(--edge); }}
  .cards td {{ display: flex; flex-wrap: wrap; align-items: baseline; justify-content: end;
    gap: 0 .2rem; padding: .1rem 0; border: 0; white-space: normal; min-width: 0;
    overflow-wrap: anywhere; }}
  .cards td::before {{ content: attr(data-label); margin-right: auto; font-size: .75rem;
    color: var(--soft); overflow-wrap: normal; }}
  .cards .text {{ display: block; grid-column: 1 / -1; }}
  .cards .text::before {{ display: block; }}
  .cards td:first-child {{ font-weight: bold; }}
  .cards td:first-child::before {{ display: none; }}
  .cards small {{ display: inline; font-size: .7rem; }}
}}
"""


def render(comparison: Comparison, title: str = "Comparison") -> str:
    """Return the report as HTML.

    Parameters
    ----------
    comparison : Comparison
        From :func:`~sklearn_bert.compare`.
    title : str, default="Comparison"
        What was compared on.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # Nothing may be loaded or run, whatever the texts hold.
        element(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; style-src 'unsafe-inline'",
        ),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    sections = (_advice, _scores, _not_run, _best, _mistakes, _data, _warnings)
    body = element(
        "body",
        element("h1", title),
        element("p", _what(comparison), class_="note"),
        element("main", *(section(comparison) for section in sections)),
    )
    return f'<!DOCTYPE html>\n<html lang="en">{head}{body}</html>\n'


def _what(comparison: Comparison) -> str:
    n_folds = len(comparison.results[0].folds)
    end = ", ended by Ctrl-C" if comparison.interrupted else ""
    return (
        f"{len(comparison.y):,} texts, {len(comparison.label_counts)} classes, {n_folds} folds, "
        f"{duration(comparison.seconds)}{end}. sklearn-bert {sklearn_bert.__version__}."
    )


def _advice(comparison: Comparison) -> Markup:
    return join(
        [
            element("p", comparison.recommendation, class_="advice"),
            element("p", "These lines make the best and fit it:"),
            element("pre", element("code", comparison.code), tabindex=0),
        ]
    )


def _scores(comparison: Comparison) -> Markup:
    table, metric = comparison.table, comparison.scoring
    by_name = {result.name: result for result in comparison.results}
    means, spreads = table[f"mean_test_{metric}"], table[f"std_test_{metric}"]
    name = METRIC_NAMES[metric]
    name = name[:1].upper() + name[1:]
    chart = score_bars(list(table.index), list(means), list(spreads), f"Bars: {name}")
    return _section(
        "Scores",
        element(
            "figure",
            chart,
            element("figcaption", f"{name}: mean over folds, and one standard deviation."),
        ),
        _table(
            ["candidate", *HEADINGS],
            [[name, *map(_spread_below, cells_of(by_name[name]))] for name in table.index],
            "Precision, recall and F1 are means over classes; ± is one standard deviation over "
            "folds. Fit: mean time of a fold's fit, with what is kept of frozen layers at hand. "
            "Predict: 1,000 texts that no cache has. Size: pickle of a fitted estimator, without "
            "weights that are frozen; – where there is none. Encoded: texts that passed frozen "
            "layers, the rest was kept from before.",
            text=0,
        ),
    )


def _spread_below(cell: str) -> Markup:
    mean, sign, spread = cell.partition(" ± ")
    # The space is for readers that show no lines.
    return join([mean, " ", element("small", f"± {spread}")]) if sign else join([cell])


def _not_run(comparison: Comparison) -> Markup:
    if not comparison.not_run:
        return Markup()
    return _section("Not run", _table(["candidate", "reason"], comparison.not_run.items(), text=1))


def _best(comparison: Comparison) -> Markup:
    per_class = comparison.per_class.head(_MOST_CLASSES)
    rows = [
        [label, *(f"{value:.3f}" for value in row[:3]), f"{row[3]:,.0f}"]
        for label, row in zip(per_class.index, per_class.to_numpy(), strict=True)
    ]
    more = len(comparison.per_class) - len(per_class)
    note = f"{more} more classes are left out here." if more > 0 else ""
    matrix = comparison.confusion_matrix.iloc[:_MOST_CLASSES, :_MOST_CLASSES]
    counts = [
        [label, *(f"{count:,}" for count in row)]
        for label, row in zip(matrix.index, matrix.to_numpy(), strict=True)
    ]
    return _section(
        f"The best: {comparison.best_name_}",
        _table(["label", "precision", "recall", "F1", "texts"], rows, note),
        element("h3", "Confusion matrix"),
        _table(["true ↓ predicted →", *matrix.columns], counts, note, diagonal=True),
    )


def _mistakes(comparison: Comparison) -> Markup:
    wrong = comparison.mistakes
    if not len(wrong):
        return Markup()
    rows = [
        [_shown(text), true, predicted, "–" if np.isnan(confidence) else f"{confidence:.3f}"]
        for text, true, predicted, confidence in wrong.itertuples(index=False)
    ]
    return _section(
        "Most confidently wrong",
        _table(
            ["text", "label", "predicted", "probability"],
            rows,
            "By fits that did not see the text. Often it is the label that is wrong.",
            text=0,
        ),
    )


def _data(comparison: Comparison) -> Markup:
    labels, n_samples = comparison.label_counts.head(_MOST_CLASSES), len(comparison.y)
    rows = [[label, f"{n:,}", f"{n / n_samples:.1%}"] for label, n in labels.items()]
    lengths = comparison.lengths
    counts, edges = lengths.histogram()
    said = (
        f"Tokens of the texts; the longest has {int(lengths.tokens.max()):,}. The encoder reads "
        f"{lengths.max_length:,}, {lengths.n_cut:,} texts are longer."
    )
    return _section(
        "The data",
        _table(["label", "texts", "share"], rows),
        element("h3", "Length"),
        element(
            "figure",
            upright_bars(counts.tolist(), edges.tolist(), lengths.max_length, said),
            element("figcaption", said),
        ),
        element("h3", "Texts in several folds"),
        *_twins(comparison),
    )


def _twins(comparison: Comparison) -> Iterable[Markup]:
    found = comparison.duplicates
    n_exact, n_near = int(found.exact.sum()), int(found.near.sum())
    if not n_exact and not n_near:
        yield element(
            "p",
            "None: no text is in another fold too, nor nearly so (cosine of character n-grams of "
            f"{SIMILARITY} or more).",
        )
        return
    contradicting = (
        f" {found.n_contradictions:,} texts occur with different labels."
        if found.n_contradictions
        else ""
    )
    yield element(
        "p",
        f"{n_exact:,} texts are in another fold too, and {n_near:,} more nearly so (cosine of "
        f"character n-grams of {SIMILARITY} or more). They flatter scores.{contradicting}",
    )
    if found.pairs:
        rows = [
            [
                _shown(comparison.texts[pair["rows"][0]]),
                _shown(comparison.texts[pair["rows"][1]]),
                f"{pair['similarity']:.3f}",
                "same" if pair["same_label"] else "different",
            ]
            for pair in found.pairs
        ]
        yield _table(["text", "nearly the same", "cosine", "labels"], rows, text=1)


def _warnings(comparison: Comparison) -> Markup:
    rows = [[result.name, text] for result in comparison.results for text in result.warnings]
    if not rows:
        return Markup()
    return _section("Warnings", _table(["candidate", "warning"], rows, text=1))


def _section(heading: str, *content: Markup) -> Markup:
    return element("section", element("h2", heading), *content)


def _table(
    headings: Sequence[Any],
    rows: Iterable[Sequence[Any]],
    note: str = "",
    text: int = -1,
    diagonal: bool = False,
) -> Markup:
    """Return a table in a box of its own that scrolls.

    Columns up to `text` hold long texts; the rows of such a table are cards on a phone.
    """

    def cell(row: int, column: int, content: Any) -> Markup:
        is_text = column <= text
        on_diagonal = diagonal and column == row + 1
        return element(
            "td",
            content,
            class_="text" if is_text else "right" if on_diagonal else None,
            dir="auto" if is_text else None,
            data_label=headings[column] if text >= 0 else None,
        )

    head = element("tr", *(element("th", heading, scope="col") for heading in headings))
    body = (
        element("tr", *(cell(number, column, content) for column, content in enumerate(row)))
        for number, row in enumerate(rows)
    )
    table = element(
        "table",
        element("thead", head),
        element("tbody", *body),
        class_="cards" if text >= 0 else None,
    )
    box = element("div", table, class_="box", tabindex=0)
    return join([box, element("p", note, class_="note")]) if note else box


def _shown(text: Text) -> str:
    joined = text if isinstance(text, str) else " ‖ ".join(text)
    return joined if len(joined) <= _LONGEST else f"{joined[:_LONGEST]} …"

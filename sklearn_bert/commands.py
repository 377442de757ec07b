"""What the commands do, once their arguments are known: see `__main__`."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from sklearn_bert.classifier import BertFineTuneClassifier
from sklearn_bert.comparison import Comparison, compare
from sklearn_bert.errors import LongTextWarning, ModelLoadError, TableError
from sklearn_bert.featurizer import BertFeaturizer
from sklearn_bert.pair_names import ATTRIBUTE as PAIR_NAMES
from sklearn_bert.pair_names import set_pair_names
from sklearn_bert.pretrained import saved_class_name
from sklearn_bert.regressor import BertFineTuneRegressor
from sklearn_bert.tables import check_cells, column_of, find_column, read_chunks, writer
from sklearn_bert.validation import is_missing, well_formed

__all__ = ["plain_warnings", "run_compare", "run_featurize", "run_predict"]

# Rows that are in memory at once.
_ROWS = 1024
_PREDICTORS = {kind.__name__: kind for kind in (BertFineTuneClassifier, BertFineTuneRegressor)}
INTERRUPTED = 130
_SEVERAL = "Keep one label a row; BertFineTuneClassifier takes several, in Python."


def run_compare(arguments: Namespace) -> int:
    """Compare candidates on a file; print the table, and write the report.

    Returns
    -------
    int
        0, 1 if there is no best to save because its fit on all texts failed, or 130 if Ctrl-C ended
        it early; what is done is printed then too.
    """
    _check_places(arguments)
    texts, labels = _texts_and_labels(arguments)
    comparison = compare(
        texts,
        labels,
        cv=arguments.cv,
        scoring=arguments.scoring,
        budget=arguments.budget,
        refit=arguments.save is not None,
        model=arguments.model,
        max_length=arguments.max_length,
        device=arguments.device,
        cache=arguments.cache,
        random_state=arguments.random_state,
        revision=arguments.revision,
        verbose=0 if arguments.quiet else 1,
    )
    ways: list[Callable[[], None]] = [lambda: print(comparison, flush=True)]
    if arguments.html:
        ways.append(lambda: _report(comparison, arguments))
    if arguments.save and not comparison.interrupted:
        ways.append(lambda: _save(comparison, arguments))
    _do_all(ways)
    if comparison.interrupted:
        return INTERRUPTED
    return 1 if comparison.refit_failed else 0


def run_featurize(arguments: Namespace) -> int:
    """Write the rows of a file with the features of a text column behind them."""
    _check_not_read("--output", Path(arguments.output), arguments.file)
    featurizer = BertFeaturizer(
        arguments.model,
        pooling=_one_or_all(arguments.pooling or ["mean"]),
        layers=_one_or_all(arguments.layer or [-1]),
        max_length=arguments.max_length,
        long_text=arguments.long_text,
        device=arguments.device,
        cache=arguments.cache,
        revision=arguments.revision,
    )
    names = [str(name) for name in featurizer.get_feature_names_out()]

    def featurized(texts: list[Any]) -> pd.DataFrame:
        return pd.DataFrame(featurizer.transform(texts), columns=names)

    return _stream(arguments, featurized)


def run_predict(arguments: Namespace) -> int:
    """Write the rows of a file with the predictions of a saved model behind them."""
    _check_not_read("--output", Path(arguments.output), arguments.file)
    name = saved_class_name(arguments.model, arguments.revision)
    if name not in _PREDICTORS:
        raise ModelLoadError(
            f"{arguments.model} holds a {name}. Accepted: what save_pretrained of "
            f"{' or '.join(_PREDICTORS)} wrote."
        )
    predictor: Any = _PREDICTORS[name].from_pretrained(arguments.model, revision=arguments.revision)
    if arguments.proba and not hasattr(predictor, "predict_proba"):
        raise ModelLoadError(f"{arguments.model} holds a {name}, which has no --proba.")
    _check_order(arguments, predictor)

    def predicted(texts: list[Any]) -> pd.DataFrame:
        columns = _named(predictor.predict(texts), "prediction")
        if arguments.proba:
            for number, values in enumerate(_by_task(predictor.predict_proba(texts))):
                classes = predictor.classes_
                of_task = classes[number] if isinstance(classes, list) else classes
                end = f"_{number}" if isinstance(classes, list) else ""
                columns |= {
                    well_formed(f"probability{end}_{label}"): values[:, i]
                    for i, label in enumerate(of_task)
                }
        return pd.DataFrame(columns)

    return _stream(arguments, predicted)


def _check_order(arguments: Namespace, predictor: Any) -> None:
    """Refuse the columns of pairs the other way round; other names may mean the same."""
    fitted = list(getattr(predictor, PAIR_NAMES, ()))
    names = list(arguments.text or ())
    if names != fitted and names[::-1] == fitted:
        first, second = fitted
        raise TableError(
            f"--text {second} --text {first}: {arguments.model} was fitted on pairs of {first} and "
            f"{second}, in this order. Pass --text {first} --text {second}."
        )


def _stream(arguments: Namespace, make: Callable[[list[Any]], pd.DataFrame]) -> int:
    """Read, compute and write some rows at a time."""
    n_rows = 0
    bar = tqdm(unit=" texts", disable=True if arguments.quiet else None)
    with bar, writer(arguments.output) as write:
        for chunk in read_chunks(arguments.file, rows=_ROWS, encoding=arguments.encoding):
            columns = _text_columns(arguments, chunk)
            check_cells(chunk, columns, arguments.file, n_rows)
            texts = _texts(chunk, columns, fill="")
            made = make(texts)
            taken = sorted(set(map(str, chunk.columns)) & set(made.columns))
            if taken:
                raise TableError(
                    f"{arguments.file} has columns {taken[:5]} already, as the result would have. "
                    f"Rename them."
                )
            write(pd.concat([chunk.reset_index(drop=True), made], axis=1))
            bar.update(len(chunk))
            n_rows += len(chunk)
    _say(f"{n_rows:,} rows: {arguments.output}")
    return 0


def _text_columns(arguments: Namespace, chunk: pd.DataFrame) -> list[str]:
    """Return the text column, or the two of pairs; without a name the only one, or "text"."""
    if arguments.text:
        return [find_column(name, chunk.columns, arguments.file) for name in arguments.text]
    names = [str(name) for name in chunk.columns]
    like = [name for name in names if name.strip().lower() == "text"]
    for clear in (names, [name for name in like if name == "text"], like):
        if len(clear) == 1:
            return clear
    raise TableError(
        f"{arguments.file} has {len(names)} columns, and none is named 'text'. Say which holds the "
        f"texts with --text: {', '.join(map(repr, (like or names)[:20]))}."
    )


def _texts(chunk: pd.DataFrame, columns: Sequence[str], fill: str | None) -> list[Any]:
    """Return texts or pairs as strings; `fill` stands for what is missing."""
    cells = [
        [fill if is_missing(cell) else str(cell) for cell in chunk[name].tolist()]
        for name in columns
    ]
    return cells[0] if len(cells) == 1 else list(zip(*cells, strict=True))


def _check_places(arguments: Namespace) -> None:
    """Refuse what could not be written, before the time of a comparison is spent."""
    if arguments.label in arguments.text:
        raise TableError(
            f"--label {arguments.label} is the column of the texts. Name that of the labels."
        )
    if arguments.save:
        _check_folder(Path(arguments.save).expanduser(), os.path.expanduser(arguments.model))
    if arguments.html:
        _check_report(Path(arguments.html), arguments.file)


def _check_folder(folder: Path, model: str) -> None:
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise TableError(f"--save {folder}: {there} is a file. Name a folder.")
    _check_writable(f"--save {folder}", there)
    if folder.exists() and os.path.isdir(model) and folder.samefile(model):
        raise TableError(f"--save {folder} is the folder of --model. Name another.")


def _check_report(report: Path, file: str) -> None:
    if report.is_dir():
        raise TableError(f"--html {report} is a folder. Name a file in it.")
    if not report.parent.is_dir():
        raise TableError(f"There is no folder {report.parent} to write {report.name} to. Make it.")
    _check_not_read("--html", report, file)
    if report.exists():
        _check_writable(f"--html {report}", report)
    if report.is_file() or not report.exists():
        _check_writable(f"--html {report}", report.resolve().parent)


def _check_not_read(option: str, place: Path, file: str) -> None:
    if place.exists() and os.path.exists(file) and place.samefile(file):
        raise TableError(f"{option} {place} is the file of the texts. Name another.")


def _check_writable(option: str, place: Path) -> None:
    if not os.access(place, os.W_OK):
        raise TableError(f"{option}: there is no permission to write to {place}. Name another.")


def _texts_and_labels(arguments: Namespace) -> tuple[list[Any], np.ndarray]:
    """Read the whole file; rows without a text or a label are left out, and counted aloud."""
    texts: list[Any] = []
    labels: list[Any] = []
    n_rows = n_left_out = 0
    for chunk in read_chunks(arguments.file, encoding=arguments.encoding):
        columns = [find_column(name, chunk.columns, arguments.file) for name in arguments.text]
        label = find_column(arguments.label, chunk.columns, arguments.file)
        check_cells(chunk, columns, arguments.file, n_rows)
        check_cells(chunk, [label], arguments.file, n_rows, of_lists=_SEVERAL)
        n_rows += len(chunk)
        rows = zip(_texts(chunk, columns, None), chunk[label].tolist(), strict=True)
        for text, value in rows:
            halves = (text,) if len(columns) == 1 else text
            if any(_is_blank(cell) for cell in (*halves, value)):
                n_left_out += 1
                continue
            texts.append(text)
            labels.append(value)
    if not texts:
        raise TableError(f"{arguments.file} has no row with both a text and a label.")
    if n_left_out:
        _say(f"{n_left_out:,} rows without a text or a label are left out")
    if len(set(map(str, labels))) == 1:
        raise TableError(
            f"{arguments.file}: all {len(labels):,} labels in {arguments.label} are {labels[0]!r}. "
            f"To tell texts apart, there have to be at least two."
        )
    return texts, _label_array(labels)


def _label_array(labels: list[Any]) -> np.ndarray:
    """Return labels as they are, or as strings where that is no array of one type."""
    if set(map(type, labels)) == {int, float}:
        # One number may stand as 1 here and as 1.0 there.
        labels = [
            int(label) if isinstance(label, float) and label.is_integer() else label
            for label in labels
        ]
    # Cells of a workbook may be numbers here and words there.
    array = np.array(labels if len(set(map(type, labels))) == 1 else list(map(str, labels)))
    # Decimals, dates, and integers beyond 64 bits.
    return array if array.dtype != object else np.array(list(map(str, labels)))


def _is_blank(cell: Any) -> bool:
    return is_missing(cell) or (isinstance(cell, str) and not cell.strip())


def _do_all(ways: Sequence[Callable[[], None]]) -> None:
    """Do each, even if another fails: what was found must not be lost with the first."""
    errors: list[Exception] = []
    for way in ways:
        try:
            way()
        except (ValueError, TypeError, OSError) as error:
            errors.append(error)
    for earlier in errors[:-1]:
        _say(f"sklearn-bert: error: {earlier}")
    if errors:
        raise errors[-1]


def _report(comparison: Comparison, arguments: Namespace) -> None:
    title = f"{os.path.basename(arguments.file)}: {', '.join(arguments.text)}"
    comparison.to_html(arguments.html, title=f"{title} → {arguments.label}")
    _say(f"report: {arguments.html}")


def _save(comparison: Comparison, arguments: Namespace) -> None:
    if comparison.refit_failed:
        _say(
            f"not saved: “{comparison.best_name_}” could not be fitted on all texts "
            f"({comparison.refit_failed}). The lines above make it again."
        )
        return
    best = comparison.best_estimator_
    if not isinstance(best, BertFineTuneClassifier):
        _say(
            f"not saved: “{comparison.best_name_}” is no fine-tuned model, and only these have a "
            f"folder that is safe to load. The lines above make it again."
        )
        return
    if len(arguments.text) == 2:
        set_pair_names(best, np.array(arguments.text, dtype=object))
    best.save_pretrained(arguments.save)
    _say(f"model: {arguments.save}")


def _named(values: np.ndarray, name: str) -> dict[str, Any]:
    """Return one column, or one for each task."""
    if values.ndim == 1:
        return {name: column_of(values)}
    columns = range(values.shape[1])
    return {f"{name}_{number}": column_of(values[:, number]) for number in columns}


def _by_task(probabilities: Any) -> list[np.ndarray]:
    return probabilities if isinstance(probabilities, list) else [probabilities]


def _one_or_all(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else list(values)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


@contextlib.contextmanager
def plain_warnings(arguments: Namespace) -> Iterator[None]:
    """Have warnings shown as lines; that of long texts for the first rows that have such only."""
    said = set()
    chunks = arguments.command == "featurize" and len(arguments.text or ()) < 2
    remedy = "Pass --long-text chunk." if chunks else "Split them into rows of their own."

    def show(message: Any, category: Any, *place: Any, **more: Any) -> None:
        if category is LongTextWarning and category in said:
            return
        said.add(category)
        # What it says to do itself names parameters.
        is_long = category is LongTextWarning
        text = f"of the rows so far, {message.found} {remedy}" if is_long else message
        _say(f"warning: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", LongTextWarning)
        warnings.showwarning = show
        yield

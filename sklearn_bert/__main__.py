"""The commands: ``sklearn-bert compare | featurize | predict``, or ``python -m sklearn_bert``.

What they do is in `commands`, which is imported once the arguments are known to be right.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from typing import Any

import sklearn_bert

__all__ = ["main"]

_DONE, _ERROR, _INTERRUPTED = 0, 1, 130
_FILES = ".csv, .tsv, .txt, .jsonl, .ndjson, .parquet or .xlsx"
_RESULTS = ".csv, .tsv, .jsonl, .ndjson or .parquet"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, default=None
        The arguments; None takes those of the process.

    Returns
    -------
    int
        0 if all went well, 1 if data or model can't be used, 130 after Ctrl-C. Wrong arguments end
        the process with 2.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if len(arguments.text or ()) > 2:
        parser.error(f"--text: one column or two, not {len(arguments.text)}")
    # What a terminal has no character for must not end a command that took an hour.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except (ValueError, TypeError, ArithmeticError, OSError, ImportError) as error:
        if arguments.debug:
            raise
        print(f"sklearn-bert: error: {error}", file=sys.stderr)
        return _ERROR


def _run(arguments: argparse.Namespace) -> int:
    try:
        import pandas  # noqa: F401 - what commands need, said before anything else fails
    except ImportError as error:
        raise ImportError(
            "the commands need pandas. Install it: pip install 'sklearn-bert[cli]'."
        ) from error
    from sklearn_bert import commands

    run: Callable[[argparse.Namespace], int] = getattr(commands, f"run_{arguments.command}")
    with commands.plain_warnings(arguments):
        return run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sklearn-bert",
        description="BERT for people with labelled texts.",
        epilog="Exit codes: 0 done, 1 data or model can't be used, 2 wrong arguments, 130 Ctrl-C.",
    )
    version = f"sklearn-bert {sklearn_bert.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for add in (_add_compare, _add_featurize, _add_predict):
        add(commands)
    return parser


def _add_compare(commands: Any) -> None:
    parser = _command(
        commands, "compare", "find out what works on labelled texts: TF-IDF, features, fine-tuning"
    )
    parser.add_argument("file", help=f"the texts and labels: {_FILES}")
    _add_text(parser, required=True)
    parser.add_argument("--label", required=True, metavar="COLUMN", help="column of the labels")
    parser.add_argument("--cv", type=_folds, default=5, metavar="N", help="folds (default: 5)")
    parser.add_argument(
        "--budget",
        type=_budget,
        metavar="TIME",
        help="time for candidates and refit: seconds, or 90s, 10m, 1h30m",
    )
    parser.add_argument(
        "--scoring",
        default="f1_macro",
        choices=("f1_macro", "precision_macro", "recall_macro", "accuracy"),
        help="what decides (default: f1_macro)",
    )
    parser.add_argument("--html", metavar="FILE", help="write a report")
    parser.add_argument(
        "--save", metavar="FOLDER", help="write the best as a folder for predict, if fine-tuned"
    )
    parser.add_argument(
        "--random-state", type=int, default=0, metavar="N", help="seed (default: 0)"
    )
    _add_encoder(parser, cache="memory")


def _add_featurize(commands: Any) -> None:
    parser = _command(commands, "featurize", "turn texts into vectors of a frozen encoder")
    _add_stream(parser)
    parser.add_argument(
        "--pooling",
        action="append",
        choices=("cls", "mean", "max", "last", "pooler"),
        help="how tokens become one vector (default: mean); several are concatenated",
    )
    parser.add_argument(
        "--layer",
        action="append",
        type=int,
        metavar="N",
        help="0 is the embeddings, -1 the last (default); of several the mean",
    )
    parser.add_argument(
        "--long-text",
        default="truncate",
        choices=("truncate", "chunk"),
        help="cut long texts, or read all of them in windows",
    )
    _add_encoder(parser, cache=None)


def _add_predict(commands: Any) -> None:
    parser = _command(commands, "predict", "predict with what save_pretrained wrote")
    parser.add_argument("model", help="folder, or name on the Hugging Face Hub")
    _add_stream(parser)
    parser.add_argument("--proba", action="store_true", help="add the probability of each class")
    parser.add_argument("--revision", help="branch, tag or commit on the Hub")


def _command(commands: Any, name: str, does: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=does, description=does)
    parser.add_argument("--encoding", help="of text files (default: found out)")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    return parser


def _add_stream(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help=f"the texts: {_FILES}")
    _add_text(parser, required=False)
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help=_RESULTS)


def _add_text(parser: argparse.ArgumentParser, required: bool) -> None:
    parser.add_argument(
        "--text",
        required=required,
        action="append",
        metavar="COLUMN",
        help="column of the texts; twice for pairs"
        + ("" if required else " (default: the only one, or 'text')"),
    )


def _add_encoder(parser: argparse.ArgumentParser, cache: str | None) -> None:
    from sklearn_bert.encoder.sources import EMBEDDED_MODEL

    parser.add_argument(
        "--model", default=EMBEDDED_MODEL, help=f"folder or name (default: {EMBEDDED_MODEL})"
    )
    parser.add_argument("--revision", help="branch, tag or commit on the Hub")
    parser.add_argument(
        "--max-length", type=int, metavar="N", help="tokens of a text (default: the model's limit)"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, ... (default: auto)")
    parser.add_argument(
        "--cache", default=cache, metavar="FOLDER", help="where to keep results between runs"
    )


def _folds(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no integer of at least 2")
    return int(text)


def _budget(text: str) -> str:
    # The parser of budgets needs nothing heavy, but the package that it is in does.
    from sklearn_bert.comparison.clock import parse_budget

    try:
        parse_budget(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


if __name__ == "__main__":
    sys.exit(main())

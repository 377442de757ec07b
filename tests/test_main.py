"""The commands, as functions and as a process: what they write, what they say, how they end."""

import csv
import datetime
import io
import json
import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier, BertFineTuneRegressor
from sklearn_bert import commands as commands_module
from sklearn_bert.__main__ import main
from sklearn_bert.comparison import Comparison, comparing, default_candidates
from sklearn_bert.encoder import work
from sklearn_bert.tables import read_chunks
from tests.models import MAX_LENGTH, PAIRS, TEXTS

Y = np.array(["good", "bad"] * 5)
SETTINGS = {"device": "cpu", "precision": "float32"}


@pytest.fixture
def reviews(tmp_path):
    path = tmp_path / "reviews.csv"
    rows = [(f"{text} {i}", label) for i in range(4) for text, label in zip(TEXTS, Y, strict=True)]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Comment", "Emotion"])
        writer.writerows([*rows, ("no label", "")])
    return path


@pytest.fixture
def linear_only(monkeypatch):
    """Have the command try the candidate that takes no time."""

    def first(X, **params):
        candidates = default_candidates(X, **params)
        return dict(list(candidates.items())[:1])

    monkeypatch.setattr(comparing, "default_candidates", first)


@pytest.fixture
def only_tuned(monkeypatch):
    """Have the command try one candidate, which can be saved."""

    def tuned(X, **params):
        name = "fine-tuning: top layer"
        return {name: default_candidates(X, **params)[name]}

    monkeypatch.setattr(comparing, "default_candidates", tuned)


@pytest.fixture
def fitted(saved_model, tmp_path):
    folder = tmp_path / "model"
    classifier = BertFineTuneClassifier(saved_model(), freeze="all", random_state=0, **SETTINGS)
    classifier.fit(TEXTS, Y).save_pretrained(folder)
    return classifier, folder


def run(*arguments):
    return main([str(argument) for argument in arguments])


class TestCompare:
    def arguments(self, reviews, saved_model, *more):
        columns = ("--text", "Comment", "--label", "Emotion")
        place = ("--model", saved_model(), "--device", "cpu", "--cv", 2)
        return ("compare", reviews, *columns, *place, *more)

    def test_it_prints_what_it_finds(self, reviews, saved_model, linear_only, capsys, tmp_path):
        report = tmp_path / "report.html"
        code = run(*self.arguments(reviews, saved_model, "--html", report, "--budget", "10m"))
        out, err = capsys.readouterr()
        assert code == 0
        assert out.startswith("40 texts, 2 classes, 2 folds")
        assert "TF-IDF of words" in out
        assert "estimator.fit(X, y)" in out
        assert "1 rows without a text or a label are left out" in err
        assert "fold" in err
        page = report.read_text(encoding="utf-8")
        assert "<h1>reviews.csv: Comment → Emotion</h1>" in page

    def test_rows_without_a_word_are_left_out(self, reviews, saved_model, linear_only, capsys):
        with reviews.open("a", encoding="utf-8") as stream:
            stream.write(',good\n"  ",good\nno label,"  "\n')
        assert run(*self.arguments(reviews, saved_model)) == 0
        out, err = capsys.readouterr()
        assert out.startswith("40 texts, 2 classes, 2 folds")
        assert "4 rows without a text or a label are left out" in err

    def test_quiet(self, reviews, saved_model, linear_only, capsys):
        assert run(*self.arguments(reviews, saved_model, "--quiet")) == 0
        assert "TF-IDF" not in capsys.readouterr().err

    def test_a_model_that_is_saved_serves_predict(
        self, reviews, saved_model, only_tuned, capsys, tmp_path
    ):
        folder, result = tmp_path / "best", tmp_path / "out.csv"
        assert run(*self.arguments(reviews, saved_model, "--save", folder)) == 0
        assert run("predict", folder, reviews, "--text", "Comment", "-o", result) == 0
        assert set(pd.read_csv(result)["prediction"]) <= {"good", "bad"}

    def test_a_pipeline_is_not_saved(self, reviews, saved_model, linear_only, capsys, tmp_path):
        folder = tmp_path / "best"
        assert run(*self.arguments(reviews, saved_model, "--save", folder)) == 0
        assert "not saved" in capsys.readouterr().err
        assert not folder.exists()

    @pytest.mark.parametrize("failing", [["print"], ["to_html"], ["print", "to_html"]])
    def test_what_is_found_is_kept_in_each_way_though_another_fails(
        self, failing, reviews, saved_model, only_tuned, capsys, monkeypatch, tmp_path
    ):
        def fail_to(do):
            def fail(*args, **kwargs):
                raise OSError(f"no space left to {do}")

            return fail

        for do, method in {"print": "__str__", "to_html": "to_html"}.items():
            if do in failing:
                monkeypatch.setattr(Comparison, method, fail_to(do))
        report, folder = tmp_path / "report.html", tmp_path / "best"
        more = ("--html", report, "--save", folder)
        assert run(*self.arguments(reviews, saved_model, *more)) == 1
        out, err = capsys.readouterr()
        assert all(f"error: no space left to {do}\n" in err for do in failing)
        assert folder.is_dir()
        assert report.exists() == ("to_html" not in failing)
        assert ("40 texts, 2 classes" in out) == ("print" not in failing)

    def test_characters_that_a_terminal_lacks_are_replaced(
        self, reviews, saved_model, linear_only, monkeypatch
    ):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr("sys.stdout", stream)
        assert run(*self.arguments(reviews, saved_model, "--quiet")) == 0
        stream.flush()
        assert b"?TF-IDF of words" in stream.buffer.getvalue()

    def test_a_model_of_pairs_knows_their_order(
        self, reviews, saved_model, only_tuned, capsys, tmp_path
    ):
        path, folder, out = tmp_path / "pairs.csv", tmp_path / "best", tmp_path / "out.csv"
        table = pd.DataFrame(PAIRS * 4, columns=["one", "other"])
        table["label"] = ["good", "bad"] * (len(table) // 2)
        table.to_csv(path, index=False)
        order = ("--text", "one", "--text", "other")
        place = ("--model", saved_model(), "--device", "cpu", "--cv", 2)
        more = ("--label", "label", "--save", folder)
        assert run("compare", path, *order, *place, *more) == 0
        assert run("predict", folder, path, *order, "-o", out) == 0
        capsys.readouterr()
        assert run("predict", folder, path, *order[2:], *order[:2], "-o", out) == 1
        assert "Pass --text one --text other." in capsys.readouterr().err
        table.rename(columns={"one": "a", "other": "b"}).to_csv(path, index=False)
        assert run("predict", folder, path, "--text", "a", "--text", "b", "-o", out) == 0

    def test_one_number_written_in_two_ways(self, saved_model, linear_only, capsys, tmp_path):
        path = tmp_path / "in.jsonl"
        labels = ["1", "2", "1.0", "2.0"] * 5
        lines = [f'{{"Comment": "text {i}", "Emotion": {y}}}' for i, y in enumerate(labels)]
        path.write_text("\n".join(lines), encoding="utf-8")
        assert run(*self.arguments(path, saved_model)) == 0
        assert "2 classes" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "labels",
        [
            [datetime.date(2026, 1, 2), datetime.date(2026, 1, 3)],
            [datetime.datetime(2026, 1, 2), datetime.datetime(2026, 1, 3)],
            [Decimal("1.50"), Decimal("2.50")],
        ],
        ids=["dates", "times", "decimals"],
    )
    def test_dates_and_decimals_are_labels(
        self, labels, saved_model, linear_only, capsys, tmp_path
    ):
        path = tmp_path / "in.parquet"
        texts = [f"text {i}" for i in range(20)]
        pd.DataFrame({"Comment": texts, "Emotion": labels * 10}).to_parquet(path)
        assert run(*self.arguments(path, saved_model)) == 0
        assert "20 texts, 2 classes" in capsys.readouterr().out

    def test_integers_beyond_64_bits_are_labels(self, saved_model, linear_only, capsys, tmp_path):
        path = tmp_path / "in.jsonl"
        rows = [{"Comment": f"text {i}", "Emotion": 2**70 + i % 2} for i in range(20)]
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        assert run(*self.arguments(path, saved_model)) == 0
        assert "2 classes" in capsys.readouterr().out

    def test_ctrl_c_writes_what_is_done(self, reviews, saved_model, capsys, monkeypatch, tmp_path):
        done = []

        def interrupt(*args, **kwargs):
            if done:
                raise KeyboardInterrupt
            done.append(1)
            return original(*args, **kwargs)

        original = comparing.cross_validate_candidate
        monkeypatch.setattr(comparing, "cross_validate_candidate", interrupt)
        report = tmp_path / "report.html"
        assert run(*self.arguments(reviews, saved_model, "--html", report)) == 130
        out, _ = capsys.readouterr()
        assert "not run: fine-tuning: all layers: interrupted" in out
        assert "ended by Ctrl-C" in report.read_text(encoding="utf-8")

    def test_a_refit_that_fails_is_told_behind_what_was_found(
        self, reviews, saved_model, linear_only, capsys, monkeypatch, tmp_path
    ):
        def fail(*args):
            raise MemoryError("too many texts")

        monkeypatch.setattr(comparing, "fit_on_all", fail)
        report, folder = tmp_path / "report.html", tmp_path / "best"
        more = ("--html", report, "--save", folder)
        assert run(*self.arguments(reviews, saved_model, *more)) == 1
        out, err = capsys.readouterr()
        assert out.startswith("40 texts, 2 classes, 2 folds")
        assert "not saved: “TF-IDF of words" in err
        assert "(MemoryError: too many texts)" in err
        assert "too many texts" in report.read_text(encoding="utf-8")
        assert not folder.exists()


class TestFeaturize:
    def test_vectors_stand_behind_the_rows(self, reviews, saved_model, tmp_path, capsys):
        out = tmp_path / "out.parquet"
        place = ("--model", saved_model(), "--device", "cpu")
        code = run("featurize", reviews, "--text", "Comment", "-o", out, *place)
        assert code == 0
        assert f"41 rows: {out}" in capsys.readouterr().err
        found, rows = pd.read_parquet(out), pd.read_csv(reviews, keep_default_na=False)
        pd.testing.assert_frame_equal(found[["Comment", "Emotion"]], rows, check_dtype=False)
        featurizer = BertFeaturizer(saved_model(), device="cpu")
        expected = featurizer.transform(rows["Comment"].tolist())
        names = featurizer.get_feature_names_out()
        np.testing.assert_allclose(found[names].to_numpy(), expected, atol=1e-2)

    def test_settings_are_those_of_the_featurizer(self, reviews, saved_model, tmp_path):
        out = tmp_path / "out.jsonl"
        place = ("--model", saved_model(), "--device", "cpu")
        chosen = ("--pooling", "cls", "--pooling", "max", "--layer", 1, "--layer", 2)
        assert run("featurize", reviews, "--text", "Comment", "-o", out, *place, *chosen) == 0
        found = pd.read_json(out, lines=True)
        featurizer = BertFeaturizer(
            saved_model(), pooling=["cls", "max"], layers=[1, 2], device="cpu"
        )
        expected = featurizer.transform(["no label"])
        got = found[featurizer.get_feature_names_out()].to_numpy()[-1:]
        np.testing.assert_allclose(got, expected, atol=1e-2)

    def test_rows_are_in_memory_some_at_a_time(self, reviews, saved_model, tmp_path, monkeypatch):
        """No more than so many texts go to the encoder at once, and the result is the same."""
        seen = []
        transform = BertFeaturizer.transform

        def watched(self, X):
            seen.append(len(X))
            return transform(self, X)

        monkeypatch.setattr(BertFeaturizer, "transform", watched)
        place = ("--text", "Comment", "--model", saved_model(), "--device", "cpu")
        whole, parts = tmp_path / "whole.csv", tmp_path / "parts.csv"
        assert run("featurize", reviews, "-o", whole, *place) == 0
        monkeypatch.setattr(commands_module, "_ROWS", 16)
        assert run("featurize", reviews, "-o", parts, *place) == 0
        assert seen == [41, 16, 16, 9]
        one, other = pd.read_csv(whole), pd.read_csv(parts)
        assert list(one["Comment"]) == list(other["Comment"])
        features = one.columns[2:]
        np.testing.assert_allclose(one[features], other[features], atol=1e-2)

    def test_long_texts_are_told_once(self, saved_model, tmp_path, monkeypatch, capsys):
        path, out = tmp_path / "in.csv", tmp_path / "out.csv"
        path.write_text("text\n" + "\n".join(["good " * (MAX_LENGTH + 1)] * 4), encoding="utf-8")
        monkeypatch.setattr(commands_module, "_ROWS", 2)
        assert run("featurize", path, "-o", out, "--model", saved_model(), "--device", "cpu") == 0
        said = capsys.readouterr().err
        assert said.count("are longer than") == 1
        assert "and were cut there. Pass --long-text chunk.\n" in said

    def test_pairs(self, saved_model, tmp_path):
        path, out = tmp_path / "in.csv", tmp_path / "out.parquet"
        pd.DataFrame(PAIRS, columns=["one", "other"]).to_csv(path, index=False)
        columns = ("--text", "one", "--text", "other")
        place = ("--model", saved_model(), "--device", "cpu")
        assert run("featurize", path, *columns, "-o", out, *place) == 0
        expected = BertFeaturizer(saved_model(), device="cpu").transform(PAIRS)
        found = pd.read_parquet(out).iloc[:, 2:].to_numpy()
        np.testing.assert_allclose(found, expected, atol=1e-2)


class TestPredict:
    def test_labels_with_half_an_emoji_are_written_as_files_can(self, saved_model, tmp_path):
        labels = np.array(["good \ud83d", "bad"] * 5)
        classifier = BertFineTuneClassifier(saved_model(), freeze="all", max_epochs=1, **SETTINGS)
        classifier.fit(TEXTS, labels).save_pretrained(tmp_path / "model")
        path, out = tmp_path / "in.csv", tmp_path / "out.csv"
        pd.DataFrame({"text": TEXTS}).to_csv(path, index=False)
        assert run("predict", tmp_path / "model", path, "-o", out, "--proba") == 0
        found = pd.read_csv(out)
        assert set(found["prediction"]) <= {"good \ufffd", "bad"}
        assert "probability_good \ufffd" in found

    def test_predictions_stand_behind_the_rows(self, fitted, reviews, tmp_path):
        classifier, folder = fitted
        out = tmp_path / "out.csv"
        assert run("predict", folder, reviews, "--text", "Comment", "-o", out, "--proba") == 0
        found = pd.read_csv(out)
        texts = pd.read_csv(reviews)["Comment"].tolist()
        assert found["prediction"].tolist() == classifier.predict(texts).tolist()
        probabilities = found[[f"probability_{label}" for label in classifier.classes_]]
        np.testing.assert_allclose(probabilities, classifier.predict_proba(texts), atol=1e-5)

    def test_long_texts_are_told_with_what_the_command_line_can_do(self, fitted, tmp_path, capsys):
        path, out = tmp_path / "in.csv", tmp_path / "out.csv"
        path.write_text("text\n" + "good " * (MAX_LENGTH + 1), encoding="utf-8")
        assert run("predict", fitted[1], path, "-o", out) == 0
        assert "cut there. Split them into rows of their own.\n" in capsys.readouterr().err

    def test_the_column_is_found_where_it_is_clear(self, fitted, tmp_path):
        _, folder = fitted
        path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
        pd.DataFrame({"id": [1, 2], "Text": TEXTS[:2]}).to_json(path, orient="records", lines=True)
        assert run("predict", folder, path, "-o", out) == 0
        assert list(pd.read_json(out, lines=True).columns) == ["id", "Text", "prediction"]

    def test_a_column_of_exactly_that_name_is_taken_before_others(self, fitted, tmp_path, capsys):
        classifier, folder = fitted
        path, out = tmp_path / "in.csv", tmp_path / "out.csv"
        table = pd.DataFrame({"Text": "bad", "text": TEXTS, "label": "x"})
        table.to_csv(path, index=False)
        assert run("predict", folder, path, "-o", out) == 0
        assert pd.read_csv(out)["prediction"].tolist() == classifier.predict(TEXTS).tolist()
        table.rename(columns={"text": "TEXT"}).to_csv(path, index=False)
        assert run("predict", folder, path, "-o", out) == 1
        assert "none is named 'text'" in capsys.readouterr().err

    def test_rows_keep_columns_that_later_rows_alone_have(self, fitted, tmp_path, monkeypatch):
        monkeypatch.setattr(commands_module, "_ROWS", 2)
        _, folder = fitted
        path = tmp_path / "in.jsonl"
        rows = [{"text": text} for text in TEXTS[:3]] + [{"id": 2**60 + 1, "text": "good"}]
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        for kind in ("csv", "jsonl", "parquet"):
            out = tmp_path / f"out.{kind}"
            assert run("predict", folder, path, "-o", out) == 0
            found = pd.concat(list(read_chunks(out)))
            assert list(found.columns) == ["text", "id", "prediction"]
            assert found["text"].tolist() == [row["text"] for row in rows]
            assert str(found["id"].iloc[-1]) == str(2**60 + 1)

    def test_a_workbook_with_row_numbers(self, fitted, tmp_path):
        classifier, folder = fitted
        path, out = tmp_path / "in.xlsx", tmp_path / "out.csv"
        pd.DataFrame({"id": range(10), "text": TEXTS}).to_excel(path)
        assert run("predict", folder, path, "-o", out) == 0
        found = pd.read_csv(out, keep_default_na=False)
        assert found["text"].tolist() == list(TEXTS)
        assert found["prediction"].tolist() == classifier.predict(TEXTS).tolist()

    def test_parquet_whose_texts_are_the_index(self, fitted, tmp_path):
        classifier, folder = fitted
        path, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
        pd.DataFrame({"text": TEXTS, "n": 1}).set_index("text").to_parquet(path)
        assert run("predict", folder, path, "-o", out) == 0
        found = pd.read_parquet(out)
        assert sorted(found.columns) == ["n", "prediction", "text"]
        assert found["prediction"].tolist() == classifier.predict(TEXTS).tolist()

    def test_several_tasks(self, saved_model, tmp_path):
        folder, path, out = (tmp_path / name for name in ("model", "in.csv", "out.csv"))
        y = np.column_stack([Y, Y[::-1]])
        classifier = BertFineTuneClassifier(saved_model(), freeze="all", **SETTINGS)
        classifier.fit(TEXTS, y).save_pretrained(folder)
        pd.DataFrame({"text": TEXTS}).to_csv(path, index=False)
        assert run("predict", folder, path, "-o", out, "--proba") == 0
        expected = ["prediction_0", "prediction_1"]
        expected += [f"probability_{task}_{label}" for task in (0, 1) for label in ("bad", "good")]
        assert list(pd.read_csv(out).columns) == ["text", *expected]

    def test_a_regressor(self, saved_model, tmp_path, capsys):
        folder, path, out = (tmp_path / name for name in ("model", "in.csv", "out.csv"))
        regressor = BertFineTuneRegressor(saved_model(), freeze="all", **SETTINGS)
        regressor.fit(TEXTS, np.arange(10.0)).save_pretrained(folder)
        pd.DataFrame({"text": TEXTS}).to_csv(path, index=False)
        assert run("predict", folder, path, "-o", out) == 0
        np.testing.assert_allclose(
            pd.read_csv(out)["prediction"], regressor.predict(TEXTS), rtol=1e-4
        )
        assert run("predict", folder, path, "-o", out, "--proba") == 1
        assert "has no --proba" in capsys.readouterr().err

    def test_what_is_no_saved_estimator(self, saved_model, reviews, tmp_path, capsys):
        out = tmp_path / "out.csv"
        assert run("predict", saved_model(), reviews, "-o", out) == 1
        assert "no saved estimator" in capsys.readouterr().err
        folder = tmp_path / "features"
        BertFeaturizer(saved_model(), **SETTINGS).save_pretrained(folder)
        assert run("predict", folder, reviews, "-o", out) == 1
        assert "holds a BertFeaturizer" in capsys.readouterr().err

    def test_no_pickle_is_ever_loaded(self, reviews, tmp_path, capsys):
        """A folder with pickled weights alone ends in an error, and nothing in it runs."""
        import pickle

        class Bomb:
            def __reduce__(self):
                return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w').close()",))

        folder = tmp_path / "model"
        folder.mkdir()
        for name in ("pytorch_model.bin", "model.pkl", "sklearn_bert.json"):
            (folder / name).write_bytes(pickle.dumps(Bomb()))
        (folder / "config.json").write_text("{}")
        assert run("predict", folder, reviews, "-o", tmp_path / "out.csv") == 1
        assert "error:" in capsys.readouterr().err
        assert not (tmp_path / "ran").exists()


class TestHowItEnds:
    def error(self, capsys, *arguments):
        before = work.counted().models_loaded
        assert run(*arguments) == 1
        assert work.counted().models_loaded == before
        return capsys.readouterr().err

    def test_columns(self, reviews, capsys, tmp_path):
        columns = ("--text", "comment", "--label", "Emotion")
        assert "Did you mean 'Comment'?" in self.error(capsys, "compare", reviews, *columns)
        columns = ("--text", "Comment", "--label", "emotions")
        assert "Did you mean 'Emotion'?" in self.error(capsys, "compare", reviews, *columns)

    def test_no_column_is_clear(self, fitted, reviews, tmp_path, capsys):
        out = tmp_path / "out.csv"
        assert run("predict", fitted[1], reviews, "-o", out) == 1
        assert "Say which holds the texts with --text" in capsys.readouterr().err
        assert not out.exists()

    def test_a_column_that_is_there_already(self, fitted, tmp_path, capsys):
        path, out = tmp_path / "in.csv", tmp_path / "out.csv"
        pd.DataFrame({"text": TEXTS, "prediction": 1}).to_csv(path, index=False)
        assert run("predict", fitted[1], path, "-o", out) == 1
        assert "has columns ['prediction'] already" in capsys.readouterr().err

    @pytest.mark.parametrize("command", ["compare", "featurize"])
    def test_bytes_are_no_texts(self, command, saved_model, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(commands_module, "_ROWS", 2)
        path, out = tmp_path / "in.parquet", tmp_path / "out.csv"
        texts = [None, None, None, *[text.encode() for text in TEXTS]]
        pd.DataFrame({"text": texts, "label": "x"}).to_parquet(path)
        more = ("--label", "label") if command == "compare" else ("-o", out)
        place = ("--text", "text", "--model", saved_model(), "--device", "cpu")
        assert run(command, path, *place, *more) == 1
        said = capsys.readouterr().err
        assert "in.parquet, row 4: 'text' is bytes, b'" in said
        assert "Decode bytes first" in said
        assert not out.exists()

    def test_several_labels_a_row(self, tmp_path, capsys):
        path = tmp_path / "in.jsonl"
        rows = [{"text": "a film", "label": ["x", "y"][: i % 2 + 1]} for i in range(10)]
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        said = self.error(capsys, "compare", path, "--text", "text", "--label", "label")
        assert "in.jsonl, row 1: 'label' is a list, ['x']." in said
        assert "Keep one label a row" in said

    def test_too_few_rows_a_class(self, tmp_path, saved_model, capsys):
        path = tmp_path / "in.csv"
        path.write_text("text,label\n" + "a film,x\n" * 10 + "a story,y\n" * 2)
        columns = ("--text", "text", "--label", "label", "--model", saved_model())
        assert "'y' (2)" in self.error(capsys, "compare", path, *columns)

    def test_files(self, tmp_path, capsys):
        columns = ("--text", "text", "--label", "label")
        assert "no file" in self.error(capsys, "compare", tmp_path / "none.csv", *columns)
        (tmp_path / "in.csv").write_text("text,label\n,\n")
        assert "no row with both" in self.error(capsys, "compare", tmp_path / "in.csv", *columns)

    def test_one_class(self, tmp_path, capsys):
        path = tmp_path / "in.csv"
        path.write_text("text,label\n" + "a film,x\n" * 10)
        columns = ("--text", "text", "--label", "label")
        assert "all 10 labels in label are 'x'" in self.error(capsys, "compare", path, *columns)

    def test_texts_that_are_the_labels(self, reviews, capsys):
        columns = ("--text", "Comment", "--label", "Comment")
        assert "is the column of the texts" in self.error(capsys, "compare", reviews, *columns)

    @pytest.mark.parametrize(
        ("option", "place", "message"),
        [
            ("--html", "none/report.html", "no folder"),
            ("--html", "", "is a folder"),
            ("--html", "reviews.csv", "is the file of the texts"),
            ("--html", "../{folder}/reviews.csv", "is the file of the texts"),
            ("--save", "reviews.csv", "is a file"),
            ("--save", "reviews.csv/model", "is a file"),
        ],
    )
    def test_places_are_checked_before_time_is_spent(
        self, reviews, capsys, tmp_path, option, place, message
    ):
        columns = ("--text", "Comment", "--label", "Emotion")
        place = tmp_path / place.format(folder=tmp_path.name)
        before = reviews.read_bytes()
        assert message in self.error(capsys, "compare", reviews, *columns, option, place)
        assert reviews.read_bytes() == before

    @pytest.mark.parametrize(
        ("option", "place"),
        [("--html", "report.html"), ("--save", "model"), ("--save", "none/model")],
    )
    def test_permissions_are_checked_before_time_is_spent(
        self, reviews, capsys, tmp_path, monkeypatch, option, place
    ):
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
        columns = ("--text", "Comment", "--label", "Emotion")
        said = self.error(capsys, "compare", reviews, *columns, option, tmp_path / place)
        assert f"no permission to write to {tmp_path}." in said

    @pytest.mark.parametrize("name", ["reviews.csv", "../{folder}/reviews.csv", "link.csv"])
    @pytest.mark.parametrize("command", [("featurize",), ("predict", "model")])
    def test_texts_are_not_written_over(self, reviews, capsys, tmp_path, command, name):
        (tmp_path / "link.csv").symlink_to(reviews)
        output, before = tmp_path / name.format(folder=tmp_path.name), reviews.read_bytes()
        said = self.error(capsys, *command, reviews, "--text", "Comment", "-o", output)
        assert f"--output {output} is the file of the texts. Name another." in said
        assert reviews.read_bytes() == before

    def test_the_model_that_is_read_is_not_written_over(self, reviews, saved_model, capsys):
        columns = ("--text", "Comment", "--label", "Emotion")
        places = ("--model", saved_model(), "--save", saved_model())
        assert "folder of --model" in self.error(capsys, "compare", reviews, *columns, *places)

    def test_no_model(self, reviews, tmp_path, capsys, monkeypatch):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        columns = ("--text", "Comment", "--label", "Emotion")
        missing = tmp_path / "no-model"
        assert run("compare", reviews, *columns, "--model", missing) == 1
        assert "no-model" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["train"],
            ["compare", "in.csv"],
            ["compare", "in.csv", "--text", "a", "--label", "b", "--cv", "1"],
            ["compare", "in.csv", "--text", "a", "--label", "b", "--budget", "soon"],
            ["featurize", "in.csv", "-o", "o.csv", *["--text", "a"] * 3],
            ["predict", "model", "in.csv"],
        ],
        ids=" ".join,
    )
    def test_wrong_arguments(self, arguments, capsys):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "usage: sklearn-bert" in capsys.readouterr().err

    def test_as_a_process(self, run_python, tmp_path):
        """As the console script calls it, with the exit code as the process's."""
        result = run_python(
            "import subprocess, sys\n"
            "done = subprocess.run([sys.executable, '-m', 'sklearn_bert', *sys.argv[1:]])\n"
            "print(done.returncode)",
            *("predict", tmp_path / "model", tmp_path / "in.csv", "-o", tmp_path / "out.csv"),
            HF_HUB_OFFLINE="1",
        )
        assert result.stdout == "1\n"
        assert result.stderr.startswith("sklearn-bert: error: ")
        assert len(result.stderr.splitlines()) == 1


def test_the_console_script_is_declared():
    import tomllib
    from importlib import import_module
    from pathlib import Path

    root = Path(__file__).parents[1]
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    module, function = scripts["sklearn-bert"].split(":")
    assert getattr(import_module(module), function) is main

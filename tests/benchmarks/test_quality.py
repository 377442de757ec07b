"""The benchmark of quality: goes on where it was stopped, and claims what the numbers say."""

import json

import pytest
from sklearn.model_selection import GridSearchCV

from benchmarks.__main__ import main
from benchmarks.quality_methods import METHODS, OURS, epochs_for, measure, said
from benchmarks.quality_tables import fill, run_name
from benchmarks.quality_tasks import load
from benchmarks.report import Report
from sklearn_bert import BertFineTuneClassifier
from tests import needs


@needs.corpora
def test_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys):
    file = tmp_path / "quality.json"
    command = ["benchmarks", "quality", "--quick", "--methods", "tfidf", "--json", str(file)]

    def run(*seeds):
        monkeypatch.setattr("sys.argv", [*command, "--seeds", *seeds])
        assert main() == 0
        found = json.loads(file.read_text("utf-8"))
        (results,) = found["runs"].values()
        assert len(found["tables"]) == 1
        return results, capsys.readouterr().err.count("TF-IDF")

    first, n_fits = run("0")
    assert ([result["seed"] for result in first], n_fits) == ([0], 1)
    more, n_fits = run("0", "1")
    assert ([result["seed"] for result in more], n_fits) == ([0, 1], 1)
    assert more[0] == first[0]
    again, n_fits = run("0", "1")
    assert (again, n_fits) == (more, 0)
    commands = json.loads(file.read_text("utf-8"))["command"].split("; ")
    assert [command.split("--seeds ")[1] for command in commands] == ["0", "0 1"]


@needs.corpora
def test_several_fits_at_a_time_find_what_one_at_a_time_does(tmp_path, monkeypatch):
    file = tmp_path / "quality.json"
    command = ["benchmarks", "quality", "--quick", "--methods", "tfidf", "--seeds", "0", "1"]
    monkeypatch.setattr("sys.argv", [*command, "--workers", "2", "--json", str(file)])
    assert main() == 0
    (results,) = json.loads(file.read_text("utf-8"))["runs"].values()
    found = sorted((result["seed"], result["accuracy"]) for result in results)
    # Quick runs have 16 rows, and 32 to score on.
    alone = [measure("sst2", 16, 32, "tfidf", seed, epochs=1) for seed in (0, 1)]
    assert found == [(result["seed"], result["accuracy"]) for result in alone]


@needs.corpora
@pytest.mark.parametrize("part", ["sst2", "mrpc"])
def test_a_search_goes_over_all_ways(part, monkeypatch):
    searched = []

    class Search(GridSearchCV):
        def fit(self, X, y):
            searched.extend(self.param_grid)
            self.param_grid = [{"freeze": ["all"], "max_epochs": [1]}]
            return super().fit(X, y)

    monkeypatch.setattr("sklearn.model_selection.GridSearchCV", Search)
    result = measure(part, 16, 4, "searched", seed=0, epochs=1)
    assert result["chosen"] == {"freeze": "all", "max_epochs": 1}
    ways = [{name: value for name, (value,) in grid.items()} for grid in searched]
    told = [f"ours, {said(way)}" for way in ways]
    titles = [METHODS[way].title for way in OURS if part == "mrpc" or not METHODS[way].of_pairs]
    assert told == titles
    assert next(way["max_epochs"] for way in ways if way["freeze"] == "all") > 1


@needs.corpora
def test_halves_are_for_pairs_alone(tmp_path, monkeypatch):
    file = tmp_path / "quality.json"
    command = ["benchmarks", "quality", "--quick", "--part", "sst2", "mrpc", "--methods"]
    monkeypatch.setattr("sys.argv", [*command, "separate-all", "--json", str(file)])
    assert main() == 0
    assert list(json.loads(file.read_text("utf-8"))["runs"]) == [
        run_name("mrpc", "16", "separate-all")
    ]


def test_methods_for_other_corpora_are_named(monkeypatch):
    command = ["benchmarks", "quality", "--quick", "--part", "sst2", "--methods", "separate-all"]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit, match="--methods separate-all"):
        main()


def test_leaves_results_of_another_kind_alone(tmp_path, monkeypatch):
    file = tmp_path / "quality.json"
    written = json.dumps({"name": "quality", "settings": {"quick": False}, "runs": {}})
    file.write_text(written)
    monkeypatch.setattr("sys.argv", ["benchmarks", "quality", "--quick", "--json", str(file)])
    with pytest.raises(SystemExit, match="results of quality; those of quality --quick"):
        main()
    assert file.read_text() == written


@needs.corpora
@pytest.mark.parametrize("part", ["sst2", "emotion", "mrpc", "imdb_sample", "chn_hotel"])
def test_rows_are_drawn_and_test_rows_are_not(part):
    one, other, whole = load(part, 100, 50, 0), load(part, 100, 50, 1), load(part, None, None, 0)
    assert len(one.X) == len(one.y) == 100
    assert one.X != other.X
    assert one.X_test == other.X_test == whole.X_test[:50]
    assert set(one.X) <= set(whole.X)
    label = one.y[0]
    assert (one.y == label).mean() == pytest.approx((whole.y == label).mean(), abs=0.01)


@pytest.mark.parametrize(("n_rows", "epochs"), [(100, 20), (1000, 5), (1600, 3), (6920, 3)])
def test_few_rows_get_more_epochs(n_rows, epochs):
    assert epochs_for(n_rows) == epochs


def report_of(f1=None, **accuracies):
    """Return a filled report in which each method has these accuracies, by seed.

    `f1` has the macro F1 of methods where that is another one.
    """
    report = Report("quality", "", {})
    for method, by_seed in accuracies.items():
        report.runs[run_name("emotion", "100", method)] = [
            {
                "seed": seed,
                "size": "100",
                "accuracy": accuracy,
                "f1": (f1 or {}).get(method, accuracy),
                "chosen": {"freeze": -2, "max_epochs": 3} if method == "searched" else None,
                "seconds": 1.0,
                "train": 100,
                "test": 1000,
                "unknown": 0.0,
                "where": "cpu, torch 2.0" if seed == 0 else "a GPU, torch 2.1",
                "date": f"2026-11-2{seed}",
            }
            for seed, accuracy in by_seed.items()
        ]
    fill(report, checked=True)
    return report


def test_claims_are_held_against_what_was_chosen_without_the_test_rows():
    report = report_of(
        **{"freeze=none": {0: 0.99}},
        searched={0: 0.80, 1: 0.82},
        trainer={0: 0.81, 1: 0.82},
        setfit={0: 0.81, 1: 0.83},
    )
    checks = [check for check in report.checks if "by cross-validation" in check[0]]
    assert [holds for _, holds in checks] == [True, False]
    assert "-0.50 and -0.50 points over 2 seed(s)" in checks[0][0]


def test_claims_are_held_against_the_depth_that_is_best_on_average():
    report = report_of(
        **{"freeze=none": {0: 0.90, 1: 0.60}, "freeze=-1": {0: 0.80, 1: 0.80}},
        trainer={0: 0.80, 1: 0.79},
        setfit={0: 0.81, 1: 0.81},
    )
    assert [holds for _, holds in report.checks] == [True, False]
    assert "ours, freeze=-1 (best) loses" in report.checks[0][0]
    assert "+0.50 and +0.50 points over 2 seed(s)" in report.checks[0][0]


def test_who_guesses_the_larger_class_is_not_the_best():
    guessing, others = {"freeze=all": {0: 0.67}}, {"freeze=none": {0: 0.655}}
    f1 = {"freeze=all": 0.40, "freeze=none": 0.56, "trainer": 0.55}
    report = report_of(f1, **guessing, **others, trainer={0: 0.66})
    ((claim, holds),) = report.checks
    assert "ours, freeze=none (best)" in claim
    assert "-0.50 and +1.00 points" in claim
    assert holds
    ((_, holds),) = report_of(f1, **guessing, trainer={0: 0.66}).checks
    assert not holds


@pytest.mark.parametrize(
    ("accuracy", "f1", "collapsed"),
    [
        (0.75, 3 / 7, True),
        (0.75, 0.43, False),
        (0.5, 1 / 9, True),
        (0.8, 0.8, False),
        (0.0, 0.0, False),
    ],
)
def test_fits_that_end_with_one_class_are_told(accuracy, f1, collapsed):
    report = report_of({"trainer": f1}, trainer={0: accuracy, 1: accuracy})
    assert report.tables[0].rows[0][-1] == ("one class alone (2)" if collapsed else "")


def test_a_way_with_fewer_seeds_is_not_the_best():
    report = report_of(
        **{"freeze=none": {0: 0.80, 1: 0.80}, "freeze=-1": {0: 0.99}}, trainer={0: 0.80, 1: 0.80}
    )
    ((claim, _),) = report.checks
    assert "ours, freeze=none (best)" in claim


def test_contrasts_may_be_the_best():
    report = report_of(
        **{"freeze=none": {0: 0.80}}, contrastive={0: 0.82}, trainer={0: 0.70}, setfit={0: 0.83}
    )
    claims = [(claim, holds) for claim, holds in report.checks if "contrastive_weight=1" in claim]
    assert [holds for _, holds in claims] == [True, False]


def test_balanced_classes_may_be_the_best_and_no_search_is_over_them():
    report = report_of(
        **{"freeze=none": {0: 0.80}}, balanced={0: 0.82}, trainer={0: 0.82}, searched={0: 0.80}
    )
    assert [holds for _, holds in report.checks] == [True, False]
    assert "ours, freeze=none, class_weight=balanced (best)" in report.checks[0][0]
    assert [row[0] for row in report.tables[0].rows][1:3] == [
        "ours, by cross-validation",
        "ours, freeze=none, class_weight=balanced",
    ]


def test_who_trains_longer_is_held_against_setfit_alone():
    longer = {"freeze=none": {0: 0.80}, "contrastive-longer": {0: 0.90}}
    report = report_of(**longer, trainer={0: 0.81}, expert={0: 0.81}, setfit={0: 0.90})
    assert [holds for _, holds in report.checks] == [False, False, True]
    assert "3 times the epochs (best)" in report.checks[2][0]


@needs.corpora
def test_longer_is_some_times_the_epochs(monkeypatch):
    fitted = []

    def fit(classifier, *args):
        fitted.append((classifier.contrastive_weight, classifier.max_epochs))
        return real(classifier, *args)

    real = BertFineTuneClassifier.fit
    monkeypatch.setattr(BertFineTuneClassifier, "fit", fit)
    for method in ("contrastive", "contrastive-longer"):
        measure("sst2", 16, 4, method, seed=0, epochs=1)
    assert fitted == [(1, 1), (1, 3)]


def test_says_where_fits_ran():
    report = report_of(tfidf={0: 0.8, 1: 0.8})
    places = "a GPU, torch 2.1 (2026-11-21); cpu, torch 2.0 (2026-11-20)"
    assert f"Fits ran on: {places}." in report.notes


def test_claims_compare_the_seeds_that_both_have():
    report = report_of(searched={0: 0.80, 1: 0.10}, trainer={0: 0.80})
    ((claim, holds),) = report.checks
    assert holds
    assert "over 1 seed(s)" in claim


def test_filling_again_repeats_nothing():
    report = report_of(searched={0: 0.80}, trainer={0: 0.80})
    before = len(report.tables), len(report.checks), len(report.notes)
    fill(report, checked=True)
    assert (len(report.tables), len(report.checks), len(report.notes)) == before
    (table,) = report.tables
    names = ["ours, by cross-validation", "transformers Trainer"]
    assert [row[0] for row in table.rows] == names
    assert table.rows[0][-1] == "freeze=-2 (1)"

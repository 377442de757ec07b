import threading

import pytest

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier
from sklearn_bert.encoder import work
from sklearn_bert.store import is_aside, open_store, set_stores_aside
from tests.models import TEXTS

SETTINGS = {"device": "cpu", "precision": "float32"}


@pytest.mark.parametrize("freeze", ["all", -1])
def test_nothing_is_kept_and_results_are_the_same(freeze, saved_model, tmp_path):
    tuned = BertFineTuneClassifier(
        saved_model(), freeze=freeze, cache=tmp_path, max_epochs=1, random_state=0, **SETTINGS
    ).fit(TEXTS, [0, 1] * (len(TEXTS) // 2))
    new = [f"{text} once more" for text in TEXTS]
    before = open_store(tmp_path).info().entries
    with set_stores_aside():
        aside = tuned.predict_proba(new)
    assert open_store(tmp_path).info().entries == before > 0
    assert tuned.predict_proba(new) == pytest.approx(aside, abs=1e-5)
    assert open_store(tmp_path).info().entries > before


def test_what_is_kept_is_not_read_either(saved_model, tmp_path):
    featurizer = BertFeaturizer(saved_model(), cache=tmp_path, **SETTINGS)
    featurizer.transform(TEXTS)
    before = work.counted()
    with set_stores_aside():
        featurizer.transform(TEXTS)
    assert (work.counted() - before).texts == len(TEXTS)


def test_it_is_of_one_thread_and_ends_with_an_error():
    found = []

    def fail():
        with set_stores_aside():
            other = threading.Thread(target=lambda: found.append(is_aside()))
            other.start()
            other.join()
            found.append(is_aside())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert found == [False, True]
    assert not is_aside()

"""The bundled sample: what it promises, and the forms it is handed over in."""

import sys
from collections import Counter

import numpy as np
import pytest

from sklearn_bert.datasets import load_sample_reviews


def test_texts_are_distinct_and_classes_balanced():
    reviews = load_sample_reviews()
    assert len(reviews.data) == len(set(reviews.data)) == 360
    assert Counter(reviews.target.tolist()) == dict.fromkeys(reviews.target_names, 120)
    assert reviews.target_names == ["negative", "neutral", "positive"]


def test_both_languages_are_balanced():
    reviews = load_sample_reviews()
    assert Counter(reviews.language.tolist()) == {"en": 300, "zh": 60}
    chinese = Counter(reviews.target[reviews.language == "zh"].tolist())
    assert set(chinese.values()) == {20}
    for text, language in zip(reviews.data, reviews.language, strict=True):
        assert any("\u4e00" <= character <= "\u9fff" for character in text) == (language == "zh")


def test_texts_are_clean_and_of_many_lengths():
    reviews = load_sample_reviews()
    assert all(text == text.strip() and "\n" not in text for text in reviews.data)
    english = [
        text
        for text, language in zip(reviews.data, reviews.language, strict=True)
        if language == "en"
    ]
    lengths = [len(text.split()) for text in english]
    assert min(lengths) <= 4
    assert 30 <= max(lengths) <= 40


def test_types():
    reviews = load_sample_reviews()
    assert isinstance(reviews.data, list)
    assert all(type(text) is str for text in reviews.data)
    assert isinstance(reviews.target, np.ndarray)
    assert reviews.target.dtype.kind == reviews.language.dtype.kind == "U"
    assert reviews.feature_names == ["text"]
    assert reviews.frame is None
    assert "360" in reviews.DESCR


def test_return_X_y():
    reviews = load_sample_reviews()
    X, y = load_sample_reviews(return_X_y=True)
    assert reviews.data == X
    np.testing.assert_array_equal(y, reviews.target)


def test_as_frame():
    pandas = pytest.importorskip("pandas")
    plain, framed = load_sample_reviews(), load_sample_reviews(as_frame=True)
    assert list(framed.frame.columns) == ["text", "target", "language"]
    assert isinstance(framed.data, pandas.Series)
    assert isinstance(framed.target, pandas.Series)
    assert framed.data.tolist() == plain.data
    assert framed.target.tolist() == plain.target.tolist()
    X, y = load_sample_reviews(return_X_y=True, as_frame=True)
    pandas.testing.assert_series_equal(X, framed.data)
    pandas.testing.assert_series_equal(y, framed.target)


def test_pandas_is_needed_for_frames_only(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    load_sample_reviews()
    with pytest.raises(ImportError, match="pip install pandas"):
        load_sample_reviews(as_frame=True)


def test_each_call_hands_out_its_own_data():
    load_sample_reviews().data.clear()
    assert len(load_sample_reviews().data) == 360

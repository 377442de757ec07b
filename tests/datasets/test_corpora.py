"""The corpora themselves, read from the folder that SKLEARN_BERT_DATA names."""

from collections import Counter

import numpy as np
import pytest

from sklearn_bert.datasets import (
    fetch_chn_hotel,
    fetch_emotion,
    fetch_imdb_sample,
    fetch_mrpc,
    fetch_online_shopping,
    fetch_sst2,
)
from tests import needs

FETCHERS = [
    fetch_chn_hotel,
    fetch_emotion,
    fetch_imdb_sample,
    fetch_mrpc,
    fetch_online_shopping,
    fetch_sst2,
]


@needs.corpora
@pytest.mark.parametrize(
    ("fetch", "arguments", "counts"),
    [
        (fetch_sst2, {}, {0: 3310, 1: 3610}),
        (fetch_sst2, {"subset": "dev"}, {0: 428, 1: 444}),
        (fetch_sst2, {"subset": "test"}, {0: 912, 1: 909}),
        (fetch_sst2, {"subset": "all"}, {0: 4650, 1: 4963}),
        (fetch_emotion, {}, {"anger": 2000, "fear": 1937, "joy": 2000}),
        (fetch_mrpc, {}, {0: 1323, 1: 2753}),
        (fetch_mrpc, {"subset": "test"}, {0: 578, 1: 1147}),
        (fetch_mrpc, {"subset": "all"}, {0: 1901, 1: 3900}),
        (fetch_imdb_sample, {}, {0: 1022, 1: 978}),
        (fetch_chn_hotel, {}, {0: 2444, 1: 5322}),
        (fetch_online_shopping, {}, {0: 31046, 1: 31728}),
    ],
)
def test_rows_and_labels(fetch, arguments, counts):
    corpus = fetch(**arguments, download_if_missing=False)
    assert isinstance(corpus.data, list)
    assert len(corpus.data) == len(corpus.target) == sum(counts.values())
    assert Counter(corpus.target.tolist()) == counts
    if corpus.target.dtype.kind == "i":
        assert len(corpus.target_names) == 2
    else:
        assert corpus.target_names == sorted(counts)
    assert corpus.frame is None
    assert corpus.DESCR.strip()


@needs.corpora
@pytest.mark.parametrize("fetch", [fetch for fetch in FETCHERS if fetch is not fetch_mrpc])
def test_single_texts_as_frame(fetch):
    pandas = pytest.importorskip("pandas")
    plain, framed = fetch(), fetch(as_frame=True)
    assert all(type(text) is str for text in plain.data)
    assert isinstance(framed.data, pandas.Series)
    assert list(framed.frame.columns)[:2] == ["text", "target"]
    assert framed.data.tolist() == plain.data
    assert framed.target.tolist() == plain.target.tolist()
    X, y = fetch(return_X_y=True)
    assert plain.data == X
    np.testing.assert_array_equal(y, plain.target)


@needs.corpora
def test_pairs():
    pandas = pytest.importorskip("pandas")
    plain, framed = fetch_mrpc(), fetch_mrpc(as_frame=True)
    assert all(isinstance(pair, tuple) and len(pair) == 2 for pair in plain.data)
    assert all(text and text == text.strip() for pair in plain.data for text in pair)
    assert isinstance(framed.data, pandas.DataFrame)
    assert list(framed.data.columns) == plain.feature_names == ["sentence_1", "sentence_2"]
    assert list(framed.data.itertuples(index=False, name=None)) == plain.data
    assert framed.target.tolist() == plain.target.tolist()


@needs.corpora
@pytest.mark.parametrize("fetch", [fetch_sst2, fetch_mrpc])
def test_all_is_the_parts_in_order(fetch):
    parts = ("train", "dev", "test") if fetch is fetch_sst2 else ("train", "test")
    texts = [text for part in parts for text in fetch(subset=part).data]
    assert fetch(subset="all").data == texts


@needs.corpora
def test_quotation_marks_are_kept_where_the_format_has_no_quoting():
    train = fetch_mrpc().data
    assert any('"' in sentence for pair in train for sentence in pair)
    assert all("\t" not in sentence and "\n" not in sentence for pair in train for sentence in pair)


@needs.corpora
@pytest.mark.parametrize("fetch", [fetch_chn_hotel, fetch_online_shopping])
def test_the_empty_review_is_a_text(fetch):
    assert fetch().data.count("") == 1


@needs.corpora
def test_repeated_header_is_left_out():
    assert "text" not in fetch_imdb_sample().data


@needs.corpora
def test_categories():
    everything = fetch_online_shopping()
    assert len(set(everything.category.tolist())) == 10
    two = fetch_online_shopping(categories=["手机", "热水器"])
    assert Counter(two.category.tolist()) == {"手机": 2323, "热水器": 575}
    wanted = np.isin(everything.category, ["手机", "热水器"])
    assert two.data == [text for text, keep in zip(everything.data, wanted, strict=True) if keep]
    one = fetch_online_shopping(categories="热水器")
    assert Counter(one.target.tolist()) == {0: 100, 1: 475}
    frame = fetch_online_shopping(categories="热水器", as_frame=True).frame
    assert list(frame.columns) == ["text", "target", "category"]


@pytest.mark.parametrize("fetch", [fetch_sst2, fetch_mrpc])
@pytest.mark.parametrize("value", ["validation", None, ["train"]])
def test_unknown_subset(fetch, value):
    with pytest.raises(ValueError, match=r"subset=.*Accepted: 'train', .*'test', 'all'") as caught:
        fetch(subset=value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", ["phones", ["手机", "phones"], [], 5])
def test_unknown_categories(value):
    with pytest.raises(ValueError, match=r"categories=.*手机") as caught:
        fetch_online_shopping(categories=value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("fetch", FETCHERS)
def test_arguments_are_by_name_only(fetch):
    with pytest.raises(TypeError, match="positional"):
        fetch("folder")

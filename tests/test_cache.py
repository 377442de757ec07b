import re

import pytest

from sklearn_bert import BertFeaturizer, cache
from tests.models import TEXTS


def test_info_follows_the_work(saved_model):
    bert = BertFeaturizer(saved_model("bert"))
    bert.transform(TEXTS)
    first = cache.info()
    assert first.hits == 0
    assert first.misses >= len(TEXTS)
    assert 0 < first.size <= first.limit
    bert.transform(TEXTS)
    assert cache.info().hits >= len(TEXTS)
    assert cache.info().entries == first.entries
    cache.clear()
    assert cache.info().entries == 0


def test_a_lower_limit_holds_at_once(saved_model):
    BertFeaturizer(saved_model("bert")).transform(TEXTS)
    half = cache.info().size // 2
    cache.set_limit(half)
    assert 0 < cache.info().size <= half


@pytest.mark.parametrize("limit", [-1, 1.5, None, True])
def test_a_limit_that_is_none(limit):
    message = f"limit={limit!r} can't be used. Accepted: a number of bytes, 0 or more."
    with pytest.raises(ValueError, match=re.escape(message)):
        cache.set_limit(limit)


def test_no_cache_has_no_info():
    with pytest.raises(ValueError, match="cache=None can't be used"):
        cache.info(None)


def test_looking_at_a_folder_that_is_not_there_makes_none(tmp_path):
    folder = tmp_path / "typo"
    assert cache.info(folder).entries == 0
    cache.clear(folder)
    cache.set_limit(10**6, folder)
    assert not folder.exists()
    assert cache.info(folder).limit == 10**6

"""Labelled texts to try things on: a bundled sample, and real corpora to fetch."""

from __future__ import annotations

from sklearn_bert.datasets.corpora import (
    fetch_chn_hotel,
    fetch_emotion,
    fetch_imdb_sample,
    fetch_mrpc,
    fetch_online_shopping,
    fetch_sst2,
)
from sklearn_bert.datasets.download import get_data_home
from sklearn_bert.datasets.sample import load_sample_reviews

__all__ = [
    "fetch_chn_hotel",
    "fetch_emotion",
    "fetch_imdb_sample",
    "fetch_mrpc",
    "fetch_online_shopping",
    "fetch_sst2",
    "get_data_home",
    "load_sample_reviews",
]

"""What some tests need and not every machine has; they skip and say so."""

import os

import pytest

__all__ = ["corpora", "fork"]

corpora = pytest.mark.skipif(
    not os.environ.get("SKLEARN_BERT_DATA"),
    reason="SKLEARN_BERT_DATA does not name a folder with the corpora",
)
fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")

"""
Texts longer than the model reads
=================================

An encoder reads so many tokens and no more: what comes after is cut off, with a warning that
counts. ``long_text="chunk"`` reads all, in overlapping windows. This example has texts whose point
is at the end.
"""

# %%
# Each text is a thread of ten reviews: nine neutral ones, and at the end one that praises or
# blames.

import numpy as np

from sklearn_bert.datasets import load_sample_reviews

reviews = load_sample_reviews(as_frame=True).frame.query("language == 'en'")
neutral = reviews[reviews.target == "neutral"].text.to_numpy()
clear = reviews[reviews.target != "neutral"]
generator = np.random.default_rng(0)
threads = [
    " ".join([*generator.choice(neutral, size=9, replace=False), last]) for last in clear.text
]
labels = clear.target.to_numpy()

# %%
# Three ways, for a growing `max_length`: cut, all of it averaged, and all of it with the maximum of
# each feature beside its mean.

import warnings

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertFeaturizer
from sklearn_bert.errors import LongTextWarning

# We know that texts are cut.
warnings.simplefilter("ignore", LongTextWarning)
folds = StratifiedKFold(5, shuffle=True, random_state=0)


def accuracy(**parameters):
    linear = LogisticRegression(C=0.01, max_iter=1000)
    pipeline = make_pipeline(BertFeaturizer(**parameters), StandardScaler(), linear)
    return cross_val_score(pipeline, threads, labels, cv=folds).mean()


ways = {
    "cut, mean": {},
    "chunk, mean": {"long_text": "chunk"},
    "chunk, mean and max": {"long_text": "chunk", "pooling": ["mean", "max"]},
}
lengths = [32, 64, 128, 256]
scores = {
    name: [accuracy(max_length=length, **parameters) for length in lengths]
    for name, parameters in ways.items()
}

# %%

import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, row in scores.items():
    ax.plot(lengths, row, marker="o", label=name)
ax.axhline(0.5, color="0.6", linestyle=":")
ax.set(xscale="log", xticks=lengths, xticklabels=lengths, xlabel="max_length", ylabel="accuracy")
ax.minorticks_off()
ax.legend()
plt.show()

# %%
# WORDS

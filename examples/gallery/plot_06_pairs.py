"""
Text pairs: together or each by itself
======================================

Which of two reviews is the better one? Two columns of text are pairs, for features and for
fine-tuning alike. This one compares the ways to encode them.
"""

# %%
# Pairs of reviews of different classes, and whether the first one is the kinder. A review that is
# in a training pair is in no test pair: the reviews are split first and paired afterwards, since a
# classifier can learn single texts by heart.

import numpy as np
from sklearn.model_selection import train_test_split

from sklearn_bert.datasets import load_sample_reviews

english = load_sample_reviews(as_frame=True).frame.query("language == 'en'")
kindness = english.target.map({"negative": 0, "neutral": 1, "positive": 2})
reviews = english.assign(kindness=kindness)
halves = train_test_split(reviews, test_size=0.3, stratify=kindness, random_state=0)


def paired(frame, n_pairs, seed):
    rows = np.random.default_rng(seed).integers(len(frame), size=(2, 3 * n_pairs))
    first, second = (frame.iloc[part].reset_index() for part in rows)
    differ = np.flatnonzero(first.kindness != second.kindness)[:n_pairs]
    first, second = first.loc[differ], second.loc[differ]
    pairs = list(zip(first.text, second.text, strict=True))
    return pairs, (first.kindness > second.kindness).to_numpy()


X_train, y_train = paired(halves[0], 500, seed=0)
X_test, y_test = paired(halves[1], 250, seed=1)
print(*X_test[0], bool(y_test[0]), sep="\n")

# %%
# ``pairs="joint"`` reads both as one text, as BERT was trained to; ``pairs="separate"`` encodes
# each by itself and joins the vectors as ``[u, v, |u - v|, u * v]``. Fine-tuned, the model learns
# to read pairs.

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier


def on_features(featurizer):
    linear = LogisticRegression(C=0.001, max_iter=1000)
    return make_pipeline(featurizer, StandardScaler(), linear)


compared = {
    "features, joint": on_features(BertFeaturizer(pairs="joint")),
    "features, separate": on_features(BertFeaturizer(pairs="separate")),
    "fine-tuned, top 2 layers": BertFineTuneClassifier(freeze=-2, random_state=0),
}
table = pd.DataFrame(
    {
        name: {
            "training pairs": classifier.fit(X_train, y_train).score(X_train, y_train),
            "test pairs": classifier.score(X_test, y_test),
        }
        for name, classifier in compared.items()
    }
).T
table.round(3)

# %%

import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
table.plot.barh(ax=ax, xlabel="accuracy", xlim=(0, 1))
ax.axvline(0.5, color="0.6", linestyle=":")
ax.invert_yaxis()
plt.show()

# %%
# The embedded model is a sentence encoder: what it makes of two texts read as one is of no use
# here, and each by itself is what it was trained for. Halves recur in many pairs, and are encoded
# once.
#
# The fine-tuned model has to learn from 500 pairs how to read pairs at all, which is too few. With
# 4,076 pairs of MRPC it is far ahead of both: see :doc:`/pairs`.

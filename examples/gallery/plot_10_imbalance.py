"""
When one class is rare
======================

Nine texts in ten are of one class. Accuracy then says little, and a classifier that always answers
with the larger class has 0.9 of it. Weights in training, or another threshold, get the rare ones
back.
"""

# %%
# Complaints among other reviews: 15 in training, 120 of the rest.

import numpy as np
from sklearn.model_selection import train_test_split

from sklearn_bert.datasets import load_sample_reviews

reviews = load_sample_reviews(as_frame=True).frame.query("language == 'en'")
complaint = (reviews.target == "negative").to_numpy()
rows, X_test_rows = train_test_split(
    np.arange(len(reviews)), test_size=0.4, stratify=reviews.target, random_state=0
)
rare = rows[complaint[rows]][:15]
kept = np.concatenate([rare, rows[~complaint[rows]]])
X_train, y_train = reviews.text.to_numpy()[kept], complaint[kept]
X_test, y_test = reviews.text.to_numpy()[X_test_rows], complaint[X_test_rows]
print(f"{y_train.sum()} complaints of {len(y_train)}; to test {y_test.sum()} of {len(y_test)}")

# %%
# Three classifiers: as it comes; with `class_weight`; and with a threshold that cross-validation of
# the training texts chose. The last needs no other training, and each fold finds its frozen
# layers in the cache.

from sklearn.model_selection import TunedThresholdClassifierCV

from sklearn_bert import BertFineTuneClassifier

settings = {"freeze": -2, "max_epochs": 6, "batch_size": 16, "random_state": 0}
compared = {
    "as it comes": BertFineTuneClassifier(**settings),
    "class_weight='balanced'": BertFineTuneClassifier(class_weight="balanced", **settings),
    "tuned threshold": TunedThresholdClassifierCV(
        BertFineTuneClassifier(**settings), scoring="balanced_accuracy", cv=3
    ),
}
for classifier in compared.values():
    classifier.fit(X_train, y_train)

# %%
# Recall is the share of complaints that are found, precision the share of true ones among those
# that were reported. Average precision looks at the order of the scores alone.

import pandas as pd
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    precision_score,
    recall_score,
)

metrics = {
    "balanced accuracy": balanced_accuracy_score,
    "precision": precision_score,
    "recall": recall_score,
}
table = pd.DataFrame(
    {
        name: {
            **{metric: of(y_test, classifier.predict(X_test)) for metric, of in metrics.items()},
            "average precision": average_precision_score(
                y_test, classifier.predict_proba(X_test)[:, 1]
            ),
        }
        for name, classifier in compared.items()
    }
).T
table.round(2)

# %%

import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
table[list(metrics)].plot.barh(ax=ax, xlim=(0, 1))
ax.invert_yaxis()
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %%
# All three order the texts about equally well, as average precision says: what differs is where
# they cut. With so few rare texts the first classifier finds few of them and is right about those.
# Weights move the cut a little; a tuned threshold puts it where balanced accuracy is highest, at
# the price of false alarms. Which is better depends on what a missed complaint costs.

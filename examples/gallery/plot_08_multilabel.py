"""
Sets of labels, and several tasks
=================================

A text can have several labels at once, or none. A matrix of zeros and ones as y is that; any other
matrix has a column for each of several tasks.
"""

# %%
# Three labels that can meet: the review praises, it blames, it is in Chinese. A neutral English one
# has none of them.

import numpy as np
from sklearn.model_selection import train_test_split

from sklearn_bert.datasets import load_sample_reviews

reviews = load_sample_reviews()
names = ["praises", "blames", "in Chinese"]
sets = np.column_stack(
    [reviews.target == "positive", reviews.target == "negative", reviews.language == "zh"]
).astype(int)
X_train, X_test, y_train, y_test = train_test_split(
    reviews.data, sets, test_size=0.3, random_state=0
)

# %%
# Each label gets a sigmoid of its own, so probabilities of a text need not add up to one.

from sklearn_bert import BertFineTuneClassifier

tagger = BertFineTuneClassifier(freeze=-2, max_epochs=6, batch_size=16, random_state=0)
tagger.fit(X_train, y_train)
probabilities = tagger.predict_proba(X_test)
for text, row in zip(X_test[:3], probabilities[:3].astype(float).round(2), strict=True):
    print(dict(zip(names, row.tolist(), strict=True)), text)

# %%
# scikit-learn's metrics take the matrix as it is.

import pandas as pd
from sklearn.metrics import average_precision_score, f1_score

pd.DataFrame(
    {
        "share of the texts": y_test.mean(axis=0),
        "average precision": average_precision_score(y_test, probabilities, average=None),
        "F1": f1_score(y_test, tagger.predict(X_test), average=None),
    },
    index=names,
).round(2)

# %%
# Precision and recall at every threshold; 0.5 is where `predict` stands.

import matplotlib.pyplot as plt
from sklearn.metrics import PrecisionRecallDisplay

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, truth, scores in zip(names, y_test.T, probabilities.T, strict=True):
    PrecisionRecallDisplay.from_predictions(truth, scores, name=name, ax=ax)
plt.show()

# %%
# The same as two tasks that share an encoder: sentiment and language. Half of the texts have no
# sentiment here (None); they still teach the other task. The encoder is English: it knows Chinese
# when it sees it, and understands little of it.

tasks = np.column_stack([reviews.target, reviews.language]).astype(object)
tasks[::2, 0] = None
both = BertFineTuneClassifier(freeze=-2, max_epochs=4, batch_size=16, random_state=0)
both.fit(reviews.data, tasks)
new = ["It broke after a day.", "Everyone was kind and quick.", "两点到三点关门。"]
pd.DataFrame(both.predict(new), index=new, columns=["sentiment", "language"])

"""
Features in a pipeline, beside TF-IDF
=====================================

The most usual job: texts, labels, and the question whether BERT's features beat counting words.
`BertFeaturizer` takes the place of `TfidfVectorizer`; all else stays as it was.
"""

# %%
# The sample has 360 short reviews in three classes. Many of them praise or blame without a word
# that says so.

from sklearn_bert.datasets import load_sample_reviews

reviews = load_sample_reviews(as_frame=True)
reviews.frame.head()

# %%
# Features go to a linear classifier, scaled and with a strong penalty, since there are more
# features than texts in a fold.

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertFeaturizer


def on_bert(pooling):
    linear = LogisticRegression(C=0.01, max_iter=1000)
    return make_pipeline(BertFeaturizer(pooling=pooling), StandardScaler(), linear)


compared = {
    "TF-IDF": make_pipeline(TfidfVectorizer(), LogisticRegression()),
    "BERT, cls": on_bert("cls"),
    "BERT, max": on_bert("max"),
    "BERT, mean": on_bert("mean"),
}

# %%
# Five folds for each of the four. The three with BERT have 15 fits, and each text passes the
# encoder once: the first pass keeps all three poolings.

from sklearn.model_selection import StratifiedKFold, cross_val_score

from sklearn_bert import cache

folds = StratifiedKFold(5, shuffle=True, random_state=0)
scores = {
    name: cross_val_score(pipeline, reviews.data, reviews.target, cv=folds)
    for name, pipeline in compared.items()
}
print(cache.info())

# %%
# Points are folds, lines their means.

import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for row, accuracies in enumerate(scores.values()):
    ax.scatter(accuracies, [row] * len(accuracies), color=f"C{row}", alpha=0.6)
    ax.vlines(accuracies.mean(), row - 0.3, row + 0.3, color=f"C{row}")
ax.axvline(1 / 3, color="0.6", linestyle=":")
ax.annotate("guessing", (1 / 3, -0.4), xytext=(4, 0), textcoords="offset points", color="0.4")
ax.set(yticks=range(len(scores)), yticklabels=scores, xlabel="accuracy")
plt.show()

# %%
# Where the best of them errs: `cross_val_predict` has for each text what was said of it by a
# classifier that had not seen it.

from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import cross_val_predict

best = max(scores, key=lambda name: scores[name].mean())
predicted = cross_val_predict(compared[best], reviews.data, reviews.target, cv=folds)
display = ConfusionMatrixDisplay.from_predictions(
    reviews.target, predicted, cmap="Blues", colorbar=False
)
display.ax_.set_title(best)
plt.show()

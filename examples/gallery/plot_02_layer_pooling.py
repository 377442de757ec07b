"""
Which layer, which pooling
==========================

The last layer is what a model was trained to put out, and often not the best one for other
labels. A search over layers and poolings costs one pass over the texts, so there is no reason to
guess.
"""

# %%
# Seven layers (0 is the output of the embeddings), three poolings and two penalties: 42
# candidates, 126 fits.

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertFeaturizer
from sklearn_bert.datasets import load_sample_reviews

texts, labels = load_sample_reviews(return_X_y=True)
pipeline = Pipeline(
    [
        ("bert", BertFeaturizer()),
        ("scale", StandardScaler()),
        ("classify", LogisticRegression(max_iter=1000)),
    ]
)
grid = {
    "bert__layers": list(range(7)),
    "bert__pooling": ["cls", "mean", "max"],
    "classify__C": [0.001, 0.01],
}
search = GridSearchCV(pipeline, grid, cv=3).fit(texts, labels)
print(search.best_params_, round(search.best_score_, 3))

# %%
# Each cell is the better of the two penalties. Mind that the best of many is flattered: the
# differences between neighbours are smaller than those between folds.

import matplotlib.pyplot as plt

from sklearn_bert import LayerPoolingDisplay

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
LayerPoolingDisplay.from_search(search, score_name="accuracy, 3 folds", ax=ax)
plt.show()

# %%
# The embeddings' output knows single words without their order; the first token of layer 0 is the
# same for all texts, and its score that of guessing. Several layers can be averaged or joined, as
# in ``BertFeaturizer(layers=[4, 5, 6])``, and poolings too: ``pooling=["cls", "max"]``.

"""
Numbers instead of labels
=========================

Stars, prices, degrees: `BertFineTuneRegressor` learns numbers, with the same parameters as the
classifier. Targets are scaled inside, whatever their unit.
"""

# %%
# The sample's three classes are in an order, so take them as one, three and five stars.

import numpy as np
from sklearn.model_selection import train_test_split

from sklearn_bert.datasets import load_sample_reviews

texts, labels = load_sample_reviews(return_X_y=True)
stars = np.array([{"negative": 1.0, "neutral": 3.0, "positive": 5.0}[label] for label in labels])
X_train, X_test, y_train, y_test = train_test_split(
    texts, stars, test_size=0.3, stratify=stars, random_state=0
)

# %%
# Ridge regression on features, and the top two layers tuned.

import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertFeaturizer, BertFineTuneRegressor

ridge = RidgeCV(alphas=np.logspace(0, 5, 11))
compared = {
    "features + RidgeCV": make_pipeline(BertFeaturizer(), StandardScaler(), ridge),
    "fine-tuned, top 2 layers": BertFineTuneRegressor(freeze=-2, max_epochs=6, random_state=0),
}
predicted = {
    name: regressor.fit(X_train, y_train).predict(X_test) for name, regressor in compared.items()
}
pd.DataFrame(
    {
        name: {"mean absolute error": mean_absolute_error(y_test, y), "R²": r2_score(y_test, y)}
        for name, y in predicted.items()
    }
).T.round(2)

# %%
# Predictions for each true number of stars.

import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(7, 3.2), sharey=True, layout="constrained")
for ax, (name, y) in zip(axes, predicted.items(), strict=True):
    ax.violinplot(
        [y[y_test == star] for star in (1, 3, 5)], [1, 3, 5], widths=1.2, showmedians=True
    )
    ax.plot([1, 5], [1, 5], color="0.6", linestyle=":")
    ax.set(title=name, xlabel="stars given", xticks=[1, 3, 5])
axes[0].set_ylabel("stars predicted")
plt.show()

# %%
# Ridge regression keeps to the middle, where errors are small on average. The tuned model uses the
# whole range, and errs more boldly: nothing bounds it to one to five stars. Several numbers for a
# text are a y with several columns, each scaled by itself.

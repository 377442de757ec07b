"""
How deep to tune: a search over `freeze`
========================================

Head alone, one layer, two, or all? Deeper takes longer and is mostly better, until there is too
little data for it. `freeze` is a parameter like any other, so `GridSearchCV` can answer.
"""

# %%
# In the search each text passes each frozen layer once, whatever the number of folds, epochs and
# depths. Head and layers have their own learning rates.

from sklearn.model_selection import GridSearchCV, StratifiedKFold

from sklearn_bert import BertFineTuneClassifier
from sklearn_bert.datasets import load_sample_reviews

texts, labels = load_sample_reviews(return_X_y=True)
search = GridSearchCV(
    BertFineTuneClassifier(random_state=0),
    {"freeze": ["all", -1, -2, "none"]},
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
    refit=False,
).fit(texts, labels)

# %%
# Scores with their spread over folds, and the time of a fit as bars. The frozen pass is in the
# time of the fit that came first.

import matplotlib.pyplot as plt

from sklearn_bert import FreezeDepthDisplay

figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
FreezeDepthDisplay.from_search(search, score_name="accuracy, 3 folds", ax=ax)
plt.show()

# %%
# What was trained in each case. The head has little to learn with, and three epochs are few for it:
# give ``freeze="all"`` ten or more, which cost nothing.

import pandas as pd

pd.DataFrame(
    {
        freeze: {
            "frozen layers": fitted.depth_,
            "parameters trained": f"{fitted.n_trainable_parameters_:,}",
        }
        for freeze in ("all", -1, "none")
        for fitted in [
            BertFineTuneClassifier(freeze=freeze, max_epochs=1).fit(texts[:60], labels[:60])
        ]
    }
).T

# %%
# On real corpora the picture is in :doc:`/how_deep`.

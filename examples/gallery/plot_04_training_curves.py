"""
Training curves, and gradual unfreezing
=======================================

`history_` has a row for each epoch, and `TrainingCurveDisplay` draws it. Here with ULMFiT's
gradual unfreezing: the head alone in the first epoch, and one layer more in each that follows.
"""

# %%
# With validation data the display has a score as well. Epoch 0 is the model before its first step.

from sklearn.model_selection import train_test_split

from sklearn_bert import BertFineTuneClassifier
from sklearn_bert.datasets import load_sample_reviews

texts, labels = load_sample_reviews(return_X_y=True)
X_train, X_val, y_train, y_val = train_test_split(
    texts, labels, test_size=0.25, stratify=labels, random_state=0
)
classifier = BertFineTuneClassifier(
    max_epochs=8,
    gradual_unfreezing=True,
    layer_lr_decay=1 / 2.6,
    lr_schedule="slanted_triangular",
    random_state=0,
).fit(X_train, y_train, X_val=X_val, y_val=y_val)

# %%
# Dotted lines are where another layer joins. The grey area is the highest learning rate, which
# is the head's.

import matplotlib.pyplot as plt

from sklearn_bert import TrainingCurveDisplay

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
TrainingCurveDisplay.from_estimator(classifier, score_name="validation accuracy", ax=ax)
plt.show()

# %%
# The same as a table. Epochs get longer as more is trained; what is still frozen is not run.

import pandas as pd

columns = ["epoch", "n_trainable_parameters", "train_loss", "valid_loss", "valid_score"]
pd.DataFrame(classifier.history_)[columns].round(3).set_index("epoch")

"""
Teaching an encoder the language of your texts
==============================================

`BertMaskedLM` goes on with BERT's pretraining on texts without labels: some tokens are hidden, and
the model learns to predict them. Its folder is ``model=`` of every other estimator.
"""

# %%
# The sample has 300 English reviews. A fifth is held out, to see what is learnt. The embedded model
# is a sentence encoder that has lost the head which predicts tokens, so it gets a new one, and most
# of what is gained in the first epochs is the head's.

import numpy as np

from sklearn_bert import BertMaskedLM
from sklearn_bert.datasets import load_sample_reviews

reviews = load_sample_reviews()
english = reviews.language == "en"
texts = np.array(reviews.data)[english].tolist()
train, held_out = texts[60:], texts[:60]
language = BertMaskedLM(chunk_length=64, batch_size=8, max_epochs=5, random_state=0)
language.fit(train, X_val=held_out)
print(language.has_pretrained_head_)

# %%
# Perplexity says among how many tokens the model is undecided. It starts far above the vocabulary's
# 30,522, which is what guessing would give: a random head is confidently wrong.

import matplotlib.pyplot as plt

perplexity = np.exp([row["valid_loss"] for row in language.history_])
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.semilogy([row["epoch"] for row in language.history_], perplexity, marker="o")
ax.axhline(30522, color="0.6", linestyle=":")
ax.annotate("guessing", (4, 30522), xytext=(0, 4), textcoords="offset points", color="0.4")
ax.set(xlabel="Epoch", ylabel="Perplexity, held-out reviews")
plt.show()

# %%
# What it puts in place of a mask. 240 reviews teach which words are frequent, and little else; this
# takes thousands of texts.

for text in ("The room was [MASK].", "I would [MASK] it again."):
    guesses = language.fill_mask([text], top_k=4)[0]
    print(text, [f"{token} {probability:.2f}" for token, probability in guesses])

# %%
# Does it help? Not with so few texts, and a sentence encoder gets worse before it gets better. So
# compare both before you keep it. Our figures are in :doc:`/recipes`.

import tempfile
from pathlib import Path

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertFeaturizer

sentiment = reviews.target[english]


def accuracies(featurizer):
    linear = LogisticRegression(C=0.01, max_iter=1000)
    return cross_val_score(
        make_pipeline(featurizer, StandardScaler(), linear), texts, sentiment, cv=5
    )


with tempfile.TemporaryDirectory() as root:
    folder = Path(root, "reviews-encoder")
    language.save_pretrained(folder)
    table = pd.DataFrame(
        {
            "as it comes": accuracies(BertFeaturizer()),
            "after BertMaskedLM": accuracies(BertFeaturizer(folder)),
        }
    )
table.agg(["mean", "std"]).T.round(3)

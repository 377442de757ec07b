"""
Texts longer than the model reads
=================================

An encoder reads so many tokens and no more: what comes after is cut off, with a warning that
counts. ``long_text="chunk"`` reads all, in overlapping windows. This example has texts whose point
is at the end.
"""

# %%
# Which threads have a message in another language? Each thread is five English reviews and one more
# at its end, which is Chinese in half of them.

import numpy as np

from sklearn_bert.datasets import load_sample_reviews

reviews = load_sample_reviews(as_frame=True).frame
english = reviews[reviews.language == "en"].text.to_numpy()
chinese = reviews[reviews.language == "zh"].text.to_numpy()
generator = np.random.default_rng(0)
last = np.concatenate([chinese, generator.choice(english, size=len(chinese), replace=False)])
threads = [" ".join([*generator.choice(english, size=5, replace=False), text]) for text in last]
has_chinese = np.isin(last, chinese)
print(threads[0])

# %%
# Three ways, for a growing `max_length`: cut; all of it averaged; and all of it with the maximum of
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
    return cross_val_score(pipeline, threads, has_chinese, cv=folds).mean()


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
# Cut at 32 or 64 tokens, the last message is not read, and the classifier guesses. In windows it is
# read at every length, by both poolings; once `max_length` holds the whole thread, cut and windows
# are the same. A message that differs less from the rest than a language does is drowned more
# easily: the longer the text, the less a mean says of one sentence.

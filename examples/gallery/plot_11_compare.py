"""
What works on these texts?
==========================

TF-IDF, fixed features or fine-tuning: `compare` tries them on the same folds, says which is best,
and which is the cheapest of those that are about as good.
"""

# %%
# The English half of the bundled reviews, and the first six of what it would try; with none named
# it tries all, and `budget="10m"` ends it in time.

from sklearn_bert import compare
from sklearn_bert.comparison import default_candidates
from sklearn_bert.datasets import load_sample_reviews

reviews = load_sample_reviews(as_frame=True).frame.query("language == 'en'")
texts, labels = reviews.text.tolist(), reviews.target.to_numpy()
candidates = default_candidates(texts, random_state=0)
print("\n".join(candidates))

# %%
# What frozen layers make of a text is computed in the first fold that needs it, and read in all
# others, also by the candidates that come later.

cheaper = {name: candidates[name] for name in list(candidates)[:6]}
comparison = compare(texts, labels, candidates=cheaper, cv=3, random_state=0)
comparison.table[
    ["mean_test_f1_macro", "std_test_f1_macro", "mean_fit_time", "texts_encoded"]
].round(3)

# %%
# Scores with their spread over folds, against the time of a fit.

import matplotlib.pyplot as plt

comparison.plot()
plt.show()

# %%
# The same in words, and the code that makes the best one again.

print(comparison.recommendation)
print()
print(comparison.code)

# %%
# What it gets most confidently wrong is where wrong labels show first.

comparison.mistakes.head(3)

# %%
# It has been fitted to all texts since. `comparison.to_html("report.html")` writes all of this, and
# more, on one page.

print(comparison.best_estimator_.predict(["The soup was cold, and so was the welcome."]))

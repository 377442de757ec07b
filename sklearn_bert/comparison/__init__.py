"""Which of TF-IDF, fixed features and fine-tuning works best on some labelled texts."""

from sklearn_bert.comparison.candidates import default_candidates
from sklearn_bert.comparison.comparing import compare
from sklearn_bert.comparison.display import ComparisonDisplay
from sklearn_bert.comparison.result import Comparison

__all__ = ["Comparison", "ComparisonDisplay", "compare", "default_candidates"]

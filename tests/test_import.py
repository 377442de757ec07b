"""What a fresh process does: import little, say nothing, survive a fork."""

from tests import needs


def test_import_is_light(run_python):
    run_python("""
import sys, sklearn_bert
heavy = {"torch", "transformers", "skorch", "pandas", "polars", "tokenizers"} & set(sys.modules)
assert not heavy, heavy
assert {"BertFeaturizer", "cache", "datasets"} <= set(dir(sklearn_bert))
""")


@needs.fork
def test_quiet_and_safe_to_fork(run_python, saved_model):
    script = """
import os, signal, sys
import numpy as np
from sklearn_bert import BertFeaturizer
texts = [f"good film {n}" for n in range(500)]
bert = BertFeaturizer(sys.argv[1])
expected = bert.transform(texts)
child = os.fork()
if child == 0:
    signal.alarm(40)  # a child that hangs must not stay
    vectors = BertFeaturizer(sys.argv[1], cache=None).transform(texts)
    os._exit(0 if np.allclose(vectors, expected, atol=1e-2) else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    result = run_python(script, saved_model("bert"), timeout=60, TOKENIZERS_PARALLELISM=None)
    assert result.stderr == result.stdout == ""

"""Fits, and fits that fail, leave nothing behind: no memory, no threads, no open files.

What is measured runs in a process of its own, where nothing else takes or gives memory.
"""

import gc
import sys
import weakref

import pytest

from sklearn_bert import BertFineTuneClassifier, BertMaskedLM
from tests import leaking

reads_proc = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads /proc, as Linux has it"
)

_SCRIPT = """
import gc, os, sys, threading
from pathlib import Path
import torch
from tests import leaking

def rss():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1])

def files():
    return sorted(
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")
    )

def alive(kind):
    return sum(isinstance(one, kind) for one in gc.get_objects())

def state():
    # Models of tests are so small that fifty of them would not show in what a process takes.
    gc.collect()
    threads = threading.active_count(), len(os.listdir("/proc/self/task"))
    return threads, files(), alive(torch.nn.Module), alive(torch.Tensor)

model, what, cache, n_warm, n_fits = sys.argv[1:]
cache = {"none": None}.get(cache, cache)
work = getattr(leaking, what)
for number in range(int(n_warm)):
    work(model, cache, number)
before, memory = state(), rss()
sizes = []
for number in range(int(n_fits)):
    work(model, cache, number)
    if number % 5 == 4:
        sizes.append(rss())
assert state() == before, (before, state())
print(memory, *sizes)
"""


@reads_proc
@pytest.mark.parametrize(
    ("cache", "n_fits"),
    [
        ("memory", 10),
        *(pytest.param(cache, 50, marks=pytest.mark.slow) for cache in ("memory", "disk", "none")),
    ],
)
@pytest.mark.parametrize("what", ["fit", "fail"])
def test_fits_leave_nothing_behind(what, cache, n_fits, saved_model, tmp_path, run_python):
    store = tmp_path if cache == "disk" else cache
    arguments = (saved_model("bert"), what, store, min(20, n_fits), n_fits)
    out = run_python(_SCRIPT, *arguments, timeout=600).stdout
    before, *sizes = map(int, out.split())
    assert len(sizes) == n_fits // 5
    assert max(sizes) <= 1.05 * before


@pytest.fixture
def _no_collection():
    """Have nothing freed but by the count of references."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collection")
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("freeze", ["all", -1, -2, "embeddings", "none"])
@pytest.mark.parametrize("estimator", [BertFineTuneClassifier, BertMaskedLM])
def test_a_refit_frees_the_weights_of_the_fit_before_at_once(
    estimator, freeze, checkpointing, saved_model
):
    """On a GPU they would add up from fold to fold, until Python looks for circles."""
    settings = {"chunk_length": 16} if estimator is BertMaskedLM else {}
    fitted = estimator(
        saved_model("bert"),
        freeze=freeze,
        gradient_checkpointing=checkpointing,
        max_epochs=1,
        random_state=0,
        **settings,
    )
    labels = () if estimator is BertMaskedLM else (leaking.Y,)
    module = fitted.fit(leaking.X, *labels).net_.module_
    weights = [weakref.ref(parameter) for parameter in module.parameters()]
    assert weights
    del module
    fitted.fit(leaking.X, *labels)
    assert not [weight for weight in weights if weight() is not None]

"""Hooks do what methods do, and keep nothing alive."""

import gc
import weakref

import pytest
import torch
from torch import nn

from sklearn_bert.encoder.hooks import arguments_of, weakly, wrap_forward


@pytest.fixture(autouse=True)
def _no_collection():
    """Have nothing freed but by the count of references."""
    gc.disable()
    yield
    gc.enable()


class Doubles(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.inner.register_forward_hook(weakly(self.double))

    def double(self, module, args, output):
        return 2 * output


def test_a_hook_works_as_long_as_its_owner_lives():
    owner = Doubles()
    inner, given = owner.inner, torch.ones(1, 2)
    doubled = inner(given)
    gone = weakref.ref(owner)
    del owner
    assert gone() is None
    torch.testing.assert_close(2 * inner(given), doubled)


def test_a_wrapped_forward_is_called_with_what_was_given():
    def negated(forward, *args, **kwargs):
        return -forward(*args, **kwargs)

    module = nn.Linear(2, 2)
    expected = -module(torch.ones(1, 2))
    wrap_forward(module, negated)
    torch.testing.assert_close(module(input=torch.ones(1, 2)), expected)


def test_what_is_wrapped_can_be_wrapped_again():
    module = nn.Linear(2, 2)
    expected = 4 * module(torch.ones(1, 2))
    for _ in range(2):
        wrap_forward(module, lambda forward, *args: 2 * forward(*args))
    torch.testing.assert_close(module(torch.ones(1, 2)), expected)


def test_a_wrapped_module_is_freed():
    module = nn.Linear(2, 2)
    wrap_forward(module, lambda forward, *args: forward(*args))
    gone = weakref.ref(module.weight)
    del module
    assert gone() is None


def test_arguments_are_collected_as_long_as_they_are_wanted():
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    given = [torch.ones(1, 2), torch.zeros(3, 2)]
    with arguments_of(module) as seen:
        outputs = [module(tensor) for tensor in given]
    module(torch.ones(4, 2))
    assert [id(tensor) for tensor in seen] == [id(tensor) for tensor in given]
    torch.testing.assert_close(outputs[0], module(given[0]))
    with pytest.raises(RuntimeError), arguments_of(module):
        module(torch.ones(1, 5))
    assert not module._forward_pre_hooks

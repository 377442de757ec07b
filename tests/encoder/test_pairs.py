import numpy as np
import pytest
import torch

from sklearn_bert.encoder.pairs import SIDES, check_pairs, halves, sides
from tests.models import PAIRS, TEXTS


def test_halves_are_all_first_ones_and_then_all_second_ones():
    found = halves(PAIRS)
    assert list(zip(found[: len(PAIRS)], found[len(PAIRS) :], strict=True)) == PAIRS


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_sides_are_the_halves_their_distance_and_their_product(kind):
    found = sides(kind([[1.0, -2.0]]), kind([[4.0, 3.0]]))
    expected = [[[1.0, -2.0]], [[4.0, 3.0]], [[3.0, 5.0]], [[4.0, -6.0]]]
    assert [side.tolist() for side in found] == expected
    assert len(found) == len(SIDES)


def test_only_pairs_have_halves():
    check_pairs("separate", PAIRS)
    check_pairs("joint", PAIRS)
    check_pairs("joint", TEXTS)
    with pytest.raises(ValueError, match=r"pairs='separate' can't be used.*X_val has no pairs"):
        check_pairs("separate", TEXTS, "X_val")

import numpy as np
import pandas as pd
import pytest

from sklearn_bert.tables import column_of


@pytest.mark.parametrize("dtype", [str, object])
def test_strings_may_be_any(dtype):
    values = np.array(["good", "half an emoji \ud83d"], dtype=dtype)
    column = column_of(values, pd.Index([4, 7]))
    assert column.dtype == object
    assert column.to_dict() == {4: "good", 7: "half an emoji \ud83d"}


@pytest.mark.parametrize("values", [[1, 2], [0.5, 1.5], [True, False]])
def test_numbers_are_numbers(values):
    column = column_of(np.array(values))
    assert column.dtype == np.array(values).dtype
    assert column.tolist() == values

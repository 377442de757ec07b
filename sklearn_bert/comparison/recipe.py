"""An unfitted estimator as the lines of code that make it again."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from sklearn.pipeline import Pipeline, make_pipeline

__all__ = ["code_of"]


def code_of(estimator: Any) -> str:
    """Return lines of Python after which ``estimator`` is such an estimator, fitted on X and y.

    Parameters
    ----------
    estimator : estimator
        Its parameters have to be estimators, or such that their `repr` makes them again.

    Returns
    -------
    str
        Imports, the estimator, and its `fit`.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_bert.comparison.recipe import code_of
    >>> print(code_of(LogisticRegression(C=10)))
    from sklearn.linear_model import LogisticRegression
    estimator = LogisticRegression(C=10)
    estimator.fit(X, y)
    """
    imports: set[tuple[str, str]] = set()
    expression = _expression(estimator, imports)
    lines = [f"from {module} import {name}" for module, name in sorted(imports)]
    return "\n".join([*lines, f"estimator = {expression}", "estimator.fit(X, y)"])


def _expression(value: Any, imports: set[tuple[str, str]]) -> str:
    """Return what makes a value, and add what has to be imported for it."""
    if isinstance(value, Pipeline) and _is_plain(value):
        imports.add(("sklearn.pipeline", "make_pipeline"))
        return f"make_pipeline({', '.join(_expression(step, imports) for _, step in value.steps)})"
    if hasattr(value, "get_params") and not isinstance(value, type):
        imports.add(_import_of(type(value)))
        changed = [f"{name}={_expression(v, imports)}" for name, v in _changed(value).items()]
        return f"{type(value).__name__}({', '.join(changed)})"
    if type(value) is list:
        return f"[{', '.join(_expression(item, imports) for item in value)}]"
    if type(value) is tuple:
        items = [_expression(item, imports) for item in value]
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    return repr(value)


def _changed(estimator: Any) -> dict[str, Any]:
    """Return the parameters that are not at their defaults."""
    defaults = inspect.signature(type(estimator)).parameters
    return {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if name not in defaults or repr(value) != repr(defaults[name].default)
    }


def _is_plain(pipeline: Pipeline) -> bool:
    """Return whether `make_pipeline` would make it."""
    made = make_pipeline(*(step for _, step in pipeline.steps))
    return made.steps == pipeline.steps and _changed(pipeline).keys() == {"steps"}


def _import_of(kind: type) -> tuple[str, str]:
    """Return the shortest module that offers a class, and the class's name."""
    parts = kind.__module__.split(".")
    for length in range(1, len(parts)):
        module = ".".join(parts[:length])
        if getattr(importlib.import_module(module), kind.__name__, None) is kind:
            return module, kind.__name__
    return kind.__module__, kind.__name__

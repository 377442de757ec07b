"""An unfitted estimator as the lines of code that make it again."""

from __future__ import annotations

import ast
import inspect
import math
import sys
from collections.abc import Iterable
from itertools import chain, count
from types import FunctionType
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_bert.errors import shortened

__all__ = ["code_of"]


def code_of(estimator: Any) -> str:
    """Return lines of Python after which ``estimator`` is such an estimator, fitted on X and y.

    Parameters
    ----------
    estimator : estimator
        Unfitted.

    Returns
    -------
    str
        Imports, the estimator, and its `fit`. For what no code makes, a lambda for example, stands
        the parameter's name, and a comment asks to define it before.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_bert.comparison.recipe import code_of
    >>> print(code_of(LogisticRegression(C=10)))
    from sklearn.linear_model import LogisticRegression
    estimator = LogisticRegression(C=10)
    estimator.fit(X, y)
    """
    code = _Code()
    expression = code.expression("estimator", estimator)
    imports = [f"from {module} import {name}" for module, name in sorted(code.imports)]
    undefined = [
        f"# Define {name} before: it was {_of_one_line(what)}."
        for what, name in code.undefined.items()
    ]
    lines = [*imports, *undefined, f"estimator = {expression}", "estimator.fit(X, y)"]
    return "\n".join(lines)


class _Code:
    """Expressions that make values, and what they need before them.

    Attributes
    ----------
    imports : set of (str, str)
        Modules and what to import of them.
    undefined : dict of str to str
        Values that no code makes, as Python prints them, and the names that stand for them.
    """

    def __init__(self) -> None:
        self.imports: set[tuple[str, str]] = set()
        self.undefined: dict[str, str] = {}

    def expression(self, name: str, value: Any) -> str:
        """Return what makes the value of a parameter of that name."""
        if isinstance(value, Pipeline) and _is_plain(value):
            self.imports.add(("sklearn.pipeline", "make_pipeline"))
            return f"make_pipeline({self._listed(name, [step for _, step in value.steps])})"
        if isinstance(value, type | FunctionType):
            return self._imported(name, value)
        if hasattr(value, "get_params"):
            changed = _changed(value).items()
            arguments = ", ".join(f"{key}={self.expression(key, v)}" for key, v in changed)
            return f"{self._imported(name, type(value))}({arguments})"
        if type(value) is list:
            return f"[{self._listed(name, value)}]"
        if type(value) is tuple:
            return f"({self._listed(name, value)}{',' if len(value) == 1 else ''})"
        if type(value) is dict:
            pairs = [(self.expression(name, k), self.expression(name, v)) for k, v in value.items()]
            return f"{{{', '.join(f'{key}: {item}' for key, item in pairs)}}}"
        if isinstance(value, np.generic) and not isinstance(value.item(), np.generic):
            return self.expression(name, value.item())
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self.imports.add(("numpy", "array"))
            return f"array({self.expression(name, value.tolist())}, dtype={value.dtype.str!r})"
        if isinstance(value, float) and not math.isfinite(value):
            return f'float("{value}")'
        return repr(value) if _is_literal(value) else self._undefined(name, repr(value))

    def _listed(self, name: str, items: Iterable[Any]) -> str:
        return ", ".join(self.expression(name, item) for item in items)

    def _imported(self, name: str, value: type | FunctionType) -> str:
        """Return a class's or a function's name, after an import from where it is offered."""
        if value.__module__ == "builtins":
            return value.__name__
        parts = value.__module__.split(".")
        for length in range(1, len(parts) + 1):
            module = ".".join(parts[:length])
            if getattr(sys.modules.get(module), value.__name__, None) is value:
                self.imports.add((module, value.__name__))
                return value.__name__
        known = value.__name__ if value.__name__.isidentifier() else name
        return self._undefined(known, repr(value))

    def _undefined(self, name: str, what: str) -> str:
        """Return a name for a value that no code makes: the same each time it is met."""
        if what not in self.undefined:
            names = chain([name], (f"{name}_{number}" for number in count(2)))
            taken = self.undefined.values()
            self.undefined[what] = next(free for free in names if free not in taken)
        return self.undefined[what]


def _of_one_line(text: str) -> str:
    """Return what a comment can hold: a line that a break ended would be code."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return shortened(" ".join(printable.split()))


def _is_literal(value: Any) -> bool:
    """Return whether what Python prints for a value is that value."""
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError):
        return False


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

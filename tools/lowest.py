"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

`make test-lowest` installs them: a range is a promise, and its lower end is where nobody looks.
"""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

__all__ = ["lowest_versions"]

_PROJECT = Path(__file__).parents[1] / "pyproject.toml"
_LOWEST = re.compile(r"(?P<name>[\w.-]+)>=(?P<version>[\w.]+)")


def lowest_versions(project: dict[str, Any]) -> list[str]:
    """Return what is required, pinned to the lowest version that is allowed.

    Parameters
    ----------
    project : dict
        The table ``project`` of a pyproject.toml.
    """
    extras = project["optional-dependencies"].values()
    found = map(_LOWEST.match, chain(project["dependencies"], *extras))
    return sorted({f"{match['name']}=={match['version']}" for match in found if match})


if __name__ == "__main__":
    print("\n".join(lowest_versions(tomllib.loads(_PROJECT.read_text("utf-8"))["project"])))

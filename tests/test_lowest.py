"""What `make test-lowest` installs."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from tools.lowest import lowest_versions

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
PROJECT = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]


def test_the_lower_end_of_each_range():
    project = {
        "dependencies": ["numpy>=1.26", "transformers>=4.56,<6"],
        "optional-dependencies": {"cli": ["pandas>=2.2", "stubs"], "test": ["pandas>=2.2"]},
    }
    assert lowest_versions(project) == ["numpy==1.26", "pandas==2.2", "transformers==4.56"]


def test_no_dependency_of_users_is_left_out():
    pinned = {Requirement(line).name for line in lowest_versions(PROJECT)}
    extras = PROJECT["optional-dependencies"]
    needed = [*PROJECT["dependencies"], *extras["embedded"], *extras["plot"], *extras["cli"]]
    assert {Requirement(line).name for line in needed} <= pinned


def test_each_package_has_one_lowest_version():
    names = [Requirement(line).name for line in lowest_versions(PROJECT)]
    assert len(names) == len(set(names))

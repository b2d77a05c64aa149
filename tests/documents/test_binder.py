"""What Binder installs is what pyproject.toml asks for, in versions that are pinned."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lines(name):
    text = (BINDER / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


PINS = dict(line.split("==") for line in lines("constraints.txt"))
EXTRAS = PROJECT["optional-dependencies"]
WANTED = [Requirement(line) for line in (*PROJECT["dependencies"], *EXTRAS["lab"], *EXTRAS["mcp"])]


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_the_pinned_version_is_one_that_the_project_takes(wanted):
    pinned = {canonical(name): version for name, version in PINS.items()}[canonical(wanted.name)]
    assert pinned in wanted.specifier


def test_the_pinned_python_is_one_that_the_project_takes():
    (version,) = (line.removeprefix("python-") for line in lines("runtime.txt"))
    assert version in SpecifierSet(PROJECT["requires-python"])


def test_binder_installs_the_package_with_the_constraints_and_nothing_else():
    assert lines("requirements.txt") == ["-c constraints.txt", ".[lab,mcp]"]


def test_what_is_run_by_name_may_be_run():
    assert all(os.access(path, os.X_OK) for path in (BINDER / "postBuild", ROOT / ".ci" / "binder"))


def test_ci_and_nox_try_it():
    assert re.search(r"^\.ci/binder$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert 'session.run(".ci/binder"' in (ROOT / "noxfile.py").read_text(encoding="utf-8")

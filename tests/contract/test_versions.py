"""The bounds of the dependencies are true, and one module alone knows how releases differ."""

from __future__ import annotations

import ast
import os
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HOSTED = {
    name.lower(): Version(version)
    for line in (ROOT / "tests/environments/colab-2026-08.txt").read_text().splitlines()
    if not line.startswith("#")
    for name, _, version in [line.partition("==")]
}
BOUNDS = [Requirement(each) for each in PROJECT["dependencies"]]
SOURCES = sorted((ROOT / "llmkit").rglob("*.py"))
VERSIONS = {"__version__", "version_info", "hexversion"}


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
def test_the_hosted_runtimes_release_is_within_the_bounds(bound):
    there = HOSTED.get(bound.name.lower())
    assert there is None or there in bound.specifier


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
def test_a_dependency_has_a_lower_bound_and_no_other(bound):
    assert [each.operator for each in bound.specifier] == [">="]


def test_the_hosted_runtime_is_in_the_repository_with_the_packages_that_matter():
    assert {"ipython", "ipykernel", "ipywidgets", "anywidget", "pandas", "openai", "google-genai"} <= set(
        HOSTED
    )


ENVIRONMENT = os.environ.get("TESTED_ENVIRONMENT")
"""The nox session that runs these tests, if it is about versions."""


@pytest.mark.skipif(ENVIRONMENT != "hosted", reason="of `nox -s hosted`")
def test_every_package_of_the_hosted_runtime_is_as_it_was():
    there = {name: Version(metadata.version(name)) for name in HOSTED if name != "pip"}
    assert there == {name: version for name, version in HOSTED.items() if name != "pip"}


@pytest.mark.skipif(ENVIRONMENT != "lowest", reason="of `nox -s lowest`")
@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
def test_the_oldest_release_is_the_one_that_is_tested(bound):
    (lower,) = bound.specifier
    assert Version(metadata.version(bound.name)) == Version(lower.version)


def compares_a_version(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare):
        return False
    return any(isinstance(part, ast.Attribute) and part.attr in VERSIONS for part in ast.walk(node))


def test_one_module_alone_tests_for_a_version():
    found = {
        str(path.relative_to(ROOT / "llmkit"))
        for path in SOURCES
        if any(compares_a_version(node) for node in ast.walk(ast.parse(path.read_text())))
    }
    assert found == {"core/compat.py"}

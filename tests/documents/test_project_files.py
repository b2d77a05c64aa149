"""The files that a hosting site and a package index read agree with the project."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import llmkit

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
FILES = [*sorted(GITHUB.rglob("*.yml")), ROOT / "CITATION.cff", ROOT / ".pre-commit-config.yaml"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SCRIPTS = {"run", "wheel", "binder"}
PUBLISHING = {"release": ["publish"], "docs": ["deploy"]}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_is_valid_yaml(path):
    assert yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_citation_names_this_version():
    assert yaml.safe_load(read("CITATION.cff"))["version"] == llmkit.__version__


def test_the_workflows_run_the_same_commands_as_everybody():
    for workflow in (GITHUB / "workflows").glob("*.yml"):
        text = workflow.read_text(encoding="utf-8")
        for script in re.findall(r"\.ci/([a-z]+)", text):
            assert script in SCRIPTS
            assert (ROOT / ".ci" / script).is_file()
        for session in re.findall(r"session: ([a-z]+)|sessions ([a-z]+)$", text, re.MULTILINE):
            (name,) = filter(None, session)
            assert f"def {name}(" in read("noxfile.py")


def test_every_script_of_ci_is_run_by_ci():
    for script in SCRIPTS - {"run"}:
        assert re.search(rf"^\.ci/{script}$", read(".ci/run"), re.MULTILINE)


def test_the_workflow_tries_every_python_that_the_package_claims():
    claimed = {one.rpartition(" ")[2] for one in PROJECT["classifiers"] if ":: 3." in one}
    assert claimed <= set(re.findall(r'"(3\.1\d)"', read(".github/workflows/ci.yml")))


def test_only_the_jobs_that_publish_may_do_more_than_read():
    for workflow in (GITHUB / "workflows").glob("*.yml"):
        content = yaml.safe_load(workflow.read_text(encoding="utf-8"))
        assert content["permissions"] == {"contents": "read"}
        may_publish = [name for name, job in content["jobs"].items() if "permissions" in job]
        assert may_publish == PUBLISHING.get(workflow.stem, [])


def test_each_link_of_the_project_names_the_same_repository():
    repository = PROJECT["urls"]["Source"]
    owner, _, name = repository.removeprefix("https://github.com/").partition("/")
    assert PROJECT["urls"]["Documentation"] == f"https://{owner}.github.io/{name}/"
    for url in set(PROJECT["urls"].values()) - {PROJECT["urls"]["Documentation"]}:
        assert repository in url or repository.removeprefix("https://github.com") in url
    assert yaml.safe_load(read("CITATION.cff"))["repository-code"] == repository

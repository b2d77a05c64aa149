"""Everything in the README is true: its commands, its examples, its tables, its picture."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from llmkit.core import catalog, settings
from llmkit.notebook.cell.help import options_table
from tests.support import documents
from tests.support.kernels import Kernel

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return documents.code(README, language)


def test_the_shell_blocks_are_the_two_commands_and_the_dashboard():
    assert blocks("bash") == [
        'pip install -e ".[lab]" && jupyter lab notebooks/quickstart.ipynb\n',
        'pip install -e ".[test]" && pytest\n',
        'pip install -e ".[dashboard]" && voila notebooks/dashboard.ipynb\n',  # see test_dashboard_browser
    ]


def test_ci_runs_what_the_readme_says():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert 'pip install --quiet -e ".[lab]"' in script
    assert 'pip install --quiet -e ".[test]"\npytest --full\n' in script


def test_contributing_lists_the_steps_of_ci():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for command in ("pytest --full", "ruff check", "ruff format --check", "lint-imports", "mypy"):
        assert re.search(rf"^{command}$", script, re.MULTILINE)
        assert command in guide


def test_the_option_table_is_the_generated_one():
    between = README.partition("options_table() -->")[2].partition("<!-- /options -->")[0]
    assert between.strip() == options_table()


def test_every_provider_is_named_and_every_variable_is_known():
    variables = {
        name for provider in catalog.providers().values() for name in provider.key_env + provider.base_url_env
    }
    for provider in catalog.providers().values():
        assert f"`{provider.name}`" in README
    assert set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*_(?:KEY|TOKEN|URL))`", README)) <= variables


def test_the_settings_example_is_read_without_complaint(tmp_path, monkeypatch):
    (example,) = blocks("toml")
    assert tomllib.loads(example)["tool"]["llmkit"].keys() <= settings.Settings.__dataclass_fields__.keys()
    (tmp_path / "pyproject.toml").write_text(example, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert settings.load().aliases == {"fast": "openai:gpt-6-luna"}


def test_every_link_and_picture_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).is_file() or target.startswith("https://mybinder.org/"), target


def test_the_badge_opens_the_quickstart():
    (path,) = re.findall(r"urlpath=lab/tree/([^)]+)\)", README)
    assert (ROOT / path).is_file()


def test_the_first_python_example_is_one_line():
    (line,) = blocks("python")[0].splitlines()
    assert line.startswith("reply = llmkit.ask(")


@pytest.mark.kernel
def test_the_python_examples_run_in_a_notebook(tmp_path):
    kernel = Kernel(
        tmp_path, LLMKIT_LEDGER=":memory:", LLMKIT_SANDBOX_RATE="0", LLMKIT_SANDBOX_FIRST_TOKEN="0"
    )
    try:
        kernel.run("import llmkit")  # the README says so
        for block in blocks("python"):
            assert kernel.run(block).status == "ok", block
    finally:
        kernel.close()

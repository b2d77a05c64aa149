"""Everything in the README is true: its commands, its examples, its links, its pictures."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.support import documents
from tests.support.kernels import Kernel

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


SITE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"][
    "Documentation"
]
LONGEST = 130  # lines
LARGEST_ANIMATION = 1_500_000  # bytes


def blocks(language):
    return documents.code(README, language)


def test_the_shell_blocks_are_the_clone_and_the_two_commands():
    assert blocks("bash") == [
        (
            "git clone https://github.com/llmkit/llmkit && cd llmkit\n"
            'pip install -e ".[lab]" && jupyter lab notebooks/quickstart.ipynb\n'
        ),
        'pip install -e ".[test]" && pytest\n',
    ]


def test_the_readme_is_three_screens():
    assert len(README.splitlines()) <= LONGEST


def test_the_animation_is_light():
    assert (ROOT / "notebooks" / "demo.gif").stat().st_size <= LARGEST_ANIMATION


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


def test_every_link_and_picture_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).is_file() or target.startswith(("https://mybinder.org/", SITE)), target


def test_the_badge_opens_the_quickstart():
    (path,) = re.findall(r"urlpath=lab/tree/([^)]+)\)", README)
    assert (ROOT / path).is_file()


@pytest.mark.kernel
def test_the_python_examples_run_in_a_notebook(tmp_path):
    kernel = Kernel(
        tmp_path, LLMKIT_LEDGER=":memory:", LLMKIT_SANDBOX_RATE="0", LLMKIT_SANDBOX_FIRST_TOKEN="0"
    )
    try:
        for block in blocks("python"):
            assert kernel.run(block).status == "ok", block
        assert kernel.run("assert '391' in done.text, done").status == "ok"  # the tool was called
    finally:
        kernel.close()

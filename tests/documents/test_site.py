"""The pages of the documentation: every example runs, every public name is in the reference."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest

from llmkit.core import settings
from tests.support import documents
from tests.support.kernels import Kernel
from tests.support.products import few

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs"
COPIES = FOLDER / "notebooks"  # made by the build
PAGES = {
    str(path.relative_to(FOLDER).with_suffix("")): path.read_text(encoding="utf-8")
    for path in sorted(FOLDER.rglob("*.md"))
    if COPIES not in path.parents
}
WITH_CELLS = [name for name, text in PAGES.items() if documents.cells(text)]
PUBLIC = ("llmkit", "llmkit.frames", "llmkit.metrics", "llmkit.parts", "llmkit.sandbox")
DIRECTIVE = re.compile(r"^\.\. (?:py:|auto)(?:function|class|data|exception|module):: ([\w.]+)", re.MULTILINE)
COMMANDS = re.compile(
    r"(?:git clone|pip install|jupyter lab|pytest|nox|voila|cd|python -m llmkit\.sandbox"
    r"|deploy/secrets\.sh|docker compose|llmkit \w+)\b"
    r"|eval .+llmkit completion"
)
LONGEST = 150  # lines of source, about three screens


def test_every_public_name_is_in_the_reference():
    text = "\n".join(page for name, page in PAGES.items() if name.startswith("reference/"))
    documented = set(DIRECTIVE.findall(text))
    names = {f"{module}.{name}" for module in PUBLIC for name in importlib.import_module(module).__all__}
    assert names - documented - set(PUBLIC) == set()


@pytest.mark.kernel
@pytest.mark.parametrize("name", few(WITH_CELLS, {"start"}))
def test_the_examples_of_a_page_run(name, tmp_path):
    kernel = Kernel(
        tmp_path,
        LLMKIT_LEDGER=":memory:",
        LLMKIT_SANDBOX="1",
        LLMKIT_SANDBOX_RATE="0",
        LLMKIT_SANDBOX_FIRST_TOKEN="0",
    )
    try:
        for block in documents.cells(PAGES[name]):
            expected = "error" if "raises-exception" in block.tags else "ok"
            result = kernel.run(block.code)
            assert result.status == expected, f"{block.code}\n{result.reply}"
    finally:
        kernel.close()


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_has_a_reader_type_in_a_shell_is_known(name):
    for command in documents.code(PAGES[name], "bash"):
        for line in command.splitlines():
            assert COMMANDS.match(line), line


@pytest.mark.parametrize("name", PAGES)
def test_the_settings_on_a_page_are_read_without_complaint(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, example in enumerate(documents.code(PAGES[name], "toml")):
        own = tomllib.loads(example)
        table = own.get("tool", {}).get("llmkit", own)
        assert table.keys() <= settings.Settings.__dataclass_fields__.keys(), number
        (tmp_path / "pyproject.toml").write_text(example, encoding="utf-8")
        settings.load()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_with_parts_made_from_the_code_sends_readers_on_github_to_the_site(name):
    made = re.search(r"^```\{table-of\}|^\.\. auto", PAGES[name], re.MULTILINE)
    link = f'<a href="https://llmkit.github.io/llmkit/{name}.html">'
    assert (made is not None) == (link in PAGES[name])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_one_title_and_is_short(name):
    if "{include}" in PAGES[name]:
        return  # the changelog
    prose = re.sub(r"^```.*?^```$", "", PAGES[name], flags=re.DOTALL | re.MULTILINE)
    assert len(re.findall(r"^# ", prose, re.MULTILINE)) == 1
    assert len(PAGES[name].splitlines()) <= LONGEST

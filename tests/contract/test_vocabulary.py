"""Names that were replaced do not come back: identifiers and modules, never words of a sentence."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

REPLACED = """
    Carrier DirectCarrier SDKCarrier GenAICarrier LegacyCarrier Tape Flights Seat Told Intent Ceiling Bill
    Books MeteredClient Lane Outgoing Trouble Shown Asking FAREWELL LAST_WORD StandIn Flight Errands Reading
    Exchange SCHEMA_NAMES carrier carriers tape tapes seat pilot land landed boarded flight flights bill bills
    caps change_caps moments holds tariff lane lanes race errand errands trouble in_trouble stand_in
    stand_ins mend asked_on_wire asked_of_client _bill _bills _caps _flights _lanes _seat _stand_ins
    _trouble
"""
MOVED = """
    llmkit: wire
    llmkit.clients: codec classify content asked tape flights pace access keys redaction metered queue
    llmkit.clients: ceiling books bill reading
    llmkit.costs: totals tariff names moments exports
    llmkit.costs.store: choices holds interface
    llmkit.costs.budgets: caps
    llmkit.notebook: question questions asking trouble shown rich live footer markdown syntax
"""
IDENTIFIERS = frozenset(REPLACED.split())
MODULES = frozenset(
    f"{folder.strip()}.{name}"
    for folder, names in (line.split(":") for line in MOVED.strip().splitlines())
    for name in names.split()
)

_DOTTED = re.compile(r"\bllmkit(?:\.\w+)+")


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Yield what a file defines, uses and imports, by the names that it has there."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "name", "asname", "arg"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield name


def modules(tree: ast.AST) -> Iterator[str]:
    """Yield each module that a file imports, or names in a text, with the packages above it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = _DOTTED.findall(node.value)  # what a test replaces, or runs in a process of its own
        else:
            continue
        for name in found:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


@cache
def trees() -> dict[str, ast.Module]:
    files = [
        f for d in ("llmkit", "tests", "benchmarks") for f in (ROOT / d).rglob("*.py*") if f.suffix != ".pyc"
    ]
    others = (f for f in files if f != Path(__file__))  # the examples below name what is gone
    return {str(f.relative_to(ROOT)): ast.parse(f.read_text("utf-8")) for f in others}


def test_no_file_uses_an_identifier_that_was_replaced() -> None:
    used = {file: sorted(IDENTIFIERS.intersection(identifiers(tree))) for file, tree in trees().items()}
    assert {file: names for file, names in used.items() if names} == {}


def test_no_file_names_a_module_that_was_moved() -> None:
    used = {file: sorted(MODULES.intersection(modules(tree))) for file, tree in trees().items()}
    assert {file: names for file, names in used.items() if names} == {}


def test_no_module_that_was_moved_stands_at_its_old_place() -> None:
    paths = {name: ROOT / name.replace(".", "/") for name in MODULES}
    assert [
        n for n, p in paths.items() if p.with_suffix(".py").exists() or (p / "__init__.py").exists()
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "class Tape: ...",
        "from a import b as Tape",
        "from a import Tape",
        "def f(Tape): ...",
        "x = a.Tape",
        "Tape = 1",
    ],
)
def test_an_identifier_is_found_wherever_it_stands(text: str) -> None:
    assert "Tape" in set(identifiers(ast.parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        "import llmkit.wire.sse",
        "from llmkit import wire",
        "from llmkit.wire import sse",
        "patch('llmkit.wire.sse.read')",
        "run('import llmkit.wire')",
    ],
)
def test_a_module_is_found_however_it_is_named(text: str) -> None:
    assert "llmkit.wire" in set(modules(ast.parse(text)))

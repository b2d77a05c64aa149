"""No module imports itself through others, at load time or later."""

from __future__ import annotations

import importlib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

LAZY = {
    ("llmkit.clients.engine.engine", "llmkit.clients.registry"): "a fallback's client is made by its name",
    ("llmkit.costs.calls", "llmkit.costs.pricing.reconcile"): "`Calls.reconcile` is where users look for it",
    ("llmkit.costs.budgets.budget", "llmkit.costs.ledger"): "`llmkit.budget` holds in the default ledger",
}
"""Imports inside functions that close a cycle, and why each is there."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("llmkit", exclude_type_checking_imports=True, cache_dir=None)


def test_there_is_no_cycle_but_those_with_a_reason(graph: grimp.ImportGraph) -> None:
    imports = {
        module: {
            other for other in graph.find_modules_directly_imported_by(module) if (module, other) not in LAZY
        }
        for module in graph.modules
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"An import cycle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize(("module", "other"), LAZY)
def test_an_import_that_closes_a_cycle_is_inside_a_function(
    graph: grimp.ImportGraph, module: str, other: str
) -> None:
    lines = [found["line_contents"] for found in graph.get_import_details(importer=module, imported=other)]
    source = Path(importlib.import_module(module).__file__ or "").read_text("utf-8").splitlines()
    assert lines
    assert all(line not in source for line in lines)  # it is indented

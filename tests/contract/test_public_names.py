"""Each public name is what the stub says, whatever was imported before it, with every lazy-loader allowed."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import llmkit

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "llmkit"
IMPORT_ALL = """
import importlib, importlib.metadata, pkgutil
import llmkit
for module in pkgutil.walk_packages(llmkit.__path__, "llmkit."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(importlib.metadata.version("lazy-loader"))
"""


def stub() -> list[tuple[str, str]]:
    """Return the public names that are defined in a module below, with that module."""
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text("utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
    return [(alias.asname or alias.name, f"llmkit.{node.module}") for node in imports for alias in node.names]


def after_every_import(folder: Path, *path: Path) -> list[str]:
    """Import every module in a new process; return lazy-loader's version and the names that are wrong."""
    lines = [
        f"if llmkit.{name} is not getattr(importlib.import_module({module!r}), {name!r}): print({name!r})"
        for name, module in stub()
    ]
    code = IMPORT_ALL + "\n".join(lines)
    own = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT)))}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=own, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def oldest_lazy_loader() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (found,) = re.findall(r"lazy-loader>=([\d.]+)", " ".join(project["dependencies"]))
    return found


def test_the_stub_has_every_public_name() -> None:
    others = {"LLM_CONFIG", "TOKEN_COSTS", "frames", "metrics", "parts", "sandbox"}
    assert {name for name, _ in stub()} == set(llmkit.__all__) - others


def test_no_module_of_the_package_hides_a_public_name() -> None:
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert modules & set(llmkit.__all__) == {
        "frames",
        "metrics",
        "parts",
        "sandbox",
    }  # those names are the modules


def test_every_name_is_itself_after_every_module_was_imported(tmp_path: Path) -> None:
    _, *wrong = after_every_import(tmp_path)
    assert wrong == []


@pytest.mark.full
@pytest.mark.timeout(600)
def test_so_it_is_with_the_oldest_lazy_loader_that_is_allowed(tmp_path: Path) -> None:
    oldest, target = oldest_lazy_loader(), tmp_path / "oldest"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
    done = subprocess.run([*install, f"lazy-loader=={oldest}"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install lazy-loader {oldest} here: {done.stderr.strip()[-200:]}")
    version, *wrong = after_every_import(tmp_path, target)
    assert version == oldest
    assert wrong == []

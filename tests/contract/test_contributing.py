"""The architecture in CONTRIBUTING.md, and the decisions, name what exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "llmkit"
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
ARCHITECTURE = TEXT.partition("## Architecture")[2].partition("## Decisions")[0]
DECISIONS = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "docs" / "decisions").glob("*.md")))
ROWS = re.findall(r"^\| `([a-z_]+)/?` \| (.+) \|$", ARCHITECTURE, re.MULTILINE)


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def exists(path: Path) -> bool:
    """Whether a path is a file, a folder, or a module without its ending."""
    return path.exists() or path.with_suffix(".py").is_file()


def absent(names: list[str], *folders: Path) -> list[str]:
    """Return the names that are in none of the folders; `NAME` stands for any provider."""
    paths = {name: name.replace("NAME", "anthropic").rstrip("/") for name in names}
    return [name for name, path in paths.items() if not any(exists(folder / path) for folder in folders)]


def test_every_module_of_a_layer_exists_where_the_table_says() -> None:
    missing = []
    for layer, contents in ROWS:
        names = [n for n in quoted(contents) if re.fullmatch(r"[a-z_]+(/[a-z_]+)*/?|[a-z_]+\.toml", n)]
        missing += [f"{layer}/{name}" for name in absent(names, PACKAGE / layer)]
    assert missing == []


def test_the_table_has_every_layer() -> None:
    files = {p.stem for p in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    folders = {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    assert {layer for layer, _ in ROWS} == files | folders


def test_every_path_beside_the_table_exists() -> None:
    rest = "\n".join(line for line in ARCHITECTURE.splitlines() if not line.startswith("|"))
    paths = [name for name in quoted(rest) if re.fullmatch(r"[\w./]+(/|\.py|\.toml)", name)]
    assert len(paths) > 10
    assert absent(paths, PACKAGE, ROOT) == []


def test_every_module_in_the_diagram_exists() -> None:
    diagram = ARCHITECTURE.split("```")[1]
    paths = re.findall(r"[a-z]+(?:/[a-z]+)+", diagram)
    assert "transport/sse" in paths
    assert absent(paths, PACKAGE) == []


def test_every_module_in_the_decisions_exists() -> None:
    paths = [
        n for n in quoted(DECISIONS) if re.fullmatch(r"(clients|costs|providers|transport)[./][a-z_]+", n)
    ]
    assert "transport.sdk" in paths
    assert absent([path.replace(".", "/") for path in paths], PACKAGE) == []


def test_every_class_of_the_architecture_exists() -> None:
    source = "\n".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    names = [name for name in quoted(ARCHITECTURE) if re.fullmatch(r"[A-Z][a-z]+\w*", name)]
    missing = [name for name in names if not re.search(rf"^(class )?{name}\b", source, re.MULTILINE)]
    assert "CallRecord" in names
    assert missing == []

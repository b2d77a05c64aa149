"""Corrects failed cells: replaces misspelt names, attributes and keys by the nearest one."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.core.suggestions import ALMOST, nearest
from llmkit.sandbox.answers.code.operands import caught, concatenated
from llmkit.sandbox.answers.code.syntax import corrected

if TYPE_CHECKING:
    from llmkit.sandbox.conversation import Ask

_FAILED = re.compile(r"^This notebook cell failed\.", re.MULTILINE)
_EXPLAINED = re.compile(r"^This notebook cell failed\. Explain", re.MULTILINE)
_FENCE = re.compile(r"^(`{3,})(\w*)\n(.*?)\n\1$", re.MULTILINE | re.DOTALL)
_ERROR = re.compile(r"^((?:\w+\.)*\w*(?:Error|Exception|Warning|Interrupt|Iteration)\b.*)$", re.MULTILINE)
_NAME = re.compile(r"^NameError: name '(\w+)' is not defined")
_ATTRIBUTE = re.compile(r"^AttributeError: .*'([\w.]+)'(?: object)? has no attribute '(\w+)'")
_KEY = re.compile(r"^KeyError: (['\"])(.+)\1")
_IMPORT = re.compile(r"^ImportError: cannot import name '(\w+)' from '([\w.]+)'")
_MODULE = re.compile(r"^ModuleNotFoundError: No module named '([\w.]+)'")
_FIX_CODE = re.compile(
    (
        r"\b(?:fix|correct|debug|repair|what(?:'s| is) wrong (?:with|in)|find the (?:bug|error"
        r"|mistake))\b[^:\n]*\b(?:code|function|cell|script|python|bug|error|line|snippet"
        r"|this)\b[^:\n]*[:\n]"
    ),
    re.IGNORECASE,
)
_FIX_THIS = re.compile(
    r"^\W*(?:please )?(?:fix|correct|debug|repair)(?: this| it| the following)?:\s*", re.IGNORECASE
)
_IS_CODE = re.compile(
    r"^\s*(?:for|while|if|def|class|with|try|import|from|print|return)\b.*[()=:\[\]]|\w\(|^\s*\w+ = ",
    re.MULTILINE,
)
_LONGEST = 300
_BUILT_IN = frozenset(dir(builtins))
_CALLED = 0.65  # likeness of `lenght` to `len`; `count` is less like `round`
_MEANINGS = {
    "ZeroDivisionError": "A number was divided by zero: check the divisor first.",
    "IndexError": "The list is shorter than the index: its last item has the index len - 1.",
    "TypeError": "A value has another type than the operation needs: look at type(value), and convert it.",
    "ValueError": "The type is right but the value is not: print it before that line.",
    "FileNotFoundError": "There is no file of that name here: check the folder with %pwd.",
    "NameError": "The name was not defined before: run the cell that defines it.",
    "AttributeError": "The object has no such attribute: dir(value) lists those that it has.",
    "KeyError": "There is no such key: list the keys or the columns first.",
    "RecursionError": "A function calls itself without an end: it needs a base case.",
    "AssertionError": "A condition that was asserted does not hold.",
    "PermissionError": "The file may not be read or written by this user.",
    "SyntaxError": "Python cannot read that line: look for a bracket, quote or colon that is missing.",
}
_PACKAGES = {
    "numpy": "numpy",
    "pandas": "pandas",
    "matplotlib": "matplotlib",
    "seaborn": "seaborn",
    "sklearn": "scikit-learn",
    "scipy": "scipy",
    "requests": "requests",
    "polars": "polars",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "cv2": "opencv-python",
    "bs4": "beautifulsoup4",
    "torch": "torch",
    "openai": "openai",
    "anthropic": "anthropic",
    "plotly": "plotly",
}
_NOTHING_FOUND = (
    "The sandbox finds simple mistakes of syntax, misspelt names and divisions by zero only, and none of"
    " them here. "
    "No model was asked: `%llm key openai` (or `anthropic`, `google`) stores a key."
)
_MEANT = re.compile(r"Did you mean: '(\w+)'")
_STRING = re.compile(r"(['\"])((?:(?!\1)[^\\\n])+)\1")
_TYPES: dict[str, type] = {"str": str, "list": list, "dict": dict, "tuple": tuple, "set": set, "int": int}


@dataclass(frozen=True, slots=True)
class _Fault:
    what: str
    wrong: str
    near: str | None
    pattern: str


def _other(wrong: str, names: list[str]) -> str | None:
    return nearest(wrong, (name for name in names if name != wrong))


def _fault(error: str, source: str, around: str) -> _Fault | None:
    """Return which name is wrong; `None` if the error is of another kind."""
    meant = _MEANT.search(error)
    suggested = meant[1] if meant else None
    if found := _NAME.match(error):
        names = [*re.findall(r"\b[A-Za-z_]\w*", source), *dir(builtins)]
        return _Fault("name", found[1], suggested or _other(found[1], names), rf"(?<![\w.]){found[1]}\b")
    if found := _ATTRIBUTE.match(error):
        near = suggested or _other(found[2], _attributes(found[1], source))
        return _Fault("attribute", found[2], near, rf"(?<=\.){found[2]}\b")
    if found := _KEY.match(error):
        keys = [text for _, text in _STRING.findall(f"{source}\n{around}")]
        pattern = rf"(?<=['\"]){re.escape(found[2])}(?=['\"])"
        return _Fault("key", found[2], _other(found[2], keys), pattern)
    return _import_fault(error, suggested)


def _import_fault(error: str, suggested: str | None) -> _Fault | None:
    if found := _IMPORT.match(error):
        near = suggested or _other(found[1], dir(sys.modules.get(found[2])))
        return _Fault("name", found[1], near, rf"\b{found[1]}\b")
    if found := _MODULE.match(error):
        wrong = found[1].split(".")[0]
        near = None if wrong in _PACKAGES else _other(wrong, [*sys.stdlib_module_names, *_PACKAGES])
        return _Fault("module", wrong, near, rf"\b{wrong}\b")
    return None


def _attributes(kind: str, source: str) -> list[str]:
    """Return the attributes of a built-in type; of others, those that the cell uses."""
    return dir(_TYPES[kind]) if kind in _TYPES else re.findall(r"\.([A-Za-z_]\w*)", source)


def repair(ask: Ask) -> str | None:
    r"""Answer `%llm fix` and `%llm explain`.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> cell = "```python\nprin(1)\n```\n\n```\nNameError: name 'prin' is not defined\n```"
        >>> turn = Turn("user", f"This notebook cell failed.\n\n{cell}")
        >>> print(repair(Ask(model="sandbox", turns=(turn,))))
        The name `prin` does not exist; the nearest one is `print`.
        <BLANKLINE>
        ```python
        print(1)
        ```
    """
    text = ask.last_user_text
    fences = [(found[2], found[3]) for found in _FENCE.finditer(text)]
    if not _FAILED.search(text) or not fences:
        return None
    source = fences[0][1]
    said = _ERROR.findall(fences[-1][1])
    error = said[-1] if said else "an error that has no message"
    is_explained = bool(_EXPLAINED.search(text))
    done = None if is_explained else _with_other_operands(error, source)
    first, fixed = done or _fixed(error, source, fences[-1][1])
    return first if is_explained else f"{first}\n\n```python\n{fixed}\n```"


def _with_other_operands(error: str, source: str) -> tuple[str, str] | None:
    if error.startswith("ZeroDivisionError"):
        return caught(source)
    return concatenated(source) if error.startswith("TypeError: can only concatenate str") else None


def _fixed(error: str, source: str, around: str) -> tuple[str, str]:
    """Explain the error, and correct the cell if a name is misspelt or its syntax is simply wrong."""
    if error.startswith(("SyntaxError", "IndentationError", "TabError")) and (done := corrected(source)):
        return done
    fault = _fault(error, source, around)
    if fault is None or fault.near is None:
        return _explained(error, fault), source
    near = fault.near
    first = f"The {fault.what} `{fault.wrong}` does not exist; the nearest one is `{near}`."
    # A function: in a replacement string, a backslash would be an escape.
    return first, re.sub(fault.pattern, lambda _: near, source)


def _explained(error: str, fault: _Fault | None) -> str:
    """Say what an error means that the sandbox cannot correct."""
    said = error.replace("`", "")
    if fault and fault.what == "module":
        package = _PACKAGES.get(fault.wrong, fault.wrong)
        return (
            f"The module `{fault.wrong}` is not installed. Run `%pip install {package}`, then the cell again."
        )
    kind = error.split(":", maxsplit=1)[0].rsplit(".", 1)[-1]
    means = f" {_MEANINGS[kind]}" if kind in _MEANINGS else ""
    return f"The cell raised `{said}`.{means} The sandbox corrects misspelt names and simple syntax only."


def fixed_code(text: str) -> str | None:
    r"""Correct the code of a prompt that asks for it; `None` if it does not, or has no code.

    Example:
        >>> print(fixed_code('Fix this code: pritn("hello")'))
        The name `pritn` does not exist; the nearest one is `print`.
        <BLANKLINE>
        ```python
        print("hello")
        ```
    """
    asked = _FIX_CODE.search(text[:_LONGEST]) or _FIX_THIS.search(text[:_LONGEST])
    if asked is None:
        return None
    fenced = _FENCE.search(text)
    source = fenced[3] if fenced else text[asked.end() :].strip()
    if not fenced and not _IS_CODE.search(source):
        return None
    done = corrected(source) or caught(source) or _misspelt(source)
    return f"{done[0]}\n\n```python\n{done[1]}\n```" if done else _NOTHING_FOUND


def _misspelt(source: str) -> tuple[str, str] | None:
    """Replace a name that is neither defined nor built in, if it is like one that may stand there.

    A fragment uses names that other cells define: only a call is compared with the built-in functions.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    bound, assigned = _bound(tree), _assigned(tree)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name) or node.id in bound or node.id in _BUILT_IN:
            continue
        near = nearest(node.id, bound - assigned.get(id(node), set()), cutoff=ALMOST)
        if near is None and id(node) in called:
            near = nearest(node.id, (one for one in _BUILT_IN if one[0] == node.id[0]), cutoff=_CALLED)
        if near:
            said = f"The name `{node.id}` does not exist; the nearest one is `{near}`."
            return said, re.sub(rf"(?<![\w.]){node.id}\b", near, source)
    return None


def _bound(tree: ast.AST) -> set[str]:
    """Return the names that a source defines: variables, arguments, functions, classes, imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
    return names


def _assigned(tree: ast.AST) -> dict[int, set[str]]:
    """Return, by the nodes of a value, the names it is assigned to: `price2 = price` means another name."""
    return {
        id(node): {name for target in one.targets for name in _bound(target)}
        for one in ast.walk(tree)
        if isinstance(one, ast.Assign)
        for node in ast.walk(one.value)
    }

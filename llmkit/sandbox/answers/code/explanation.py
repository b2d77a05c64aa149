"""Says what a piece of Python does, from its syntax tree."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from llmkit.sandbox.answers.code.outcomes import printed
from llmkit.sandbox.answers.wording import capitalised, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_ASKED = re.compile(
    (
        r"\b(?:explain|what (?:does|do|is)|describe|walk me through|understand|document|comment"
        r"|summari[sz]e|go through|review)\b"
    ),
    re.IGNORECASE,
)
_CODE = re.compile(r"```(?:python|py|)\n(.*?)\n?```", re.DOTALL)
_INLINE = re.compile(
    r"(?:explain|what does|what do|describe)[^:\n`]*[:\n]\s*(?:this (?:code|function|line)[: ]*)?(.+)",
    re.IGNORECASE | re.DOTALL,
)
_BEHIND = re.compile(r"\b(?:do|does|mean|print|output|return)\?\s+(.+)", re.IGNORECASE | re.DOTALL)
_TICKED = re.compile(r"`([^`\n]+)`")
_WHOLE = re.compile(r"(?:For each|As long as|If|With) `")
_LONGEST = 20_000
_LINES = 12
_SHOWN = 60


def explained(text: str) -> str | None:
    r"""Explain the Python in a prompt that asks for it; `None` if there is none.

    Example:
        >>> explained("What does this do?\n```python\nx = 1\n```")
        'It sets `x` to `1`.'
    """
    if len(text) > _LONGEST or "failed" in text[:40] or not _ASKED.search(text):
        return None
    tree = next((tree for code in _candidates(text) if (tree := _parsed(code))), None)
    lines = _lines(tree) if tree else []
    if not lines:
        return None
    if tree and (outcome := printed(tree)):
        lines = [*lines[:-1], f"{lines[-1].rstrip('.')}. It prints {joined(outcome)}."]
    if len(lines) == 1:
        return lines[0] if _WHOLE.match(lines[0]) else f"It {lines[0][:1].lower()}{lines[0][1:]}"
    return "Step by step:\n\n" + "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))


def _lines(tree: ast.Module) -> list[str]:
    return [capitalised(f"{line}.") for node in tree.body for line in _statement(node)][:_LINES]


def _candidates(text: str) -> Iterator[str]:
    yield from (found[1] for found in _CODE.finditer(text))
    if "```" not in text:
        yield from (found[1] for found in _TICKED.finditer(text))
        if found := _BEHIND.search(text):
            yield found[1].strip()
        if found := _INLINE.search(text):
            yield found[1].strip().rstrip("?")


def _parsed(code: str) -> ast.Module | None:
    """Return the tree of code that does something; a bare word is none."""
    try:
        tree = ast.parse(code.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    only = tree.body[0].value if len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr) else None
    plain_words = isinstance(
        only,
        (
            ast.Name,
            ast.Constant,
            ast.Tuple,
            ast.Attribute,
            ast.Compare,
            ast.BinOp,
            ast.UnaryOp,
            ast.BoolOp,
            ast.AnnAssign,
        ),
    )
    annotated = isinstance(tree.body[0], ast.AnnAssign) if tree.body else True
    return None if not tree.body or plain_words or annotated else tree


def _statement(node: ast.stmt) -> Iterator[str]:
    said = _STATEMENTS.get(type(node), lambda one: f"runs `{_code(one)}`")(node)
    if said:
        yield said


def _import(node: ast.Import) -> str:
    return f"loads {joined(f'`{one.name}`' for one in node.names)}"


def _import_from(node: ast.ImportFrom) -> str:
    return f"takes {joined(f'`{one.name}`' for one in node.names)} from `{node.module}`"


def _assign(node: ast.Assign) -> str:
    return f"sets {joined(f'`{_code(one)}`' for one in node.targets)} to {_value(node.value)}"


def _augmented(node: ast.AugAssign) -> str:
    return f"changes `{_code(node.target)}` by `{_sign(node.op)} {_code(node.value)}`"


def _annotated(node: ast.AnnAssign) -> str:
    return f"sets `{_code(node.target)}` to {_value(node.value)}" if node.value else ""


def _for(node: ast.For) -> str:
    return f"for each `{_code(node.target)}` in `{_code(node.iter)}`, it {_body(node.body)}"


def _while(node: ast.While) -> str:
    return f"as long as `{_code(node.test)}` holds, it {_body(node.body)}"


def _if(node: ast.If) -> str:
    rest = f"; otherwise it {_body(node.orelse)}" if node.orelse else ""
    return f"if `{_code(node.test)}`, it {_body(node.body)}{rest}"


def _return(node: ast.Return) -> str:
    return f"returns {_value(node.value)}" if node.value else "ends the function"


def _try(node: ast.Try) -> str:
    kinds = [f"`{_code(one.type)}`" if one.type else "any error" for one in node.handlers]
    return f"tries this: it {_body(node.body)}; and handles {joined(kinds) if kinds else 'errors'}"


def _with(node: ast.With) -> str:
    return f"with `{_code(node.items[0].context_expr)}` open, it {_body(node.body)}"


def _expression(node: ast.Expr) -> str:
    value = node.value
    return "" if isinstance(value, ast.Constant) and isinstance(value.value, str) else _effect(value)


def _raise(node: ast.Raise) -> str:
    return f"raises `{_code(node.exc)}`" if node.exc else "raises the error again"


def _code(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _sign(node: ast.operator) -> str:
    return {"Add": "+", "Sub": "-", "Mult": "*", "Div": "/"}.get(type(node).__name__, "…")


def _body(body: Iterable[ast.stmt]) -> str:
    said = [line for one in body for line in _statement(one)]
    return "; then ".join(said[:3]) or "does nothing"


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    taken = [
        one.arg
        for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if one.arg not in {"self", "cls"}
    ]
    given = f" of {joined(f'`{name}`' for name in taken)}" if taken else ""
    said = (ast.get_docstring(node) or "").strip().split("\n")[0].rstrip(".")
    if said:
        return f"defines the function `{node.name}`{given}: {said[:1].lower()}{said[1:]}"
    again = any(
        isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == node.name
        for one in ast.walk(node)
    )
    calls = ", and calls itself" if again else ""
    return f"defines the function `{node.name}`{given}, which {_body(node.body)}{calls}"


def _class(node: ast.ClassDef) -> str:
    methods = [
        one.name
        for one in node.body
        if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)) and one.name != "__init__"
    ]
    fields = [_code(one.target) for one in node.body if isinstance(one, ast.AnnAssign)]
    parts = [f"the methods {joined(f'`{name}`' for name in methods)}"] if methods else []
    parts += [f"the fields {joined(f'`{name}`' for name in fields)}"] if fields else []
    return f"defines the class `{node.name}`" + (f" with {joined(parts)}" if parts else "")


def _value(node: ast.expr) -> str:
    match node:
        case ast.ListComp(elt=item, generators=[only]):
            return _comprehension("a list", item, only)
        case ast.DictComp(key=key, generators=[only]):
            return _comprehension("a dictionary with the key", key, only)
        case ast.Lambda():
            return f"a small function, `{_code(node)}`"
        case ast.Call():
            return f"the result of `{_code(node)}`{_known(node)}"
    return f"`{_code(node)}`"


def _comprehension(what: str, item: ast.expr, only: ast.comprehension) -> str:
    test = f", if `{_code(only.ifs[0])}`" if only.ifs else ""
    return f"{what} of `{_code(item)}` for each `{_code(only.target)}` in `{_code(only.iter)}`{test}"


_KNOWN = {
    "read_csv": "reads a CSV file into a table",
    "groupby": "groups the rows",
    "merge": "joins two tables",
    "sorted": "sorts",
    "sum": "adds up",
    "mean": "takes the mean",
    "len": "counts",
    "open": "opens a file",
    "range": "counts through numbers",
    "plot": "draws a chart",
    "head": "takes the first rows",
    "dropna": "drops rows with missing values",
    "enumerate": "numbers the items",
    "zip": "goes through several at once",
    "sort_values": "sorts the rows",
    "value_counts": "counts each value",
    "hist": "draws a histogram",
    "max": "takes the largest",
    "min": "takes the smallest",
    "describe": "summarises the columns",
    "fillna": "fills missing values",
}


def _known(node: ast.Call) -> str:
    """Say what well-known calls in an expression do."""
    names = [
        one.func.attr if isinstance(one.func, ast.Attribute) else getattr(one.func, "id", "")
        for one in ast.walk(node)
        if isinstance(one, ast.Call)
    ]
    said = [_KNOWN[name] for name in reversed(names) if name in _KNOWN]
    return f", which {joined(dict.fromkeys(said))}" if said else ""


def _effect(value: ast.expr) -> str:
    match value:
        case ast.Call(func=ast.Name(id="print"), args=args):
            return f"prints {joined(map(_value, args))}" if args else "prints an empty line"
        case ast.Call():
            return f"calls `{_code(value)}`{_known(value)}"
        case ast.Await(value=inner):
            return f"waits for `{_code(inner)}`"
    return f"shows {_value(value)}"


_STATEMENTS: dict[type[ast.stmt], Callable[[Any], str]] = {
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.ClassDef: _class,
    ast.Assign: _assign,
    ast.AugAssign: _augmented,
    ast.AnnAssign: _annotated,
    ast.For: _for,
    ast.While: _while,
    ast.If: _if,
    ast.Return: _return,
    ast.Try: _try,
    ast.With: _with,
    ast.Expr: _expression,
    ast.Raise: _raise,
    ast.Pass: lambda _: "does nothing",
    ast.Break: lambda _: "ends the loop",
    ast.Continue: lambda _: "goes on with the next round",
}

"""`df.llm`: the verbs as methods of pandas, polars and Dask frames."""

from __future__ import annotations

import inspect
import re
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmkit.core.late_import import when_loaded

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "llm"


class _Method:
    """A verb as a method; its module is loaded at its first use."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @cached_property
    def _function(self) -> Callable[..., Any]:
        verb = getattr(import_module("llmkit.frames"), self._name)

        def method(accessor: FrameAccessor, *args: Any, **options: Any) -> Any:
            return verb(accessor.frame, *args, **options)

        signature = inspect.signature(verb)
        first, *others = signature.parameters.values()
        method.__signature__ = signature.replace(parameters=[first.replace(name="self"), *others])  # type: ignore[attr-defined]  # as inspect reads it
        method.__doc__, method.__name__ = _of_method(verb.__doc__, self._name), self._name
        return method

    def __get__(self, accessor: FrameAccessor | None, owner: type) -> Any:
        return self._function if accessor is None else self._function.__get__(accessor, owner)


def _of_method(text: str, verb: str) -> str:
    """Return the docstring of a verb as that of a method: the frame stands before it."""
    text = re.sub(r"^ *frame: .*\n", "", text, count=1, flags=re.MULTILINE)
    return re.sub(rf"(?:llmkit\.frames\.)?\b{verb}\((\w+), ", rf"\1.{NAME}.{verb}(", text)


class FrameAccessor:
    """Asks a model the same of every row of a frame.

    `map` asks for a text, `extract` for fields, `classify` for labels, `score` for a level and `decide` for
    several answers; `filter` keeps the rows for which a condition holds. `amap` and so on are for `await`.
    `df.llm.map?` shows the options: `dry_run=True` says what a verb would cost, `limit=20` asks 20 rows.

    Args:
        frame: The frame.

    Example:
        >>> import pandas as pd
        >>> rivers = pd.DataFrame({"river": ["Rhine"]})
        >>> FrameAccessor(rivers).map("repeat exactly: {{river}}", model="sandbox", progress=False)["llm"][0]
        'Rhine'
    """

    def __init__(self, frame: Any) -> None:
        self.frame = frame

    def __repr__(self) -> str:
        verbs = ", ".join(name for name, one in vars(type(self)).items() if isinstance(one, _Method))
        # The rows of a Dask frame are only counted by computing it.
        size = getattr(self.frame, "npartitions", None)
        rows = f"{len(self.frame):,} rows" if size is None else f"{size:,} partitions"
        return f"<llmkit on {rows}: {verbs}>"

    map = _Method()
    amap = _Method()
    extract = _Method()
    aextract = _Method()
    classify = _Method()
    aclassify = _Method()
    filter = _Method()
    afilter = _Method()
    score = _Method()
    ascore = _Method()
    decide = _Method()
    adecide = _Method()


def register() -> None:
    """Register `df.llm` for pandas, polars and Dask, as soon as they are loaded; none is loaded for it."""
    when_loaded("pandas", _for_pandas)
    when_loaded("polars", _for_polars)
    when_loaded("dask.dataframe", _for_dask)


def _for_pandas() -> None:
    import pandas as pd

    if not hasattr(pd.DataFrame, NAME):
        pd.api.extensions.register_dataframe_accessor(NAME)(FrameAccessor)


def _for_polars() -> None:
    import polars as pl

    if not hasattr(pl.DataFrame, NAME):
        pl.api.register_dataframe_namespace(NAME)(FrameAccessor)


def _for_dask() -> None:
    import dask.dataframe as dd
    from dask.dataframe.extensions import register_dataframe_accessor

    if not hasattr(dd.DataFrame, NAME):
        register: Any = register_dataframe_accessor  # it has no types
        register(NAME)(FrameAccessor)

"""What differs between the releases that llmkit runs on; no other module tests for a version.

It imports none of these packages: it looks at what its callers have loaded.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType, ModuleType

FRAME_LOCALS_CAN_BE_SET = sys.version_info >= (3, 13)
"""Whether the locals of a running function can be set from outside (PEP 667)."""

DECORATOR_FILE = "<decorator-gen-"
"""How decorator before release 5 names the file of a function that it generates, which is in no module."""


def is_top_level(code: CodeType) -> bool:
    """Return whether code is a whole cell or module; IPython 7 names a cell's `<cell line: 1>`."""
    return code.co_name.startswith(("<module>", "<cell line: "))


def copies_lazily(pandas: ModuleType) -> bool:
    """Return whether what is written into a shallow copy stays out of the original: since pandas 3."""
    return int(pandas.__version__.partition(".")[0]) >= 3


def http_library(sdk: ModuleType) -> Any:
    """Return the HTTP library of OpenAI's or Anthropic's SDK: httpx2, or httpx in former releases."""
    # Both libraries may be loaded; the SDK's `Timeout` tells which one it uses.
    return next(http for http in _http_libraries() if http.Timeout is sdk.Timeout)


def http_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of the HTTP libraries; a user's client may have another than its SDK."""
    return tuple(error for http in _http_libraries() for error in (http.HTTPError, http.StreamError))


def _http_libraries() -> list[ModuleType]:
    # A library that is not imported has raised nothing.
    return [sys.modules[name] for name in ("httpx2", "httpx") if name in sys.modules]

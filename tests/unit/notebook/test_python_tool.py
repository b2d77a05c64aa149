"""What the tool `python` tells a model of an error."""

from __future__ import annotations

import pytest

from llmkit.notebook.tools.python_tool import run_code
from tests.support.shells import opened

ERRORS = {
    "in the code": ("x = 1\n1 / 0", "ZeroDivisionError: division by zero (line 2)"),
    "in a function of the code": (
        "def f():\n    1 / 0\n\nf()",
        "ZeroDivisionError: division by zero (line 4)",
    ),
    "in a library": ("import json\n\njson.loads('')", "(line 3)"),
    "in a module's own code": ("import broken_module", "ZeroDivisionError: division by zero (line 1)"),
    "of the grammar": ("x = 1\nx = = 2", "(line 2)"),
}


@pytest.mark.parametrize(("code", "end"), ERRORS.values(), ids=ERRORS)
def test_an_error_names_the_line_of_the_code(code, end, tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("x = 1\n\n\n1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with opened() as session:
        assert run_code(session.shell, code).endswith(end)

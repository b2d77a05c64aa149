"""The types that users see are those that `public_types.py` names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.full
@pytest.mark.timeout(600)
def test_mypy_knows_the_types_of_the_public_names(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is among the dev requirements; the types step of CI runs it too")
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path), "tests/typing/public_types.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

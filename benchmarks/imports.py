"""`imports`: CPU of `import llmkit` and of `%load_ext llmkit`, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from statistics import median

from measure import Row

_IPYTHON = ["-m", "IPython", "--quick", "--no-banner", "--HistoryManager.enabled=False", "-c"]
_CASES = {
    "import llmkit": (["-c", "pass"], ["-c", "import llmkit"], "bare Python", 50),
    "%load_ext llmkit": ([*_IPYTHON, "pass"], [*_IPYTHON, "%load_ext llmkit"], "bare IPython", 150),
}


def imports(*, quick: bool) -> list[Row]:
    """Run with and without llmkit in turn, and compare the medians of what the processes used."""
    rows = []
    for case, (bare, loaded, base, goal) in _CASES.items():
        pairs = [(_cpu(bare), _cpu(loaded)) for _ in range(11 if quick else 31)][1:]
        extra = median(b - a for a, b in pairs)
        whole = median(a for a, _ in pairs)
        rows += [
            Row(benchmark="imports", case=case, name=f"over {base}", value=extra * 1e3, unit="ms", goal=goal),
            Row(benchmark="imports", case=case, name=base, value=whole * 1e3, unit="ms"),
        ]
    return rows


def _cpu(arguments: list[str]) -> float:
    """Return the CPU seconds of one Python process."""
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [sys.executable, *arguments], env=os.environ | {"IPYTHONDIR": home}, stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return usage.ru_utime + usage.ru_stime

"""Fills the `console` blocks of a page with what its commands print: `python …/console.py PAGE`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)


def main(page: Path) -> None:
    """Run the commands of a page in order, with a ledger of their own and the sandbox."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"HOME": folder, "LLMKIT_LEDGER": "ledger.sqlite", "LLMKIT_SANDBOX": "1"}
        shell = f'llmkit() {{ {sys.executable} -m llmkit "$@"; }}\n'

        def filled(block: re.Match[str]) -> str:
            lines = [line for line in block[1].splitlines() if line.startswith("$ ")]
            printed = []
            for line in lines:
                done = subprocess.run(  # noqa: S603 - the commands of our own pages
                    ["/bin/bash", "-c", shell + line.removeprefix("$ ")],
                    env=os.environ | own, cwd=folder, stdin=subprocess.DEVNULL,
                    capture_output=True, text=True, check=False,
                )  # fmt: skip
                printed.append(f"{line}\n{done.stdout}{done.stderr}")
            return f"```console\n{''.join(printed)}```"

        page.write_text(BLOCK.sub(filled, page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""What the scripts beside it share: fresh environments, and commands that run without a network."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INSIDE = ROOT / ".ci" / "inside.py"
KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "PYENV_VERSION")
BEGUN = time.monotonic()


def copy_repository(target: Path) -> Path:
    """Copy what git has, or would have after `git add`: nothing else reaches Binder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def environment(folder: Path, python: str) -> Path:
    run(python, "-m", "venv", folder)
    return folder / "bin"


def surroundings(work: Path, tools: Path) -> dict[str, str]:
    """Return the variables of a machine that knows nothing of its user: no key, no setting, its own home."""
    home = work / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "HOME": str(home), "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}


def cut_off(work: Path, own: dict[str, str]) -> list[str]:
    """Return the command that runs another one without a network, by the kernel's means or by Python's."""
    command = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare"):
        tried = subprocess.run([*command, "true"], check=False, capture_output=True)
        if tried.returncode == 0:
            return command
    print("   (no network namespace to be had: Python's sockets are blocked instead)")
    site = work / "site"
    site.mkdir()
    shutil.copy(INSIDE, site / "sitecustomize.py")
    own["PYTHONPATH"] = str(site)
    return []


def fingerprints(folder: Path) -> set[tuple[str, str]]:
    return {
        (str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*")
        if path.is_file()
    }


def run(*command: object, quiet: bool = False, **options: object) -> str:
    """Run a command to its good end; return what it said if it is quiet."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        check=False,
        text=True,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        **options,
    )
    if done.returncode:
        sys.exit(f"{Path(words[0]).name} failed with {done.returncode}.\n{(done.stdout or '')[-4000:]}")
    return done.stdout or ""


def step(text: str) -> None:
    print(f"{time.monotonic() - BEGUN:5.0f} s  {text}", flush=True)

"""Run where there is no network: `inside.py FOLDER [NAME...]`, all notebooks of the folder or those named.

It proves that there is no network, opens the quickstart in JupyterLab, and runs the notebooks.
As `sitecustomize` it only blocks the sockets of the process, for machines that cannot cut the network off.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import secrets
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

OUTSIDE = ("192.0.2.1", 80)  # an address that is kept for documentation (RFC 5737)
SECONDS = 60  # for the longest notebook
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "LLM")


def block(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what would leave this machine; an audit hook."""
    if event == "socket.connect":
        host = arguments[1][0] if isinstance(arguments[1], tuple) else None
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host in (None, "", "localhost"):
        return
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(str(host)).is_loopback:
            return
    raise OSError(f"no network here: {host}")


def raise_loopback() -> None:
    """Switch 127.0.0.1 on, which a new network namespace has switched off; elsewhere it is on."""
    if sys.platform != "linux":
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(one, SIOCGIFFLAGS, request), 16)
        if not flags & IFF_UP:
            fcntl.ioctl(one, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def prove_offline() -> None:
    """End the process unless the world is out of reach, and this machine is not."""
    for name, attempt in {
        "connect": lambda: socket.create_connection(OUTSIDE, timeout=5),
        "look up a name": lambda: socket.getaddrinfo("example.org", 443),
    }.items():
        begun = time.monotonic()
        try:
            attempt()
        except OSError as error:
            if isinstance(error, TimeoutError) or time.monotonic() - begun > 4:
                sys.exit(f"The network is slow, not cut off: {name}: {error!r}")
        else:
            sys.exit(f"The network is not cut off: it could {name}.")
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
    if found := [name for name in os.environ if any(word in name for word in SECRET_WORDS)]:
        sys.exit(f"The environment may hold keys or settings: {found}")


def open_quickstart(folder: Path) -> None:
    """Serve the folder as Binder and README's first command do, and fetch what they open."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    password = secrets.token_hex()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    options = [f"--ServerApp.port={port}", f"--IdentityProvider.token={password}"]
    with subprocess.Popen([*command, *options], cwd=folder, stderr=subprocess.DEVNULL) as server:
        try:
            for page in ("lab/tree", "api/contents"):
                fetch(f"http://127.0.0.1:{port}/{page}/notebooks/quickstart.ipynb?token={password}")
        finally:
            server.terminate()


def fetch(url: str) -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except OSError as error:
            refused = isinstance(getattr(error, "reason", None), ConnectionRefusedError)
            if not refused or time.monotonic() > end:
                raise
            time.sleep(0.1)


def run_notebook(path: Path) -> str | None:
    """Run one notebook; return what was wrong."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(path, 4)
    client = NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(path.parent)}})
    try:
        client.execute()
    except CellExecutionError as error:
        return str(error)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    warned = "".join(output.text for output in outputs if output.get("name") == "stderr")
    return warned or None


def main(folder: Path, *names: str) -> int:
    raise_loopback()
    prove_offline()
    open_quickstart(folder)
    troubles = 0
    for path in sorted((folder / "notebooks").glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        begun = time.monotonic()
        problem = run_notebook(path)
        troubles += problem is not None
        print(f"   {path.stem:<16} {time.monotonic() - begun:5.1f} s  {problem or 'ok'}", flush=True)
    return troubles


if __name__ == "sitecustomize":
    sys.addaudithook(block)
elif __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))

"""A copy of the ledger's rows in columns beside its file, which loads faster than rows.

It is a cache: missing, damaged or foreign parts are read from the ledger.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import zipfile
import zlib
from typing import TYPE_CHECKING

from llmkit.costs.frame import columns
from llmkit.costs.store.rows import COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

    from llmkit.costs.frame.columns import Chunk

FORMAT = [*COLUMNS, "nano-dollars"]
"""Identifies the format of a file; files of the first format, with float dollars, are ignored."""

BROKEN = (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error)


class Snapshot:
    """A chain of files with columns; each has the rows after those of the previous file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, epoch: str, after: int) -> tuple[int, Chunk] | None:
        """Return the `id` of the last row and the rows after a row."""
        if not self._ours():
            return None
        try:
            chunk, notes = columns.loads(self._file(epoch, after).read_bytes())
            return (int(notes["last"]), chunk) if notes.get("columns") == FORMAT else None
        except BROKEN:
            return None

    def save(self, epoch: str, after: int, last: int, chunk: Chunk) -> None:
        """Store the rows after a row; write errors are ignored."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if not self._ours():
                return
            file = self._file(epoch, after)
            part = file.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as stream:
                stream.write(chunk.dumps(last=last, columns=FORMAT))
            part.replace(file)  # atomic: another process may write or read the same file
            if not after:
                self._tidy(epoch)

    def clear(self) -> None:
        """Delete the snapshot."""
        if self._ours():
            shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, epoch: str, after: int) -> Path:
        return self._folder / f"{epoch}-{after}.npz"

    def _tidy(self, epoch: str) -> None:
        for file in self._folder.glob("*.npz"):
            if not file.name.startswith(f"{epoch}-"):
                file.unlink(missing_ok=True)

    def _ours(self) -> bool:
        """Return whether no other user can write to the folder."""
        try:
            status = os.lstat(self._folder)
        except OSError:
            return False
        if not stat.S_ISDIR(status.st_mode):
            return False
        return not hasattr(os, "geteuid") or (
            status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        )

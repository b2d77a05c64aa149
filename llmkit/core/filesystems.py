"""Whether a file is on a network drive, where a write-ahead log may lose rows, and whether locks work."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

NETWORK = frozenset(
    {
        *(
            "9p",
            "afpfs",
            "afs",
            "beegfs",
            "ceph",
            "cifs",
            "coda",
            "davfs",
            "gfs2",
            "glusterfs",
            "gpfs",
            "lustre",
        ),
        *("ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf"),
        *("virtiofs", "vmhgfs", "webdav", "wekafs"),
    }
)
"""Types that several machines may share, or whose memory maps are not shared with the host."""

LOCAL_FUSE = frozenset({"fuse.encfs", "fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.ntfs-3g", "fuseblk"})
"""FUSE types on a local disk; any other may be remote (`fuse.drive`, `fuse.sshfs`, `fuse.s3fs`)."""

MOUNTS = Path("/proc/self/mountinfo")
"""Linux's table of mounts; see proc(5)."""

REMOTE_DRIVE = 4
"""Result of Windows' GetDriveTypeW for a network drive."""

_LOCK_PROBE = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        sys.exit(0)
sys.exit(1)
"""
"""Succeeds in another process if that sees our lock."""


def network_type(path: Path) -> str | None:
    """Return the type of the file system that a file is on, or will be, if it is a network drive.

    `None` also where that cannot be found out.
    """
    real = os.path.realpath(path)
    if sys.platform == "win32":
        return _on_windows(real)
    kind = type_of(real, _mounts())
    return kind if _is_network(kind) else None


def type_of(path: str, mounts: list[tuple[str, str]]) -> str:
    """Return the file system's type of an absolute path; empty if no mount has it.

    Example:
        >>> type_of("/home/me/a", [("/", "ext4"), ("/home", "autofs"), ("/home", "nfs4"), ("/h", "tmpfs")])
        'nfs4'
    """
    holding = [(point, kind) for point, kind in mounts if f"{path}/".startswith(f"{point.rstrip('/')}/")]
    longest = max((len(point) for point, _ in holding), default=0)
    # A later mount at the same point hides the earlier one.
    return next((kind for point, kind in reversed(holding) if len(point) == longest), "")


def mountinfo(text: str) -> list[tuple[str, str]]:
    r"""Return the mount points and types in Linux's table.

    Example:
        >>> mountinfo("36 35 0:40 / /media/my\\040disk rw shared:1 master:2 - nfs4 nas:/x rw")
        [('/media/my disk', 'nfs4')]
    """
    found = []
    for line in text.splitlines():
        # A number of optional fields stands before the hyphen.
        place, hyphen, source = line.partition(" - ")
        fields = place.split(" ")
        if hyphen and len(fields) > 4:
            found.append((_unescaped(fields[4]), source.split(" ")[0]))
    return found


def mount_output(text: str) -> list[tuple[str, str]]:
    """Return the mount points and types that macOS' and BSD's `mount` prints.

    Example:
        >>> mount_output("//me@nas/x on /Volumes/my disk (smbfs, nodev, nosuid)")
        [('/Volumes/my disk', 'smbfs')]
    """
    return [(point, kind) for point, kind in re.findall(r"(?m)^.+? on (/.*) \((\w+)", text)]


def lock_problem(path: Path) -> str:
    """Say why locks do not work in a file's folder, which must exist; empty if they do.

    Takes a lock on a file of its own, and looks whether another process sees it.
    """
    if sys.platform == "win32" or not sys.executable:
        return ""
    import fcntl

    # Not the file itself: closing it would drop the locks that SQLite holds on it.
    probe = path.with_name(f".{path.name}-lock-{os.getpid()}")
    try:
        with probe.open("w+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            command = [sys.executable, "-I", "-S", "-c", _LOCK_PROBE, str(probe)]
            # The child must not inherit the kernel's input.
            seen = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True)  # noqa: S603 - our own code
    except OSError as error:
        return f"locks fail there ({error.strerror or error})"
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return "a lock of one process is not seen by another there" if seen.returncode == 1 else ""


def _mounts() -> list[tuple[str, str]]:
    with contextlib.suppress(OSError):
        return mountinfo(MOUNTS.read_text(errors="surrogateescape"))
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        # A network drive that does not answer must not block the caller.
        printed = subprocess.run(["/sbin/mount"], check=True, capture_output=True, timeout=5)
        return mount_output(os.fsdecode(printed.stdout))
    return []


def _is_network(kind: str) -> bool:
    # Unknown FUSE types count as remote, which is the safe error.
    return kind in NETWORK or ("fuse" in kind and kind not in LOCAL_FUSE)


def _unescaped(text: str) -> str:
    # Linux writes blanks and backslashes in the table as octal codes.
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _on_windows(path: str) -> str | None:
    import ctypes

    drive = os.path.splitdrive(path)[0]
    if drive.startswith(r"\\"):
        return "UNC path"
    windows = getattr(ctypes, "windll").kernel32  # noqa: B009 - unknown to type checkers elsewhere
    return "network drive" if windows.GetDriveTypeW(f"{drive}\\") == REMOTE_DRIVE else None

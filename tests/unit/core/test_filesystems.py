"""Network drives are recognised by the type of their file system, and locks are tried there."""

import sys
from pathlib import Path

import pytest

from llmkit.core import filesystems

TABLE = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
60 27 0:50 / /home rw - autofs auto.home rw
61 60 0:51 / /home rw shared:4 master:1 - nfs4 nas:/home rw
62 61 8:1 / /home/scratch rw - xfs /dev/sdb rw
63 27 0:52 / /content/drive rw,nosuid - fuse.drive drive rw
64 27 0:53 / /media/my\\040disk rw - fuseblk /dev/sdc1 rw
65 27 0:54 / /mnt/c rw - 9p drvfs rw
66 27 0:55 / /run/root rw - fuse.fuse-overlayfs fuse-overlayfs rw
a line that is cut
"""


@pytest.fixture
def table(tmp_path, monkeypatch):
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    monkeypatch.setattr(filesystems, "MOUNTS", path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows is asked for the drive")
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/root/.local/share/llmkit/ledger.sqlite", None),
        ("/home/me/ledger.sqlite", "nfs4"),
        ("/homes/me/ledger.sqlite", None),
        ("/home/scratch/ledger.sqlite", None),
        ("/content/drive/MyDrive/llmkit/ledger.sqlite3", "fuse.drive"),
        ("/content/ledger.sqlite", None),
        ("/media/my disk/ledger.sqlite", None),
        ("/mnt/c/Users/me/ledger.sqlite", "9p"),
        ("/run/root/ledger.sqlite", None),
    ],
)
def test_the_mount_that_holds_a_file_decides(table, path, kind):
    assert filesystems.network_type(Path(path)) == kind


def test_a_link_is_followed(table, tmp_path):
    link = tmp_path / "ledger.sqlite"
    link.symlink_to("/content/drive/MyDrive/ledger.sqlite")
    assert filesystems.network_type(link) == "fuse.drive"


def test_the_output_of_mount_on_a_mac_is_read():
    text = (
        "/dev/disk3s1 on / (apfs, sealed, local)\n"
        "//me@nas/x on /Volumes/x (smbfs, nodev)\nnas:/y on /Volumes/a (b) c (nfs, nodev)\n"
    )
    mounts = filesystems.mount_output(text)
    assert filesystems.type_of("/Volumes/x/a", mounts) == "smbfs"
    assert filesystems.type_of("/Volumes/a (b) c/a", mounts) == "nfs"
    assert filesystems.type_of("/Users/me", mounts) == "apfs"


def test_this_machine_has_a_table_of_mounts():
    assert filesystems.type_of("/", filesystems._mounts())


def test_locks_work_on_a_local_disk_and_nothing_is_left(tmp_path):
    assert filesystems.lock_problem(tmp_path / "ledger.sqlite") == ""
    assert list(tmp_path.iterdir()) == []


def test_locks_that_do_nothing_are_found_out(tmp_path, monkeypatch):
    import fcntl

    monkeypatch.setattr(fcntl, "lockf", lambda file, how: None)
    assert "not seen by another" in filesystems.lock_problem(tmp_path / "ledger.sqlite")


def test_locks_that_fail_are_found_out(tmp_path, monkeypatch):
    import fcntl

    def refuse(file, how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    assert filesystems.lock_problem(tmp_path / "ledger.sqlite") == "locks fail there (No locks available)"
    assert list(tmp_path.iterdir()) == []

"""Hosted runtimes are recognised by what they document, and whether a file outlives the machine."""

from pathlib import Path

import pytest

from llmkit.core import filesystems, runtimes

HOME = Path("/root/.local/share/llmkit/ledger.sqlite")


@pytest.fixture(autouse=True)
def _local(monkeypatch, tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text(
        "27 1 254:0 / / rw - ext4 /dev/vda rw\n63 27 0:52 / /content/drive rw - fuse.drive drive rw\n"
    )
    monkeypatch.setattr(filesystems, "MOUNTS", table)


@pytest.mark.parametrize(
    ("variable", "name", "way_out"),
    [
        ("COLAB_RELEASE_TAG", "Colab", "LLMKIT_LEDGER=/content/drive/MyDrive/llmkit/ledger.sqlite3"),
        ("KAGGLE_KERNEL_RUN_TYPE", "Kaggle", "LLMKIT_LEDGER=/kaggle/working/ledger.sqlite3"),
        ("BINDER_SERVICE_HOST", "Binder", "Download the file"),
        ("BINDER_LAUNCH_HOST", "Binder", "Download the file"),
    ],
)
def test_a_home_that_vanishes_is_told_of_with_the_way_out(variable, name, way_out, monkeypatch):
    assert runtimes.current() is None
    assert runtimes.loss_of(HOME) == ""
    monkeypatch.setenv(variable, "1")
    said = runtimes.loss_of(HOME)
    assert said.startswith(f"The ledger {HOME} is deleted with this {name} machine. ")
    assert way_out in said
    assert "\n" not in said


def test_kaggle_is_not_taken_for_colab_whose_image_it_is_built_on(monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "1")
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    assert runtimes.current() is runtimes.KAGGLE


@pytest.mark.parametrize(
    ("variable", "path"),
    [
        ("COLAB_RELEASE_TAG", "/content/drive/MyDrive/llmkit/ledger.sqlite3"),
        ("KAGGLE_KERNEL_RUN_TYPE", "/kaggle/working/ledger.sqlite3"),
    ],
)
def test_what_is_kept_is_not_told_of(variable, path, monkeypatch):
    monkeypatch.setenv(variable, "1")
    assert runtimes.loss_of(Path(path)) == ""

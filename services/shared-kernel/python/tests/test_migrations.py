import pytest
from vital_ops_kernel.migrations import migration_versions, missing_versions


def test_versions_come_from_both_folders_in_order(tmp_path):
    for name in [
        "applied/0002_b.sql",
        "applied/0002_b.down.sql",
        "applied/checksums",
        "pending/10_c.sql",
        "pending/README.md",
        "repeatable/9_view.sql",
    ]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert migration_versions(tmp_path) == ["0002", "10"]


def test_a_missing_folder_is_an_error_and_a_missing_subfolder_is_not(tmp_path):
    assert migration_versions(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        migration_versions(tmp_path / "gone")


def test_newer_ones_in_the_database_do_not_matter():
    assert missing_versions(["0001", "2"], ["1", "2", "3"]) == []
    assert missing_versions(["1", "2"], ["1"]) == ["2"]

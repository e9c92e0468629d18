"""A file is complete or not there, and what was there before stays until the new one is."""

import pytest

from missrec_pl.system.files import whole_file


@pytest.mark.parametrize("options", [{}, {"several_writers": True}, {"to_disk": True}])
def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path, options):
    target = tmp_path / "new" / "results.json"
    with whole_file(target, **options) as part:
        part.write_text("first")
        assert not target.exists()
    with pytest.raises(RuntimeError, match="stop"), whole_file(target, **options) as part:  # noqa: PT012
        part.write_text("half of the sec")
        raise RuntimeError("stop")
    assert target.read_text() == "first"
    with whole_file(target, **options) as part:
        part.write_text("second")
        assert target.read_text() == "first"
    assert target.read_text() == "second"
    assert [path.name for path in target.parent.iterdir()] == ["results.json"]


def test_several_writers_have_a_part_each_and_the_last_one_stays(tmp_path):
    target = tmp_path / "failures.csv"
    with whole_file(target, several_writers=True) as one, whole_file(target, several_writers=True) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one"


def test_one_writer_writes_over_what_a_killed_one_left(tmp_path):
    target = tmp_path / "last.ckpt"
    (tmp_path / ".last.ckpt.part").write_text("left by a killed process")
    with whole_file(target) as part:
        part.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert target.read_text() == "whole"


def test_a_failure_to_write_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"Not a directory|File exists"), whole_file(tmp_path / "file" / "below"):
        pass

"""``model=missrec_compat`` against the authors' program, every array of every file."""

import pytest
from golden_files import assert_same, files
from golden_scene import Scene

FILES = files("model_*.npz")
STAGES = ("pretrain", "inductive_ft", "transductive_ft")


def test_there_are_files_of_every_stage():
    for stage in STAGES:
        assert [path for path in FILES if path.name.startswith(f"model_{stage}_")], stage


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_array_of_the_file(path, memory_domain):
    scene = Scene(path, memory_domain)
    found = scene.step()
    expected = {name: array for name, array in scene.golden.items() if not name.startswith("meta.")}
    assert expected.keys() <= found.keys()
    for name, array in expected.items():
        assert_same(name, found[name], array)

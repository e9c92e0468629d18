"""Files that try to run something, or to fill the memory, when they are read."""

import functools
import importlib
import io
import os
import pickle
import struct
import subprocess
import tarfile
import zipfile

import pytest
import torch
from forked import run_forked
from released_files import GOLDEN, save_released
from runs import CONFIGS

from missrec_pl.prepare.__main__ import main


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Builds(Calls):
    """Pickles as a call whose result is given a state."""

    def __reduce__(self):
        return (*self.call, {"__setstate__": os.system, "final_config_dict": {}})


def attacks(marker):
    """Objects that would make the marker file, and what of them the refusal has to name."""
    touch = f"touch {marker}"
    return {
        "system": (Calls(os.system, touch), "posix.system"),
        "eval": (Calls(eval, f"open({str(marker)!r}, 'w')"), "__builtin__.eval"),
        "partial": (Calls(functools.partial, os.system, touch), "functools.partial"),
        "getattr": (Calls(getattr, Calls(importlib.import_module, "os"), "system"), "__builtin__.getattr"),
        "popen": (
            Calls(subprocess.Popen, touch, -1, None, None, None, None, None, True, True),
            ".Popen",  # under its name in Python 2
        ),
        "build": (Builds(functools.partial, os.system, touch), "functools.partial"),
        "module": (Builds(torch.nn.Identity), "torch.nn.modules.linear.Identity"),
        "torch": (Calls(torch.load, str(marker)), "torch.serialization.load"),
        "numpy": (
            Calls(torch._utils._rebuild_device_tensor_from_numpy, [1], torch.float32, "cpu", False),
            "_numpy",
        ),
    }


NAMES = list(attacks("x"))


def zipped(path, data, *, method=zipfile.ZIP_STORED, **entries):
    """An archive with a hand-made pickle."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in {"data.pkl": data, "version": b"3\n", "byteorder": b"little", **entries}.items():
            archive.writestr(f"archive/{name}", content)
    return path


def refused(path, tmp_path, capsys, *parts):
    """Importing ends with one line and nothing else."""
    before = sorted(tmp_path.rglob("*"))
    code = main(["import-checkpoint", str(path), str(tmp_path / "out" / "x.ckpt"), "--configs", str(CONFIGS)])
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert len(printed.err) < 600
    assert printed.err[:-1].isprintable()
    for part in (str(path), *parts):
        assert part in printed.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["whole", "config", "optimizer"])
def test_calls_in_an_archive(name, place, tmp_path, capsys):
    attack, named = attacks(tmp_path / "marker")[name]
    path = tmp_path / "hostile.pth"
    if place == "whole":
        torch.save(attack, path)
    elif place == "config":
        save_released(path, config={"topk": [{"deep": [attack]}]})
    else:
        save_released(path, optimizer={"state": {0: attack}})
    refused(path, tmp_path, capsys, "is refused: it names", named)


@pytest.mark.parametrize("name", NAMES)
def test_calls_in_older_formats(name, tmp_path, capsys):
    attack, _ = attacks(tmp_path / "marker")[name]
    path = tmp_path / "hostile.pth"
    torch.save({"config": attack}, path, _use_new_zipfile_serialization=False)
    refused(path, tmp_path, capsys, "cannot be read", "torch 1.6 or later")
    path.write_bytes(pickle.dumps(attack))
    refused(path, tmp_path, capsys, "cannot be read")
    with tarfile.open(path, "w") as archive:
        for entry in ("storages", "tensors", "pickle"):
            content = pickle.dumps(attack, protocol=2)
            member = tarfile.TarInfo(entry)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    refused(path, tmp_path, capsys, "cannot be read")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(Calls(os.system, "true"), protocol=4), "STACK_GLOBAL"),
        (b"(S'true'\nios\nsystem\n.", "INST"),
        (b"(cconfig\nConfig\nS'true'\no.", "OBJ"),
        (b"\x82\x01.", "EXT1"),
        (b"cconfig\nos.system\nX\x04\x00\x00\x00true\x85R.", "config.os.system"),
        (b"ctorch.os\nsystem\nX\x04\x00\x00\x00true\x85R.", "torch.os.system"),
        (b"c\x1b[31mconfig\nConfig\n.", "names [31mconfig.Config"),
        (b"cconfig\nConfig\n.", "lacks config, state_dict or epoch"),
        (b"cconfig\nConfig\n}X\x0c\x00\x00\x00__setstate__NsbN.", "cannot be read"),  # BUILD of the class itself
        (b"ctorch\nFloatStorage\n)R.", "cannot be read"),
        (b"", "cannot be read"),
        (b"(" * 1000, "cannot be read"),
        (b"N" * (1 << 20) + b"N.", "its pickle has 1,048,578 bytes"),
    ],
)
def test_pickles_made_by_hand(data, message, tmp_path, capsys):
    refused(zipped(tmp_path / "hostile.pth", data), tmp_path, capsys, message)


def test_what_stands_in_for_their_objects_does_nothing(tmp_path, capsys):
    """Not even what has the name of their config, and not the codec that could double a text 60 times."""
    text = b"X\x02\x00\x00\x00ab"
    doubled = b"c_codecs\nencode\nq\x00" * 60 + text + b"X\x03\x00\x00\x00hex\x86R" * 60 + b"."
    refused(zipped(tmp_path / "hostile.pth", doubled), tmp_path, capsys, "lacks config, state_dict or epoch")
    called = b"cconfig\nConfig\n" + b"cnumpy\ndtype\n" + text + b"\x85R\x85R}" + text + b"Nsb."
    refused(zipped(tmp_path / "hostile.pth", called), tmp_path, capsys, "lacks config, state_dict or epoch")


def entry(name, value):
    return b"X" + struct.pack("<I", len(name)) + name + value + b"s"


@pytest.mark.parametrize(
    ("config", "state", "message"),
    [
        (b"cconfig\nConfig\n", b"}", "its config is none"),
        (b"cconfig\nConfig\n)\x81", b"}", "its config is none"),
        (b"cconfig\nConfig\n)\x81}" + entry(b"final_config_dict", b"}") + b"b", b"}", "lacks position_embedding"),
        (
            b"cconfig\nConfig\n)\x81}" + entry(b"final_config_dict", b"}") + b"b",
            b"ccollections\nOrderedDict\n)R}" + entry(b"items", b"cconfig\nConfig\n") + b"b",  # hides the method
            "cannot be read",
        ),
    ],
)
def test_objects_that_are_not_what_they_seem(config, state, message, tmp_path, capsys):
    data = b"}" + entry(b"config", config) + entry(b"epoch", b"K\x01") + entry(b"state_dict", state) + b"."
    refused(zipped(tmp_path / "hostile.pth", data), tmp_path, capsys, message)


@pytest.mark.parametrize("length", [0, 1, 30, 5_000, 200_000, 299_404])
def test_truncated(length, tmp_path, capsys):
    path = tmp_path / "hostile.pth"
    path.write_bytes(GOLDEN.read_bytes()[:length])
    refused(path, tmp_path, capsys, "truncated")


def test_a_flipped_bit_of_a_weight(tmp_path, capsys):
    content, path = bytearray(GOLDEN.read_bytes()), tmp_path / "hostile.pth"
    with zipfile.ZipFile(GOLDEN) as archive:
        start = archive.getinfo("MISSRec-small-10/data/2").header_offset
    content[start + 1000] ^= 1
    path.write_bytes(content)
    refused(path, tmp_path, capsys, "Bad CRC-32")


def test_bombs(tmp_path, capsys):
    path = tmp_path / "hostile.pth"
    for name in ("data.pkl", "data/0"):
        entries = {"data.pkl": b"N.", name: bytes(50 << 20)}
        zipped(path, entries.pop("data.pkl"), method=zipfile.ZIP_DEFLATED, **entries)
        refused(path, tmp_path, capsys, "it is compressed")
    content = bytearray(zipped(path, b"N.", **{"data/0": b"0123"}).read_bytes())
    at = content.rindex(b"archive/data/0") - 46 + 20  # both sizes in the directory of the archive
    content[at : at + 8] = struct.pack("<II", 3 << 30, 3 << 30)
    path.write_bytes(content)
    refused(path, tmp_path, capsys, "claims to hold more than its size")
    with path.open("wb") as file:
        file.truncate(5 << 30)
    refused(path, tmp_path, capsys, "has 5,368,709,120 bytes")


@pytest.mark.parametrize("shape", [(10**12,), (300, 10**9)])
def test_tensors_that_repeat_themselves_without_end(shape, tmp_path, capsys):
    path = save_released(tmp_path / "hostile.pth", state={"LayerNorm.bias": torch.zeros(1).expand(shape)})
    refused(path, tmp_path, capsys, "its tensors are larger than the file")


def test_values_that_hold_themselves_many_times(tmp_path, capsys):
    value = ["x"]
    for _ in range(60):
        value = [value, value]
    path = save_released(tmp_path / "hostile.pth", config={"n_heads": value, "dataset": value})
    refused(path, tmp_path, capsys, "n_heads")


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1], {"config": 1, "epoch": 0, "state_dict": {}}])
def test_other_files_of_torch(content, tmp_path, capsys):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    refused(path, tmp_path, capsys, "is refused", "ddp_pretrain.py saved")


def test_no_file(tmp_path, capsys):
    refused(tmp_path / "none.pth", tmp_path, capsys, "there is no such file")
    refused(tmp_path, tmp_path, capsys, "there is no such file")


@pytest.mark.slow
def test_the_command_line_ends_with_one_line(tmp_path):
    path = tmp_path / "hostile.pth"
    torch.save(attacks(tmp_path / "marker")["system"][0], path)
    run = run_forked("-m", "missrec_pl.prepare", "import-checkpoint", path, tmp_path / "x.ckpt")
    assert run.returncode == 2
    assert run.stderr == f"error: {path} is refused: it names posix.system, which no such checkpoint needs.\n"
    assert [*tmp_path.iterdir()] == [path]

"""Broken and hostile checkpoints."""

import os
import pickle
import zipfile

import torch
from bad_input import case

RECORD = "missrec_pl"


class Harmful:
    """Pickles as a call that leaves a trace."""

    def __reduce__(self):
        return (os.mkdir, ("HARM",))


def rewrite(file, change):
    content = torch.load(file, weights_only=True)
    change(content)
    torch.save(content, file)


@case("checkpoint", "an empty file", "cannot be read", "truncated or no checkpoint")
def empty(file):
    file.write_bytes(b"")


@case("checkpoint", "cut off", "cannot be read", "truncated or no checkpoint")
def cut(file):
    file.write_bytes(file.read_bytes()[:-500])


@case("checkpoint", "its first half", "cannot be read", "truncated or no checkpoint")
def half(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@case("checkpoint", "a text", "cannot be read", "truncated or no checkpoint")
def text(file):
    file.write_text("these are not weights")


@case("checkpoint", "one bit of a weight changed", "cannot be read", "checksum")
def flipped(file):
    with zipfile.ZipFile(file) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        weight = archive.read(largest)
    content = bytearray(file.read_bytes())
    content[content.index(weight) + len(weight) // 2] ^= 1
    file.write_bytes(content)


@case("checkpoint", "a pickle with code in torch's archive", "cannot be read", "it names posix.mkdir")
def code(file):
    torch.save({"state_dict": {}, RECORD: Harmful()}, file)


@case("checkpoint", "a plain pickle with code", "cannot be read", "truncated or no checkpoint")
def plain_code(file):
    file.write_bytes(pickle.dumps(Harmful()))


@case("checkpoint", "an archive that would fill the memory", "cannot be read", "entries are compressed")
def bomb(file):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 50_000_000)


@case("checkpoint", "another program's", "was not written by this project")
def another(file):
    torch.save({"state_dict": {}}, file)


@case("checkpoint", "a list in place of a dictionary", "was not written by this project")
def a_list(file):
    torch.save([1, 2, 3], file)


@case("checkpoint", "its config is a text", "cannot be read", "record")
def config_text(file):
    rewrite(file, lambda content: content[RECORD].update(config="model: huge"))


@case("checkpoint", "its record lacks the config", "cannot be read", "record")
def no_config(file):
    rewrite(file, lambda content: content[RECORD].pop("config"))


@case("checkpoint", "of a newer version of this project", "schema version 99", "update missrec-pl")
def newer(file):
    rewrite(file, lambda content: content[RECORD].update(schema_version=99))


@case("checkpoint", "its version is a text", "cannot be read", "record")
def version_text(file):
    rewrite(file, lambda content: content[RECORD].update(schema_version="two"))


@case("checkpoint", "weights that hold NaN", "position_embedding.weight", "NaN")
def nan(file):
    rewrite(file, lambda content: content["state_dict"]["model.position_embedding.weight"].fill_(float("nan")))


@case("checkpoint", "a weight of another shape", "does not fit this model", "position_embedding.weight")
def shape(file):
    rewrite(
        file, lambda content: content["state_dict"].update({"model.position_embedding.weight": torch.zeros(3, 3)})
    )


@case("checkpoint", "a weight that is a text", "cannot be read", "position_embedding.weight")
def weight_text(file):
    rewrite(file, lambda content: content["state_dict"].update({"model.position_embedding.weight": "heavy"}))


@case("checkpoint", "a folder", "there is no such file")
def folder(file):
    file.unlink()
    file.mkdir()


@case("checkpoint", "a link to itself", "there is no such file")
def loop(file):
    file.unlink()
    file.symlink_to(file.name)


@case("released checkpoint", "an archive that would fill the memory", "last.ckpt")
def pth_bomb(file):
    bomb(file)


@case("released checkpoint", "a pickle with code", "last.ckpt", "mkdir")
def pth_code(file):
    torch.save({"state_dict": Harmful()}, file)


@case("released checkpoint", "cut off", "last.ckpt")
def pth_cut(file):
    cut(file)

"""Reading the authors' checkpoints without running anything that is in them.

Their files are pickles of objects of their own program. Nothing of it is imported, and nothing that a file names
is called: the file is copied into a plain archive in memory, an inert stand-in replaces whatever belongs to their
program, and ``torch.load(weights_only=True)`` reads the result, which may name the few globals below (fewer than
torch itself allows) and no other.
"""

from __future__ import annotations

import io
import pickletools
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from missrec_pl.errors import CheckpointError

# What rebuilds tensors and the dictionary around them.
_REBUILT = {"collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch.device", "torch.Size"} | {
    f"torch.{kind}Storage"
    for kind in ("Float", "Double", "Half", "BFloat16", "Byte", "Char", "Short", "Int", "Long", "Bool")
}
# What else the authors' program pickles: its config, and the scores that fine-tuning keeps beside the weights.
_STOOD_IN_FOR = {
    "config.Config",
    "recbole.config.configurator.Config",
    "missrec.MISSRec",
    *(f"recbole.utils.enum_type.{kind}Type" for kind in ("Model", "Input", "Evaluator")),
    *(f"yaml.{module}.FullLoader" for module in ("loader", "cyaml")),
    *(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")),
    "numpy.dtype",
    "_codecs.encode",
}
# Opcodes that look up or call something without naming it in a GLOBAL; protocol 2, theirs, never needs them.
_HIDDEN_CALLS = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}

_LARGEST_FILE, _LARGEST_PICKLE = 4 << 30, 1 << 20  # bytes
_ADVICE = "give a file that the authors' ddp_pretrain.py saved."
_FORMAT_ENTRIES = ("data.pkl", "byteorder", "version", ".format_version", ".storage_alignment")


@dataclass(frozen=True)
class ReleasedCheckpoint:
    """What is read of a checkpoint of the authors' program.

    Attributes:
        config: their final config; values that are no plain ones are stand-ins.
        state: their ``state_dict``.
        epoch: the epoch after which it was saved, counted from 0.
        unread: other entries of the file, such as the optimiser's.
    """

    config: Mapping[str, Any]
    state: Mapping[str, Tensor]
    epoch: int
    unread: tuple[str, ...]


class StandIn:
    """Stands in for an object of the authors' program: takes any arguments, keeps its state, does nothing."""

    state: object = None

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        self.state = state


def read_released_checkpoint(path: Path | str) -> ReleasedCheckpoint:
    """Reads a checkpoint that the authors' program saved; see the module's text for what makes it safe.

    Args:
        path: Their file, such as ``MISSRec-FHCKM_mm_full-100.pth``.

    Raises:
        CheckpointError: No such file; damaged, too large, compressed; names a global that such a file has no use
            for; or no checkpoint of the authors' program.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"{file}: there is no such file.")
    try:
        archive = _plain_archive(file)
        with warnings.catch_warnings(), torch.serialization.safe_globals([StandIn]):
            warnings.simplefilter("ignore")  # torch's advice is about files of one's own
            content = torch.load(archive, map_location="cpu", weights_only=True)
        return _checkpoint(content, file.stat().st_size)
    except CheckpointError as error:
        raise CheckpointError(f"{file} is refused: {error}") from error
    except Exception as error:  # what damaged and forged archives and pickles raise is anybody's guess
        reason = _short((str(error).splitlines() or [""])[0] or type(error).__name__)
        raise CheckpointError(
            f"{file} cannot be read ({reason}): it is truncated, damaged, or not written by torch.save of torch "
            "1.6 or later; download it again."
        ) from error


def _plain_archive(file: Path) -> io.BytesIO:
    """What torch reads of the file, in memory: sizes and checksums verified, the pickle disarmed."""
    size = file.stat().st_size
    if size > _LARGEST_FILE:
        raise CheckpointError(f"it has {size:,} bytes, more than any checkpoint of the authors' program.")
    copy = io.BytesIO()
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(copy, "w") as plain:
        entries = source.infolist()
        names = [entry.filename.partition("/")[2] for entry in entries]
        packed = any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries)
        if packed or sum(entry.file_size for entry in entries) > size or len(set(names)) < len(names):
            raise CheckpointError(
                "it is compressed or encrypted, claims to hold more than its size, or has two entries "
                "of one name; torch.save writes nothing of the kind."
            )
        for name, entry in zip(names, entries, strict=True):
            if name == "data.pkl":
                if entry.file_size > _LARGEST_PICKLE:
                    raise CheckpointError(f"its pickle has {entry.file_size:,} bytes, too many for a checkpoint.")
                plain.writestr(f"archive/{name}", _disarmed(source.read(entry)))
            elif name in _FORMAT_ENTRIES or name.startswith("data/"):
                plain.writestr(f"archive/{name}", source.read(entry))
    copy.seek(0)
    return copy


def _disarmed(pickle: bytes) -> bytes:
    """The pickle with our stand-in in place of all that belongs to the authors' program.

    Raises:
        CheckpointError: It names anything else than that and the parts of tensors.
    """
    ours = f"c{StandIn.__module__}\n{StandIn.__qualname__}\n".encode()
    parts, end = [], 0
    for opcode, argument, position in pickletools.genops(pickle):
        if opcode.name in _HIDDEN_CALLS:
            raise CheckpointError(f"its pickle uses {opcode.name}, which no such checkpoint needs.")
        if opcode.name != "GLOBAL":
            continue
        name, start = str(argument).replace(" ", "."), position or 0
        if name in _STOOD_IN_FOR:
            parts += [pickle[end:start], ours]
            end = start + len(name) + 2  # the opcode, and a line end where the name has its dot, and another
        elif name not in _REBUILT:
            raise CheckpointError(f"it names {_short(name)}, which no such checkpoint needs.")
    return b"".join([*parts, pickle[end:]])


def _checkpoint(content: object, size: int) -> ReleasedCheckpoint:
    if not isinstance(content, dict) or not {"config", "state_dict", "epoch"} <= content.keys():
        raise CheckpointError(f"it lacks config, state_dict or epoch; {_ADVICE}")
    held = content["config"].state if isinstance(content["config"], StandIn) else None
    config = held.get("final_config_dict") if isinstance(held, dict) else None
    if not isinstance(config, dict):
        raise CheckpointError(f"its config is none of the authors' program; {_ADVICE}")
    state, epoch = content["state_dict"], content["epoch"]
    if not isinstance(state, dict) or not all(type(n) is str and _is_dense(t) for n, t in state.items()):
        raise CheckpointError(f"its state_dict is no dictionary of tensors; {_ADVICE}")
    if type(epoch) is not int or not 0 <= epoch < 1e6:
        raise CheckpointError(f"its epoch is no number from 0; {_ADVICE}")
    # A tensor may repeat a few bytes without end.
    if sum(tensor.numel() * tensor.element_size() for tensor in state.values()) > size:
        raise CheckpointError("its tensors are larger than the file.")
    rest = tuple(_short(name) for name in content if name not in ("config", "state_dict", "epoch"))
    return ReleasedCheckpoint(config, {name: tensor.detach() for name, tensor in state.items()}, epoch, rest)


def _is_dense(tensor: object) -> bool:
    return type(tensor) is Tensor and tensor.layout is torch.strided and tensor.numel() > 0


def _short(text: object) -> str:
    """A text out of a file, fit to be printed."""
    printable = text if isinstance(text, str) else type(text).__name__
    return printable.encode("ascii", "backslashreplace").decode()[:120].translate(dict.fromkeys(range(32)))

"""Files that hold arrays: ``.npy``, ``.npz``, ``.safetensors``, ``.pt``, HDF5, Parquet and Arrow.

Whatever a file is, its content is arrays by name, each as it is stored.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq

from missrec_pl.errors import ConfigError, DataError

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = dict[str, Array]
BFLOAT16 = np.dtype([("bfloat16", "<u2")])
"""How arrays of bfloat16 are kept, for which NumPy has no type."""


def read_arrays(path: Path) -> Arrays:
    """The arrays of a file by name; the one of an ``.npy`` file is called ``""``.

    Raises:
        ConfigError: The library that reads such files is not installed.
        DataError: It is missing, damaged, holds objects, or is of another kind.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected features as {', '.join(sorted(_READERS))}")
    reader = _READERS.get(_kind(path))
    if reader is None:
        known = ", ".join(sorted(_READERS))
        raise DataError(f"{path}: no kind of feature file that is read ({known}); save it as one of them")
    try:
        arrays = reader(path)
    except (ConfigError, DataError):
        raise
    except Exception as error:  # each library has errors of its own
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{path}: cannot be read ({told}); get the file again, or write it anew") from error
    return {name: _stored(array, f"{path}: {name or 'its array'}") for name, array in arrays.items()}


def dtype_name(array: Array) -> str:
    """How the values are stored, in a word."""
    return "bfloat16" if array.dtype == BFLOAT16 else array.dtype.name


def as_floats(array: Array) -> npt.NDArray[np.float32]:
    """Values as float32; what it cannot hold becomes infinite."""
    if array.dtype == BFLOAT16:
        return (array["bfloat16"].astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _kind(path: Path) -> str:
    """What a file is by its first bytes, else by its name."""
    with path.open("rb") as stream:
        head = stream.read(8)
    if head.startswith(b"\x93NUMPY"):
        return ".npy"
    if head.startswith(b"\x89HDF"):
        return ".h5"
    if head.startswith(b"PAR1"):
        return ".parquet"
    if head.startswith(b"ARROW1"):
        return ".arrow"
    if head.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            return ".npz" if all(name.endswith(".npy") for name in archive.namelist()) else ".pt"
    return path.suffix.lower()


def _stored(array: Array, where: str) -> Array:
    """The array, if it holds numbers or texts; NumPy's nameless two bytes are bfloat16, as ml_dtypes writes it."""
    if array.dtype == np.dtype("V2"):
        return array.view(BFLOAT16)
    if array.dtype == BFLOAT16 or array.dtype.kind in "fiubSU":
        return array
    kind = "objects of Python" if array.dtype.kind == "O" else str(array.dtype)
    advice = "np.save(file, np.stack(vectors).astype('float32'))"
    raise DataError(f"{where}: holds {kind}, no real numbers; write it with {advice}")


def _npy(path: Path) -> Arrays:
    try:
        return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
    except ValueError as error:
        if "Object arrays" in str(error) or "Python objects" in str(error):
            return {"": np.empty(0, object)}
        raise


def _npz(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as held:
        names = set(held.files)
        if {"indices", "indptr", "shape"} <= names:
            raise DataError(f"{path}: a sparse matrix of scipy; write its .toarray() with np.save")
        arrays = {}
        for name in held.files:
            try:
                arrays[name] = held[name]
            except ValueError:  # objects
                arrays[name] = np.empty(0, object)
        return {name: array for name, array in arrays.items() if array.dtype.kind != "O" or len(arrays) == 1}


def _safetensors(path: Path) -> Arrays:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as held:
        return {name: _from_torch(held.get_tensor(name)) for name in held.keys()}  # noqa: SIM118


def _torch(path: Path) -> Arrays:
    import torch

    held = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(held, torch.Tensor):
        return {"": _from_torch(held)}
    if not isinstance(held, Mapping):
        raise DataError(f"{path}: a {type(held).__name__}; expected a tensor, or tensors by name")
    arrays = {str(name): _from_torch(one) for name, one in held.items() if isinstance(one, torch.Tensor)}
    lists = {str(name): np.array(one) for name, one in held.items() if isinstance(one, list) and one}
    return {**arrays, **{name: one for name, one in lists.items() if one.dtype.kind in "iU"}}


def _from_torch(tensor: Any) -> Array:
    import torch

    if tensor.dtype == torch.bfloat16:
        halves: Array = tensor.contiguous().view(torch.uint16).numpy()
        return halves.view(BFLOAT16)
    if tensor.dtype.itemsize == 1 and tensor.dtype.is_floating_point:  # float8
        tensor = tensor.float()
    array: Array = tensor.detach().numpy()
    return array


def _hdf5(path: Path) -> Arrays:
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(f'{path}: HDF5 needs h5py: pip install "missrec-pl[hdf5]"') from error
    arrays: Arrays = {}

    def keep(name: str, found: Any) -> None:
        if isinstance(found, h5py.Dataset):
            values = found.asstr()[...] if h5py.check_string_dtype(found.dtype) else found[...]
            arrays[name] = np.array(values, np.str_) if values.dtype.kind == "O" else values

    with h5py.File(path, "r") as held:
        held.visititems(keep)
    return arrays


def _parquet(path: Path) -> Arrays:
    with pq.ParquetFile(path) as held:
        return _columns(held.read(), path)


def _arrow(path: Path) -> Arrays:
    with pa.memory_map(str(path)) as source:
        try:
            table = pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            table = pa.ipc.open_stream(source).read_all()
        return _columns(table, path)


def _columns(table: pa.Table, path: Path) -> Arrays:
    """Numbers and texts as they are, lists of numbers as matrices; many columns of numbers as one, ``""``."""
    arrays: Arrays = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        kind = column.type
        if pa.types.is_dictionary(kind):
            column, kind = column.dictionary_decode(), kind.value_type
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            if pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type):
                arrays[name] = _matrix(column, f"{path}: column {name!r}")
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            arrays[name] = np.array(pc.fill_null(column, "").to_pylist(), np.str_)
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            arrays[name] = column.to_numpy(zero_copy_only=False)
    numbers = [name for name, array in arrays.items() if array.ndim == 1 and array.dtype.kind == "f"]
    if not any(array.ndim == 2 for array in arrays.values()) and len(numbers) > 1:
        arrays[""] = np.stack([arrays.pop(name).astype(np.float32) for name in numbers], axis=1)
    return arrays


def _matrix(column: Any, where: str) -> Array:
    """A list column as a matrix; rows of an item without a list are NaN."""
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    known = lengths[~np.isnan(lengths.astype(float))]
    known = known[known > 0]
    widths, counts = np.unique(known, return_counts=True)
    if len(widths) != 1:
        found = ", ".join(f"{count:,} of {width:.0f}" for width, count in zip(widths[:4], counts[:4], strict=True))
        raise DataError(f"{where}: lists of several lengths ({found or 'all are empty'}); features have one width")
    width = int(widths[0])
    flat = pc.list_flatten(column).to_numpy(zero_copy_only=False)
    rows = np.full((len(column), width), np.nan, flat.dtype if flat.dtype.kind == "f" else np.float32)
    has = np.nan_to_num(lengths.astype(float)) > 0
    if has.all():
        matrix: Array = flat.reshape(-1, width)
        return matrix
    rows[has] = flat.reshape(-1, width)
    return rows


_READERS: dict[str, Callable[[Path], Arrays]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    **dict.fromkeys((".pt", ".pth", ".bin"), _torch),
    **dict.fromkeys((".h5", ".hdf5"), _hdf5),
    **dict.fromkeys((".parquet", ".pq"), _parquet),
    **dict.fromkeys((".arrow", ".feather"), _arrow),
}

"""Numbers that published programs gave on tiny networks: which files there are, and which test each belongs to.

A test file reads the folder that the environment variable GOLDEN_BASELINES_DIR names, else tests/golden_baselines.
Any subset of the files may be there; a file that no prefix fits fails `test_every_file_is_a_case`.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

HERE = Path(__file__).parents[1] / "golden_baselines"
# Beginnings of file names; the longest that fits decides.
PREFIXES = (
    "bert4rec_",
    "fdsa_recbole_",
    "fdsa_unisrec_",
    "gbce_",
    "gru4rec_",
    "gsasrec_",
    "losses_",
    "rectools_hstu",
    "rectools_ligr",
    "rectools_sasrec",
    "s3rec_finetune_",
    "s3rec_pretrain",
    "s3rec_unisrec_",
    "sasrec_",
    "unisrec_inductive_",
    "unisrec_pretrain_",
    "unisrec_transductive_",
    "vqrec_faiss_",
    "vqrec_index_",
    "vqrec_inductive_",
    "vqrec_pretrain",
)


def prefix_of(name: str) -> str | None:
    """The beginning that a file's name has."""
    return max((prefix for prefix in PREFIXES if name.startswith(prefix)), key=len, default=None)


def every_file(folder: str | None) -> list[Path]:
    return sorted(Path(folder or HERE).glob("*.npz"))


def cases(folder: str | None, *prefixes: str) -> list:
    """The files of some prefixes, a test case each; one that is skipped where there is none."""
    unknown = set(prefixes) - set(PREFIXES)
    assert not unknown, unknown
    found = [path for path in every_file(folder) if prefix_of(path.name) in prefixes]
    if not found:
        reason = f"no file {' or '.join(prefixes)}*.npz in {folder or HERE}"
        return [pytest.param(None, id="none", marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(path, id=path.stem) for path in found]


def arrays(path: Path, kind: str | None = None) -> dict[str, torch.Tensor]:
    """The numbers of a file; of one kind ("state", "in", "out", "grad", "meta"), under the names without it."""
    with np.load(path, allow_pickle=False) as file:
        wanted = [name for name in file.files if kind is None or name.startswith(f"{kind}.")]
        loaded = {name: np.asarray(file[name]) for name in wanted}
    start = 0 if kind is None else len(kind) + 1
    return {
        name[start:]: torch.from_numpy(array) if array.dtype.kind in "fiub" else str(array)
        for name, array in loaded.items()
    }


def assert_equal(ours: torch.Tensor, theirs: torch.Tensor, rtol: float = 1e-5, name: str = "") -> None:
    """The same numbers but for the rounding of float32."""
    torch.testing.assert_close(
        ours.detach().to(theirs.dtype), theirs, atol=1e-5, rtol=rtol, msg=lambda told: f"{name}: {told}"
    )

"""Feature files and folders of pictures."""

from collections import Counter
from pathlib import Path

import numpy as np

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.encoders.pixels import Preprocessing
from missrec_pl.prepare.features.given.containers import as_floats, dtype_name, read_arrays
from missrec_pl.prepare.features.given.order import beside
from missrec_pl.prepare.features.picture_folders import pictures_in
from missrec_pl.prepare.features.pictures import quiet_decoders, read_picture
from missrec_pl.prepare.features.store import Status
from missrec_pl.prepare.inspection.report import Report

_SAMPLE = 10_000  # rows
_PICTURES = 50


def inspect_features(path: Path, report: Report) -> None:
    """A file of arrays: shapes, types, values, and where ids are."""
    try:
        arrays = read_arrays(path)
    except (ConfigError, DataError) as error:
        report.odd.append(str(error))
        return
    matrices = {name: array for name, array in arrays.items() if array.ndim >= 2}
    for name, array in list(arrays.items())[:6]:
        report.what.append(f"{path.name}: {name or 'array'} {dtype_name(array)} {array.shape}")
    for name, array in matrices.items():
        rows = as_floats(np.asarray(array[:_SAMPLE])).reshape(min(len(array), _SAMPLE), -1)
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            report.odd.append(f"{name or 'array'}: {(~finite).sum():,} rows hold NaN or infinity")
        norms = np.linalg.norm(rows[finite].astype(np.float64), axis=1)
        if len(norms):
            span = f"norms {norms.min():.3g} to {norms.max():.3g}"
            report.how.append(f"{name or 'array'}: {span}, {(norms == 0).sum():,} rows of zeros")
    try:
        place = beside(path)
        if len(arrays) == 1:
            report.how.append(f"ids: {place}" if place else "ids: none in the file or beside it")
    except DataError as error:
        report.odd.append(str(error))
        place = None
    ids = "" if place or len(arrays) > 1 else " --ids FILE (or: items)"
    report.use.append(f"python -m missrec_pl.prepare features DOMAIN --from {path} --modality image{ids}")


def inspect_pictures(folder: Path, report: Report) -> None:
    """A folder of pictures: how many, of which endings, and what became of some of them."""
    files = sorted(pictures_in(folder))
    endings = Counter(Path(file).suffix or "no ending" for file in files)
    listed = ", ".join(f"{number:,} {ending}" for ending, number in endings.most_common(6))
    report.what.append(f"{folder}: {len(files):,} pictures ({listed}), such as {', '.join(files[:3])}")
    quiet_decoders()
    whole = Preprocessing(32, 32, (0, 0, 0), (1, 1, 1), squash=True)
    chosen = files[:: max(1, len(files) // _PICTURES)][:_PICTURES]
    found, notes = Counter[str](), Counter[str]()
    for file in chosen:
        status, told, treated = read_picture(folder / file, whole)
        found["sound" if status == Status.OK else f"{status.name.lower()}: {told}"] += 1
        notes.update(treated)
    report.how.append(f"of {len(chosen)} that were decoded {found.pop('sound', 0)} are sound")
    report.how += [f"{number} {note}" for note, number in notes.items()]
    report.odd += [f"{number} {kind}" for kind, number in found.items()]
    report.use.append(f"python -m missrec_pl.prepare interactions LOG OUT ... --images {folder}")

"""``prepare features``: all domains and modalities asked for."""

import csv
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np
from filelock import FileLock
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from missrec_pl.data.domain.checks import check_features
from missrec_pl.data.domain.files import FeatureMatrix
from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.manifest import Manifest
from missrec_pl.data.domain.replacing import real_path
from missrec_pl.data.domain.update import add_features
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.encoders.base import Encoder
from missrec_pl.prepare.features.extraction import (
    VIEW,
    Extracted,
    Extraction,
    Plan,
    collected,
    encode_chunks,
    encode_in_processes,
    encode_on_ray,
    filled,
)
from missrec_pl.prepare.features.jobs import Job
from missrec_pl.prepare.features.store import ChunkStore, sentence
from missrec_pl.system.files import whole_file

_REPORTED = ("domain", "modality", "item", "raw_id", "file", "problem", "reason")
Row: TypeAlias = tuple[str | int, ...]


def extract(plan: Plan, domains: Sequence[Path], console: Console) -> list[str]:
    """Makes the features and puts them into the domain folders.

    Returns:
        One line about each modality of each domain.

    Raises:
        ConfigError: The encoder cannot be made or does not encode what is asked for.
        DataError: A domain is damaged, has such features already, or nothing to encode.
    """
    domains = [real_path(path) for path in domains]
    for path in domains:
        _check(plan, Domain.open(path))
    if plan.encoder.name == "lsa":
        return _fitted(plan, domains)
    encoder = plan.encoder.on_gpu(0).build()
    lines: list[str] = []
    problems: list[Row] = []
    for path in domains:
        told, found = _one(plan, path, encoder, console)
        rows = _problems(Domain.open(path), found)
        lines += told
        problems += rows
        if plan.report is not None and found:  # now, so that a later domain's error does not lose it
            _write_problems(plan.report, problems)
            lines.append(f"{path}: {len(rows)} problems listed in {plan.report}")
        elif rows:
            lines.append(f"{path}: {len(rows)} problems; all of them with --report FILE")
        lines += _examples(Domain.open(path), found)
    return lines


def _examples(domain: Domain, found: Sequence[Extracted]) -> list[str]:
    """A line for every kind of problem and of treatment, with how often it was and one item."""
    raw_ids, lines = domain.raw_item_ids(), []
    for one in found:
        kinds: dict[tuple[str, str], list[int]] = {}
        for item, kind, reason in one.problems:
            kinds.setdefault((kind, reason if kind == "absurd" else ""), []).append(item)
        reasons = {item: reason for item, _, reason in one.problems}
        for (kind, _), items in kinds.items():
            lines.append(
                f"  {len(items):,} {kind}, such as {one.name} of item {raw_ids[items[0]]}: {reasons[items[0]]}"
            )
        treated: dict[str, list[int]] = {}
        for item, what in one.notes:
            treated.setdefault(what, []).append(item)
        lines += [
            f"  {len(items):,} {what}, such as that of {raw_ids[items[0]]}" for what, items in treated.items()
        ]
    return lines


def _check(plan: Plan, domain: Domain) -> None:
    check_features(plan.names(), plan.dtype, domain.path)
    there = [name for name in plan.names() if name in {**domain.modalities, **domain.views}]
    if plan.missing:
        if absent := [name for name in plan.names() if name not in there]:
            raise ConfigError(f"--missing: {domain.path} has no {absent[0]} features yet; leave --missing out")
    elif there and not plan.overwrite:
        made = domain.info(there[0]).encoder
        raise DataError(
            f"{domain.path} has {there[0]} features already, by {made}; pass --overwrite to replace them"
        )
    if plan.drop is not None and "text" not in plan.modalities and "text" not in domain.modalities:
        raise ConfigError(f"{domain.path} has no text features, of which {VIEW} is a view: add --modality text")


def _one(plan: Plan, path: Path, encoder: Encoder, console: Console) -> tuple[list[str], list[Extracted]]:
    """One domain: lines about it, and its features if this command put them into the folder."""
    work = []
    for name in plan.names():
        extraction = Extraction(plan, path, name)
        job, store = extraction.job(encoder)
        _encode(extraction, job, store, console)
        work.append((extraction, job, store))
    with FileLock(path.parent / f".{path.name}.features.lock"):  # shards may finish at the same moment
        is_there = any(name in Manifest.read(path).modalities for name in plan.modalities)
        if is_there and not plan.overwrite and not plan.missing:
            return [f"{path}: another shard has put the features into the folder"], []
        left = sum(len(store.missing()) for _, _, store in work)
        if left:
            return [f"{path}: this shard is done, {left} chunks of other shards are not there yet"], []
        found = [collected(extraction, job, store) for extraction, job, store in work]
        if plan.missing:
            found = [filled(Domain.open(path), one) for one in found]
        matrices = {one.name: one.matrix for one in found}
        views = {VIEW: matrices.pop(VIEW)} if VIEW in matrices else {}
        add_features(path, matrices, views, dtype=plan.dtype)
        for one in found:
            one.store.remove()
    return [f"{path}: {one.name} by {one.matrix.encoder}: {sentence(one.found)}" for one in found], found


def _encode(extraction: Extraction, job: Job, store: ChunkStore, console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        told = f"{extraction.domain.name} {extraction.name}"
        task = bar.add_task(told, total=store.num_items, completed=store.rows_done())

        def advance(rows: int) -> None:
            bar.advance(task, rows)

        if extraction.plan.ray_workers is not None:
            encode_on_ray(extraction, store, advance)
        elif extraction.plan.processes > 1:
            encode_in_processes(extraction, store, advance)
        else:
            encode_chunks(job, store, *(extraction.plan.shard or (0, 1)), advance)


class _Rate(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} items/s")


def _problems(domain: Domain, found: Sequence[Extracted]) -> list[Row]:
    """A row for every item with a problem, as ``_REPORTED`` names the columns."""
    raw_ids = domain.raw_item_ids()
    rows: list[Row] = []
    for one in found:
        files = domain.image_paths() if one.name == "image" else [""] * len(raw_ids)
        rows += [
            (domain.name, one.name, item, raw_ids[item], files[item], kind, reason)
            for item, kind, reason in one.problems
        ]
    return rows


def _write_problems(path: Path, rows: Sequence[Row]) -> None:
    with whole_file(path, several_writers=True) as part, part.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([_REPORTED, *rows])


def _fitted(plan: Plan, domains: Sequence[Path]) -> list[str]:
    """LSA: one fit over the texts of all domains, so that they share a space."""
    from missrec_pl.prepare.encoders.lsa import LsaEncoder

    is_shared = plan.shard is not None or plan.processes > 1 or plan.ray_workers is not None
    if plan.drop is not None or is_shared or plan.missing:
        told = "leave out --worddrop, --shard, --processes, --engine and --missing"
        raise ConfigError(f"--encoder lsa fits all texts at once: {told}")
    if plan.report is not None:
        raise ConfigError("--encoder lsa only counts the items without text: leave out --report")
    dim, seed = plan.encoder.dim, plan.encoder.seed
    encoder = LsaEncoder(dim, seed)
    opened = [Domain.open(path) for path in domains]
    texts = [text for domain in opened for text in domain.texts()[1:]]
    vectors = encoder.encode(texts)
    fit = hashlib.sha256("\0".join([encoder.name, str(seed), *texts]).encode()).hexdigest()[:12]
    name, lines, ends = f"{encoder.name}@{fit}", [], np.cumsum([domain.num_items for domain in opened])
    for path, rows in zip(domains, np.split(vectors, ends[:-1]), strict=True):
        present = rows.any(axis=1)
        if not present.any():
            raise DataError(f"{path}: no item has a text that says something")
        found = {"encoded": int(present.sum()), "none known": int((~present).sum())}
        made_by = {
            "encoder": name,
            "model": "TF-IDF and truncated SVD",
            "options": {"dim": dim, "seed": seed, "fitted_with": [domain.name for domain in opened]},
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "found": found,
        }
        add_features(path, {"text": FeatureMatrix(rows, np.asarray(present), name, made_by)}, dtype=plan.dtype)
        lines.append(f"{path}: text by {name}, {rows.shape[1]}-d: {sentence(found)}")
    return lines

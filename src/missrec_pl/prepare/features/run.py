"""``prepare features``: all domains and modalities asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console

from missrec_pl.data.domain.files import FeatureMatrix
from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.manifest import Manifest
from missrec_pl.data.domain.replacing import real_path
from missrec_pl.data.domain.update import add_features
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.encoders.base import BatchTextEncoder, ImageEncoder
from missrec_pl.prepare.encoders.registry import EncoderChoice
from missrec_pl.prepare.features.extraction import (
    VIEW,
    Extracted,
    Extraction,
    collected,
    encode_chunks,
    encode_in_processes,
    lock_of,
    problem_rows,
    write_problems,
)
from missrec_pl.prepare.features.jobs import Job, WordDrop
from missrec_pl.prepare.features.progress import progress
from missrec_pl.prepare.features.status import sentence
from missrec_pl.prepare.features.store import ChunkStore


@dataclass(frozen=True)
class Plan:
    """How features are made.

    Attributes:
        encoder: Who encodes.
        modalities: ``text``, ``image`` or both.
        drop: Also make the view ``text_worddrop``.
        batch_size: Rows encoded together.
        workers: Threads that decode pictures.
        processes: Processes that share the rows on this machine.
        shard: This command's share ``(i, n)`` of the rows, for several machines; None: all.
        dtype: How features are stored.
        overwrite: Replace features that are there.
        report: CSV of all items with problems, of all domains.
    """

    encoder: EncoderChoice
    modalities: tuple[str, ...]
    drop: WordDrop | None = None
    batch_size: int = 64
    workers: int = 4
    processes: int = 1
    shard: tuple[int, int] | None = None
    dtype: str = "float32"
    overwrite: bool = False
    report: Path | None = None

    def names(self) -> list[str]:
        """Modalities and views to make."""
        return [*self.modalities, *([VIEW] if self.drop is not None else [])]


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
    rows: list[tuple[str | int, ...]] = []
    for path in domains:
        told, found = _one(plan, path, encoder, console)
        lines += told
        if found and plan.report is not None:
            rows += problem_rows(Domain.open(path), found)
            write_problems(plan.report, rows)  # now: at a later domain's error this one's would be lost
            lines.append(f"{path}: {sum(len(one.problems) for one in found)} problems listed in {plan.report}")
    return lines


def _check(plan: Plan, domain: Domain) -> None:
    there = [name for name in plan.names() if name in {**domain.modalities, **domain.views}]
    if there and not plan.overwrite:
        made = domain.info(there[0]).encoder
        raise DataError(
            f"{domain.path} has {there[0]} features already, by {made}; pass --overwrite to replace them"
        )
    if plan.drop is not None and "text" not in plan.modalities and "text" not in domain.modalities:
        raise ConfigError(f"{domain.path} has no text features, of which {VIEW} is a view: add --modality text")


def _one(
    plan: Plan, path: Path, encoder: BatchTextEncoder | ImageEncoder, console: Console
) -> tuple[list[str], list[Extracted]]:
    """One domain: lines about it, and its features if this command put them into the folder."""
    work = []
    for name in plan.names():
        drop = plan.drop if name == VIEW else None
        extraction = Extraction(path, name, plan.encoder, plan.batch_size, plan.workers, drop)
        job, store = extraction.job(encoder)
        _encode(plan, extraction, job, store, console)
        work.append((extraction, job, store))
    with lock_of(path):
        if any(name in Manifest.read(path).modalities for name in plan.modalities) and not plan.overwrite:
            return [f"{path}: another shard has put the features into the folder"], []
        left = sum(len(store.missing()) for _, _, store in work)
        if left:
            return [f"{path}: this shard is done, {left} chunks of other shards are not there yet"], []
        found = [collected(extraction, job, store) for extraction, job, store in work]
        matrices = {one.name: one.matrix for one in found}
        views = {VIEW: matrices.pop(VIEW)} if VIEW in matrices else {}
        add_features(path, matrices, views, dtype=plan.dtype)
        for one in found:
            one.store.remove()
    lines = [f"{path}: {one.name} by {one.matrix.encoder}: {sentence(one.found)}" for one in found]
    return lines + ([] if plan.report is not None else _problems(path, found)), found


def _encode(plan: Plan, extraction: Extraction, job: Job, store: ChunkStore, console: Console) -> None:
    missing = store.missing()
    there = store.num_items - sum(store.span(number).stop - store.span(number).start for number in missing)
    with progress(console) as bar:
        task = bar.add_task(f"{extraction.domain.name} {extraction.name}", total=store.num_items, completed=there)

        def advance(rows: int) -> None:
            bar.advance(task, rows)

        if plan.processes > 1:
            encode_in_processes(extraction, plan.processes, store, advance)
        else:
            encode_chunks(job, store, *(plan.shard or (0, 1)), advance)


def _problems(path: Path, found: Sequence[Extracted]) -> list[str]:
    problems = [(one.name, *problem) for one in found for problem in one.problems]
    if not problems:
        return []
    name, item, status, reason = problems[0]
    first = f"{name} of item {item}: {status.name.lower()} ({reason})"
    return [f"{path}: {len(problems)} problems, such as {first}; all of them with --report FILE"]


def _fitted(plan: Plan, domains: Sequence[Path]) -> list[str]:
    """LSA: one fit over the texts of all domains, so that they share a space."""
    from missrec_pl.prepare.encoders.lsa import LsaEncoder

    if plan.drop is not None or plan.shard is not None or plan.processes > 1:
        raise ConfigError("--encoder lsa fits all texts at once: leave out --worddrop, --shard and --processes")
    if plan.report is not None:
        raise ConfigError("--encoder lsa only counts the items without text: leave out --report")
    encoder = LsaEncoder(plan.encoder.dim, plan.encoder.seed)
    opened = [Domain.open(path) for path in domains]
    texts = [domain.texts()[1:] for domain in opened]
    together = [text for one in texts for text in one]
    vectors = encoder.encode(together)
    fit = hashlib.sha256("\0".join([encoder.name, str(plan.encoder.seed), *together]).encode()).hexdigest()[:12]
    lines, start = [], 0
    for path, one in zip(domains, texts, strict=True):
        rows = vectors[start : start + len(one)]
        start += len(one)
        present = rows.any(axis=1)
        if not present.any():
            raise DataError(f"{path}: no item has a text that says something")
        found = {"encoded": int(present.sum()), "none known": int((~present).sum())}
        made_by = {
            "encoder": f"{encoder.name}@{fit}",
            "model": "TF-IDF and truncated SVD",
            "options": {
                "dim": plan.encoder.dim,
                "seed": plan.encoder.seed,
                "fitted_with": [d.name for d in opened],
            },
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "found": found,
        }
        matrix = FeatureMatrix(rows, np.asarray(present), f"{encoder.name}@{fit}", made_by)
        add_features(path, {"text": matrix}, dtype=plan.dtype)
        lines.append(f"{path}: text by {encoder.name}@{fit}, {rows.shape[1]}-d: {sentence(found)}")
    return lines

"""``features DOMAIN...``: what is known of the items of domain folders to features."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.commands.base import Command, add_domains, settings_from
from missrec_pl.prepare.encoders.registry import ENCODERS, EncoderChoice
from missrec_pl.prepare.features.extraction import VIEW, Plan
from missrec_pl.prepare.features.given.matching import IN_ORDER, Given, take
from missrec_pl.prepare.features.jobs import WordDrop
from missrec_pl.prepare.features.run import extract
from missrec_pl.prepare.tables.id_forms import FORMS
from missrec_pl.system.ray_workers import add_engine, engine_workers


def _add_arguments(parser: ArgumentParser) -> None:
    add_domains(parser)
    add = parser.add_argument
    add("--encoder", help=f"{', '.join(ENCODERS)}, or your own as package.module:Class")
    add("--model", metavar="NAME", help="hub name or local folder (default: the encoder's)")
    add("--modality", nargs="+", metavar="NAME", help="text, image; any name for your own encoder (default: all)")
    add("--output", default="projected", help="clip: projected (default) or cls")
    add("--worddrop", type=float, metavar="SHARE", help=f"also the view {VIEW}: words left out (0.15)")
    add("--dim", type=int, default=512, help="lsa: width (default 512)")
    add("--seed", type=int, default=0, help="of --worddrop and lsa (default 0)")
    told = "where pictures may lie, besides in and beside DOMAIN"
    add("--image-folder", metavar="DIR", type=Path, nargs="+", default=[], help=told)
    told = "of several pictures of an item: the first (default), or the mean of their features"
    add("--pictures", choices=("first", "mean"), default="first", help=told)
    add("--dtype", choices=("float32", "float16"), default="float32", help="as stored")
    add("--missing", action="store_true", help="only items without features, such as those that 'append' brought")
    add("--overwrite", action="store_true", help="replace such features if they are there")
    add("--report", metavar="FILE", type=Path, help="CSV of every item with a problem")
    add = parser.add_argument_group("features that are there already").add_argument
    add("--from", metavar="FILE", type=Path, dest="given", help="npy, npz, safetensors, pt, h5, parquet, arrow")
    told = (
        f"file of ids in the order of the rows, or '{IN_ORDER}': as in items.parquet (default: in or beside FILE)"
    )
    add("--ids", metavar="FILE", help=told)
    add("--array", metavar="NAME", help="which array or column (default: the only matrix)")
    add(
        "--id-column",
        metavar="NAME",
        help="which array or column of FILE holds the ids (default: what fits)",
    )
    add("--made-by", metavar="NAME", help="who made them (default: given:<file name>)")
    add("--skip-bad-rows", action="store_true", help="rows with NaN or infinity count as missing")
    add("--allow-unmatched", action="store_true", help="take them though most ids match no item")
    add("--id-form", metavar="FORM,...", help="spellings that ids are brought to: " + ", ".join(FORMS))
    add = parser.add_argument_group("machine").add_argument
    add("--batch-size", type=int, default=64, help="rows encoded together (default 64)")
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, ...")
    add("--precision", default="auto", help="auto (default), fp32, fp16, bf16")
    add("--workers", type=int, default=os.cpu_count() or 1, help="threads that decode pictures (default: cores)")
    add("--processes", type=int, default=1, help="share the rows on this machine (default 1)")
    add("--shard", metavar="I/N", help="this command's share of the rows, counted from 0")
    add_engine(parser, "chunks of rows")


def _run(arguments: Namespace, console: Console) -> None:
    """Texts, pictures or ids of domain folders -> features, by an encoder (resumable) or from a file of yours."""
    for name in ("batch_size", "workers", "processes"):
        if getattr(arguments, name) < 1:
            raise ConfigError(f"--{name.replace('_', '-')} {getattr(arguments, name)}: give 1 or more")
    if arguments.worddrop is not None and not 0 < arguments.worddrop < 1:
        raise ConfigError(f"--worddrop {arguments.worddrop}: give a share between 0 and 1, such as 0.15")
    shared = (arguments.processes > 1, arguments.shard is not None, arguments.engine is not None)
    if sum(shared) > 1:
        raise ConfigError("--processes, --shard and --engine are ways to share the rows: give one of them")
    if (arguments.encoder is None) == (arguments.given is None):
        raise ConfigError("say --encoder NAME to make features, or --from FILE to take those that are there")
    if arguments.given is not None:
        _take(arguments, console)
        return
    of_given = ("ids", "array", "id_column", "made_by", "id_form")
    if named := [name for name in of_given if getattr(arguments, name) is not None]:
        raise ConfigError(f"--{named[0].replace('_', '-')} goes with --from FILE")
    encoder = settings_from(arguments, EncoderChoice, name=arguments.encoder)
    plan = settings_from(
        arguments,
        Plan,
        encoder=encoder,
        modalities=_modalities(arguments, encoder),
        drop=None if arguments.worddrop is None else WordDrop(arguments.worddrop, arguments.seed),
        image_folder=tuple(arguments.image_folder),
        ray_workers=engine_workers(arguments),
        shard=None if arguments.shard is None else _shard(arguments.shard),
    )
    print(*extract(plan, [Path(path) for path in arguments.domains], console), sep="\n")


def _take(arguments: Namespace, console: Console) -> None:
    if len(arguments.domains) != 1 or len(arguments.modality or []) != 1:
        raise ConfigError("--from: name one domain folder, and with --modality what the features are of")
    forms = tuple(filter(None, (arguments.id_form or "").split(",")))
    given = settings_from(arguments, Given, path=arguments.given, modality=arguments.modality[0], id_form=forms)
    with console.status(f"reading {given.path}"):
        lines = take(given, Path(arguments.domains[0]), dtype=arguments.dtype, overwrite=arguments.overwrite)
    print(*lines, sep="\n")


def _modalities(arguments: Namespace, encoder: EncoderChoice) -> tuple[str, ...]:
    known = encoder.modalities()
    wanted = tuple(dict.fromkeys(arguments.modality or known))
    if not wanted:
        raise ConfigError(f"--encoder {encoder.name}: say what its features are with --modality, such as audio")
    unable = [] if encoder.is_outside else [name for name in wanted if name not in known]
    if unable:
        raise ConfigError(f"--encoder {encoder.name} does not encode {unable[0]}")
    if VIEW in wanted:
        raise ConfigError(f"--modality {VIEW}: it is a view of text; make it with --worddrop")
    if arguments.worddrop is not None and "text" not in known:
        raise ConfigError(f"--worddrop: --encoder {encoder.name} does not encode text")
    return wanted


def _shard(text: str) -> tuple[int, int]:
    index, slash, total = text.partition("/")
    if not slash or not index.isdigit() or not total.isdigit() or not int(index) < int(total):
        raise ConfigError(f"--shard {text}: write I/N with I from 0 to N-1, such as 0/4")
    return int(index), int(total)


COMMAND = Command("features", _add_arguments, _run)

"""``features DOMAIN...``: texts and pictures of domain folders to features."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.encoders.registry import ENCODERS, EncoderChoice
from missrec_pl.prepare.features.jobs import WordDrop
from missrec_pl.prepare.features.run import Plan, extract


class Features:
    """Encodes texts and pictures."""

    name = "features"
    help = "texts and pictures of domain folders -> features, by CLIP or another encoder; resumable"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        parser.add_argument("domains", metavar="DOMAIN", nargs="+", help="domain folder")
        parser.add_argument("--encoder", required=True, choices=ENCODERS, help="who encodes")
        parser.add_argument("--model", metavar="NAME", help="hub name or local folder (default: the encoder's)")
        parser.add_argument(
            "--modality", nargs="+", choices=("text", "image"), help="default: all that the encoder encodes"
        )
        parser.add_argument("--output", default="projected", help="clip: projected (default) or cls")
        parser.add_argument(
            "--worddrop", type=float, metavar="SHARE", help="also the view text_worddrop: words left out (0.15)"
        )
        parser.add_argument("--dim", type=int, default=512, help="lsa: width (default 512)")
        parser.add_argument("--seed", type=int, default=0, help="of --worddrop and lsa (default 0)")
        parser.add_argument("--dtype", choices=("float32", "float16"), default="float32", help="as stored")
        parser.add_argument("--overwrite", action="store_true", help="replace such features if they are there")
        parser.add_argument("--report", metavar="FILE", help="CSV of every item with a problem")
        machine = parser.add_argument_group("machine")
        machine.add_argument("--batch-size", type=int, default=64, help="rows encoded together (default 64)")
        machine.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, ...")
        machine.add_argument("--precision", default="auto", help="auto (default), fp32, fp16, bf16")
        machine.add_argument(
            "--workers",
            type=int,
            default=os.cpu_count() or 1,
            help="threads that decode pictures (default: cores)",
        )
        machine.add_argument("--processes", type=int, default=1, help="share the rows on this machine (default 1)")
        machine.add_argument("--shard", metavar="I/N", help="this command's share of the rows, counted from 0")

    def run(self, arguments: Namespace, console: Console) -> None:
        """Encodes, with a progress bar; prints what became of the items."""
        for name in ("batch_size", "workers", "processes"):
            if getattr(arguments, name) < 1:
                raise ConfigError(f"--{name.replace('_', '-')} {getattr(arguments, name)}: give 1 or more")
        if arguments.worddrop is not None and not 0 < arguments.worddrop < 1:
            raise ConfigError(f"--worddrop {arguments.worddrop}: give a share between 0 and 1, such as 0.15")
        modalities = tuple(arguments.modality or ENCODERS[arguments.encoder])
        unable = [name for name in modalities if name not in ENCODERS[arguments.encoder]]
        if unable:
            raise ConfigError(f"--encoder {arguments.encoder} does not encode {unable[0]}")
        if arguments.worddrop is not None and "text" not in ENCODERS[arguments.encoder]:
            raise ConfigError(f"--worddrop: --encoder {arguments.encoder} does not encode text")
        plan = Plan(
            encoder=EncoderChoice(
                name=arguments.encoder,
                model=arguments.model,
                output=arguments.output,
                device=arguments.device,
                precision=arguments.precision,
                dim=arguments.dim,
                seed=arguments.seed,
            ),
            modalities=modalities,
            drop=None if arguments.worddrop is None else WordDrop(arguments.worddrop, arguments.seed),
            batch_size=arguments.batch_size,
            workers=arguments.workers,
            processes=arguments.processes,
            shard=None if arguments.shard is None else _shard(arguments.shard),
            dtype=arguments.dtype,
            overwrite=arguments.overwrite,
            report=None if arguments.report is None else Path(arguments.report),
        )
        if plan.processes > 1 and plan.shard is not None:
            raise ConfigError("--processes and --shard are two ways to share the rows: give one of them")
        for line in extract(plan, [Path(path) for path in arguments.domains], console):
            print(line)


def _shard(text: str) -> tuple[int, int]:
    index, slash, total = text.partition("/")
    if not slash or not index.isdigit() or not total.isdigit() or not int(index) < int(total):
        raise ConfigError(f"--shard {text}: write I/N with I from 0 to N-1, such as 0/4")
    return int(index), int(total)

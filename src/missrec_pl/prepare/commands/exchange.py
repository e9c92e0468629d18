"""``released``, ``import-checkpoint``, ``merge`` and ``export``: to and from other programs' files."""

from argparse import SUPPRESS, ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console

from missrec_pl.data.domain.manifest import Manifest, check_encoders
from missrec_pl.data.domain.replacing import replacing_file
from missrec_pl.data.released import convert_released
from missrec_pl.data.released.number_types import TYPES
from missrec_pl.errors import CheckpointError, ConfigError
from missrec_pl.prepare.commands.base import Command, add_domains, add_output
from missrec_pl.prepare.exchange.exporting import write_merged, write_recbole, write_released
from missrec_pl.prepare.exchange.merging import merge_domains

_LAYOUTS = {"released": write_released, "recbole": write_recbole}


def _add_released(parser: ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="folder with <name>.train.inter")
    add_output(parser, "the domain folder; a merged source gives one folder for each domain inside it")
    told = "what numbers the feature files hold (default: float32, refused where they look like something else)"
    parser.add_argument("--feature-type", choices=TYPES, help=told)


def _released(arguments: Namespace, console: Console) -> None:
    """A folder in the authors' released format (UniSRec/RecBole atomic files)."""
    with console.status(f"converting {arguments.source}"):
        paths = convert_released(
            arguments.source, arguments.out, overwrite=arguments.overwrite, feature_type=arguments.feature_type
        )
    print(*paths, sep="\n")


def _add_import(parser: ArgumentParser) -> None:
    parser.add_argument("source", metavar="FILE", help="MISSRec-<data>-<epoch>.pth")
    add_output(parser, "the checkpoint to write, e.g. missrec.ckpt")
    parser.add_argument("--configs", help=SUPPRESS)  # of version 0.1; nothing is read from there any more


def _import_checkpoint(arguments: Namespace, console: Console) -> None:
    """A checkpoint of the authors' released program to one that ckpt= takes."""
    import torch  # here, so that --help does not wait for it

    from missrec_pl.checkpoints.imported.converting import import_released
    from missrec_pl.checkpoints.imported.reading import read_released_checkpoint

    source, out = Path(arguments.source), Path(arguments.out)
    if "=" in out.name:
        raise ConfigError(f"{out}: ckpt= takes no file name with another '=' in it; choose another name")
    with console.status(f"reading {source}"):
        checkpoint = read_released_checkpoint(source)
        try:
            imported = import_released(checkpoint)
        except CheckpointError as error:
            raise CheckpointError(f"{source} cannot be imported: {error}") from error
    if out.exists() and out.samefile(source):
        raise ConfigError(f"{out} is the file to import; choose another name")
    with replacing_file(out, overwrite=arguments.overwrite) as part:
        torch.save(imported.content, part)
    start = " ".join(["train.py", f"ckpt={out}", "model=missrec_released", *imported.flags])
    print(*imported.report, f"wrote {out}; use it like this:", sep="\n")
    print(f"python {start} data=released data.name=NAME paths.data_dir=DATA setting=inductive")
    print(f"python eval.py ckpt={out} data=released data.name=NAME paths.data_dir=DATA")


def _add_merge(parser: ArgumentParser) -> None:
    add_domains(parser)
    add_output(parser, "the folder to make; its name is the mix's name")
    told = "one domain folder, or the authors'"
    parser.add_argument("--layout", choices=("domain", "released"), default="domain", help=told)
    parser.add_argument("--allow-mixed-encoders", action="store_true", help="join what has no common space")


def _merge(arguments: Namespace, console: Console) -> None:
    """Several domain folders -> one domain folder, or the authors' merged pre-training layout."""
    paths, out = [Path(path) for path in arguments.domains], Path(arguments.out)
    if not arguments.allow_mixed_encoders:
        check_encoders([Manifest.read(path) for path in paths], "--allow-mixed-encoders")
    with console.status(f"merging into {out}"):
        if arguments.layout == "released":
            write_merged(paths, out, name=out.name, overwrite=arguments.overwrite)
        else:
            merge_domains(paths, out, overwrite=arguments.overwrite)
    print(out)


def _add_export(parser: ArgumentParser) -> None:
    parser.add_argument("domain", metavar="DOMAIN", help="domain folder")
    add_output(parser, "the folder to make; its name is the files' name")
    told = "released: rows of histories, split (default); recbole: one line for each interaction"
    parser.add_argument("--layout", choices=_LAYOUTS, default="released", help=told)


def _export(arguments: Namespace, console: Console) -> None:
    """Domain folder -> released files (authors, UniSRec, RecBole benchmark) or RecBole's plain atomic files."""
    out = Path(arguments.out)
    with console.status(f"writing {out}"):
        _LAYOUTS[arguments.layout](Path(arguments.domain), out, name=out.name, overwrite=arguments.overwrite)
    print(out)


COMMANDS = (
    Command("released", _add_released, _released),
    Command("import-checkpoint", _add_import, _import_checkpoint),
    Command("merge", _add_merge, _merge),
    Command("export", _add_export, _export),
)

"""``import-checkpoint FILE OUT``: weights of the authors' program, to be used as ``ckpt=``."""

from argparse import ArgumentParser, Namespace
from importlib import import_module
from pathlib import Path

from rich.console import Console

from missrec_pl.data.domain.replacing import replacing_file
from missrec_pl.errors import CheckpointError, ConfigError
from missrec_pl.prepare.commands.base import add_output


class ImportCheckpoint:
    """Converts a checkpoint of the authors' program; nothing in it is run."""

    name = "import-checkpoint"
    help = "a checkpoint of the authors' released program to one that ckpt= takes"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        parser.add_argument("source", metavar="FILE", help="MISSRec-<data>-<epoch>.pth")
        add_output(parser, "the checkpoint to write, e.g. missrec.ckpt")
        parser.add_argument(
            "--configs", default="configs", help="the project's config folder (default: ./configs)"
        )

    def run(self, arguments: Namespace, console: Console) -> None:
        """Converts, then says what became of every tensor and how to use the file."""
        import torch  # here, so that --help does not wait for it

        from missrec_pl.checkpoints.imported.reading import read_released_checkpoint

        # By name: composing the config that such a checkpoint lacks is the work of a layer above this one.
        import_released = import_module("missrec_pl.experiment.imported").import_released

        source, out = Path(arguments.source), Path(arguments.out)
        if "=" in out.name:
            raise ConfigError(f"{out}: ckpt= takes no file name with another '=' in it; choose another name")
        with console.status(f"reading {source}"):
            checkpoint = read_released_checkpoint(source)
            try:
                imported = import_released(checkpoint, arguments.configs)
            except CheckpointError as error:
                raise CheckpointError(f"{source} cannot be imported: {error}") from error
        if out.exists() and out.samefile(source):
            raise ConfigError(f"{out} is the file to import; choose another name")
        with replacing_file(out, overwrite=arguments.overwrite) as part:
            torch.save(imported.content, part)
        for line in imported.report:
            print(line)
        start = " ".join(["train.py", f"ckpt={out}", "model=missrec_released", *imported.flags])
        print(f"wrote {out}; use it like this:")
        print(f"python {start} data=released data.name=NAME paths.data_dir=DATA setting=inductive")
        print(f"python eval.py ckpt={out} data=released data.name=NAME paths.data_dir=DATA")

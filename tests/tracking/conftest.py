import json
from types import SimpleNamespace

import pytest
from runs import tiny
from wandb_file import SECRETS, records_of


@pytest.fixture(scope="session")
def tracked(tmp_path_factory):
    """A small run with every logger, read by all tests; its environment holds secrets."""
    from missrec_pl.experiment.train import train

    place = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SECRETS, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}.items():
            patch.setenv(name, value)
        for name in ("WANDB_DIR", "WANDB_SWEEP_ID", "WANDB_RUN_ID"):
            patch.delenv(name, raising=False)
        patch.setenv("WANDB_DATA_DIR", str(place / "staged"))
        cfg = tiny(
            place,
            *("logger=many", "logger.wandb.artifacts=[best,results,ranks,data]", "trainer.max_epochs=2"),
            *("tags=[trial,small]", "baselines.names=[popularity,text_knn]", "trainer.log_every_n_steps=1"),
            "notes='key 0123456789-very-secret in ${oc.env:SHOP_PLACE}'",
        )
        results = train(cfg)
    folder = place / "run"
    return SimpleNamespace(
        folder=folder,
        place=place,
        results=results,
        records=records_of(folder / "wandb"),
        note=json.loads((folder / "wandb_run.json").read_text()),
    )

"""Runtime shape checks for all tests, and the data and trainers that several of them share."""

from jaxtyping import install_import_hook

# Before anything imports the packages, so that every annotation is checked while testing.
install_import_hook(
    ["missrec_pl.nn", "missrec_pl.losses", "missrec_pl.metrics", "missrec_pl.clustering"], "beartype.beartype"
)

import importlib  # noqa: E402
import inspect  # noqa: E402

import lightning as L  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import settings  # noqa: E402
from memory_domain import MemoryDomain  # noqa: E402

from missrec_pl.data.synthetic import SyntheticDomains  # noqa: E402

torch.set_num_threads(1)
settings.register_profile("busy machine", deadline=None)  # a shared core makes single examples slow
settings.load_profile("busy machine")


def pytest_collection_modifyitems(items):
    """Tests that train are silent about what says nothing, as the entry points are; other warnings stay errors."""
    noise = importlib.import_module("missrec_pl.experiment.cli").NOISE
    for item in items:
        if {"compat", "integration", "noise"} & set(item.path.parts):
            for message in noise:
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{message}"))


@pytest.fixture(autouse=True)
def _nothing_announced_yet():
    """What is logged once per process may be logged in every test."""
    importlib.import_module("missrec_pl.clustering.dpc_knn")._announce.cache_clear()


@pytest.fixture(scope="session")
def memory_domain():
    return MemoryDomain


@pytest.fixture(scope="session")
def synthetic_source(tmp_path_factory):
    """Makes sources of tiny domains; some items lack text, more lack the image."""
    cache = tmp_path_factory.mktemp("synthetic")

    def make(**changes):
        settings = {
            "num_domains": 1,
            "num_users": 36,
            "num_items": 30,
            "num_interests": 3,
            "min_length": 3,
            "max_length": 9,
            "dims": {"text": 7, "image": 5},
            "missing": {"text": 0.1, "image": 0.4},
        }
        source = SyntheticDomains(cache, **{**settings, **changes})
        source.prepare()
        return source

    return make


@pytest.fixture
def make_trainer(tmp_path):
    """A silent CPU trainer that writes nothing unless told to."""

    def make(*callbacks, **changes):
        settings = {
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
            "use_distributed_sampler": False,
            "default_root_dir": tmp_path,
        }
        unknown = set(changes) - set(inspect.signature(L.Trainer.__init__).parameters)
        assert not unknown, unknown
        return L.Trainer(callbacks=list(callbacks), **{**settings, **changes})

    return make

"""``trainer.predict`` and its file: what serving recommends, whatever the number of processes."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf
from runs import composed, places, run_cli
from served_runs import RUNS, SHORT, SMALL

from missrec_pl.config.validation import validate_config
from missrec_pl.errors import ConfigError
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.rebuilding import data_of
from missrec_pl.serving import load
from missrec_pl.serving.batch import recommend_file

NAME = "recommendations.parquet"


def by_user(file):
    """Items and scores of each user, and the users in the order of the file."""
    found = {}
    for row in pq.read_table(file).to_pylist():
        assert row["rank"] == len(found.setdefault(row["user"], [])) + 1
        found[row["user"]].append((row["item"], row["score"]))
    return found


def same(found, wanted):
    """Users in one order, scores to 1e-5, and the same items but for ties."""
    assert list(found) == list(wanted)
    for user, mine in found.items():
        theirs = wanted[user]
        scores, others = (np.array([score for _, score in one]) for one in (mine, theirs))
        np.testing.assert_allclose(scores, others, atol=1e-5)
        clear = others > others[-1] + 1e-5
        assert {mine[n][0] for n in clear.nonzero()[0]} == {theirs[n][0] for n in clear.nonzero()[0]}, user


def served(checkpoint, folder, out, *, exclude_seen=True):
    """What serving writes for the whole sequences of all users."""
    data = data_of(checkpoint)
    (domain,), path = data.catalogue.domains, out.with_suffix(".histories.parquet")
    raw = np.array(domain.raw_item_ids(), dtype=object)
    histories = [raw[domain.sequences.of(user)].tolist() for user in range(domain.num_users)]
    sequences = domain.sequences
    times = [sequences.timestamps[a:b].tolist() for a, b in pairwise(sequences.offsets)]
    pq.write_table(pa.table({"user": domain.raw_user_ids(), "history": histories, "times": times}), path)
    recommend_file(load(folder), path, out, k=7, exclude_seen=exclude_seen)
    return by_user(out)


@pytest.fixture(scope="module")
def predicted(checkpoint, shared):
    """Gives the file that an evaluation of a run writes."""

    def of(name, *more):
        folder = shared / f"predicted-{name}-{len(more)}"
        words = (f"ckpt={checkpoint(name)}", "trainer=cpu", "recommend.k=7", *more)
        evaluate(composed(*words, *places(shared, folder.name), config="eval"))
        return folder / NAME

    return of


@pytest.mark.parametrize(
    "name", ["tuned", *(pytest.param(one, marks=pytest.mark.slow) for one in ("hstu", "bert4rec", "paper"))]
)
def test_an_evaluation_writes_what_serving_recommends(predicted, checkpoint, bundle, tmp_path, name):
    file = predicted(name)
    same(by_user(file), served(checkpoint(name), bundle(name), tmp_path / NAME))
    assert pq.read_schema(file).remove_metadata() == pq.read_schema(tmp_path / NAME).remove_metadata()


@pytest.mark.slow
def test_with_what_users_have_seen(predicted, checkpoint, bundle, tmp_path):
    wanted = served(checkpoint("tuned"), bundle("tuned"), tmp_path / NAME, exclude_seen=False)
    same(by_user(predicted("tuned", "recommend.with_seen=true")), wanted)


@pytest.mark.slow
def test_domains_stay_apart_and_say_whose_users_are(predicted):
    found = by_user(predicted("s3rec_pretrained"))
    assert len({user.partition(":")[0] for user in found}) > 1
    for user, items in found.items():
        assert {item.partition(":")[0] for item, _ in items} == {user.partition(":")[0]}
        assert len({item for item, _ in items}) == len(items) == 7


def test_a_failure_leaves_the_file_that_was_there(predicted, monkeypatch):
    file = predicted("tuned")
    before = file.read_bytes()
    monkeypatch.setattr("missrec_pl.callbacks.recommendations_file.RankedRows", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predicted("tuned")
    assert file.read_bytes() == before
    assert {one.name for one in file.parent.iterdir() if "recommendations" in one.name} == {NAME}


@pytest.mark.parametrize("wrong", ["recommend.k=0", "recommend.k=2.5", "recommend.with_seen=maybe"])
def test_what_cannot_be_asked_for(wrong):
    cfg = composed("data=synthetic")
    OmegaConf.update(cfg, *wrong.split("="))
    with pytest.raises(ConfigError, match=wrong.partition("=")[0]):
        validate_config(cfg)


@pytest.mark.slow
def test_two_processes_write_what_one_writes(checkpoint, predicted, tmp_path, shared):
    words = (f"ckpt={checkpoint('tuned')}", "recommend.k=7", f"hydra.run.dir={tmp_path / 'two'}")
    done = run_cli(*words, "trainer=ddp_sim", "+baselines.names=[]", script="eval.py", timeout=900)
    assert done.returncode == 0, done.stderr
    same(by_user(tmp_path / "two" / NAME), by_user(predicted("tuned")))


@pytest.mark.slow
def test_a_training_run_writes_it_at_its_end(tmp_path):
    words = ("data=synthetic", *RUNS["sasrec"], *SMALL, *SHORT, f"paths.cache_dir={tmp_path / 'cache'}")
    done = run_cli(*words, "recommend.k=3", f"hydra.run.dir={tmp_path / 'run'}", timeout=900)
    assert done.returncode == 0, done.stderr
    found = by_user(tmp_path / "run" / NAME)
    assert found
    assert {len(items) for items in found.values()} == {3}

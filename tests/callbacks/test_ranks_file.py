import pyarrow.parquet as pq
import pytest
import torch
from tiny_fit import make_module

from missrec_pl.callbacks import InterestRefresh, RanksFile
from missrec_pl.data.splits import make_split
from missrec_pl.data.synthetic import SyntheticDomains
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.metrics import RankingMetrics


def written(
    source: SyntheticDomains, make_trainer, folder, **split
) -> tuple[dict[str, list], DomainDataModule, dict]:
    """The columns that one test of an untrained network writes, the data, and the logged metrics."""
    datamodule = DomainDataModule([source], batch_size=48, eval_batch_size=7, **split)
    datamodule.setup()
    trainer = make_trainer(InterestRefresh(), RanksFile(str(folder)))
    trainer.test(make_module(datamodule), datamodule=datamodule, verbose=False)
    return pq.read_table(folder / "test_ranks.parquet").to_pydict(), datamodule, trainer.callback_metrics


def test_one_line_per_test_user_with_ids_of_its_own_domain(synthetic_source, make_trainer, tmp_path):
    columns, datamodule, _ = written(synthetic_source(num_domains=2), make_trainer, tmp_path)
    described = ["domain", "user", "item", "item_count", "history_length", "redundancy"]
    assert list(columns) == [*described, "rank", "rank_history_excluded"]
    row = 0
    for domain in datamodule.catalogue.domains:
        for user in range(domain.num_users):
            items = domain.sequences.of(user).tolist()
            assert (columns["domain"][row], columns["user"][row]) == (domain.name, user)
            assert columns["item"][row] == items[-1]
            assert columns["history_length"][row] == len(items) - 1
            row += 1
    assert row == len(columns["rank"])


def test_a_user_with_several_targets_has_a_line_for_each(synthetic_source, make_trainer, tmp_path):
    source = synthetic_source()
    columns, datamodule, logged = written(source, make_trainer, tmp_path, split="global_time", eval_target="all")
    (domain,) = datamodule.catalogue.domains
    test = make_split(domain.sequences, "global_time", eval_target="all").test
    assert columns["user"] == test.user.tolist()
    assert len(set(columns["user"])) < len(test)
    targets = [int(domain.sequences.of(user)[place]) for user, place in zip(test.user, test.target, strict=True)]
    assert columns["item"] == targets
    assert float(logged["test/mrr"]) == pytest.approx(sum(1 / rank for rank in columns["rank"]) / len(test))


def test_item_count_is_of_the_training_part_alone(synthetic_source, make_trainer, tmp_path):
    columns, datamodule, _ = written(synthetic_source(num_domains=2), make_trainer, tmp_path)
    trained: dict[str, list[int]] = {}
    for domain in datamodule.catalogue.domains:
        split = make_split(domain.sequences, "leave_one_out")
        users = range(domain.num_users)
        trained[domain.name] = [
            item for user in users for item in domain.sequences.of(user)[: split.train_length[user]].tolist()
        ]
    rows = list(zip(columns["domain"], columns["item"], strict=True))
    assert columns["item_count"] == [trained[domain].count(item) for domain, item in rows]
    assert len(set(columns["item_count"])) > 2


def test_redundancy_is_the_mean_cosine_of_the_historys_items(synthetic_source, make_trainer, tmp_path):
    columns, datamodule, _ = written(synthetic_source(num_domains=2), make_trainer, tmp_path)
    domains = {domain.name: domain for domain in datamodule.catalogue.domains}
    for row, (name, user) in enumerate(zip(columns["domain"], columns["user"], strict=True)):
        domain, cosines = domains[name], []
        items = domain.sequences.of(user)[:-1].tolist()
        for modality in domain.modalities:
            present, features = domain.present(modality), domain.features(modality)
            vectors = [torch.tensor(features[i]).float() for i in items if present[i]]
            cosines += [
                torch.cosine_similarity(a, b, dim=0).item() for n, a in enumerate(vectors) for b in vectors[:n]
            ]
        found = columns["redundancy"][row]
        assert found == pytest.approx(sum(cosines) / len(cosines), abs=1e-5) if cosines else found is None


def test_ranks_make_the_metrics_and_a_second_test_replaces_the_file(synthetic_source, make_trainer, tmp_path):
    source = synthetic_source()
    first, _, _ = written(source, make_trainer, tmp_path)
    columns, _, logged = written(source, make_trainer, tmp_path)
    assert len(columns["rank"]) == len(first["rank"]) == 36
    for column, prefix in (("rank", "test"), ("rank_history_excluded", "test_history_excluded")):
        metrics = RankingMetrics(ks=(1, 5))
        metrics.update(torch.tensor(columns[column]))
        for name, value in metrics.compute().items():
            assert abs(float(logged[f"{prefix}/{name}"]) - float(value)) < 1e-7
    pairs = list(zip(columns["rank"], columns["rank_history_excluded"], strict=True))
    assert all(excluded <= rank for rank, excluded in pairs)
    assert any(excluded < rank for rank, excluded in pairs)

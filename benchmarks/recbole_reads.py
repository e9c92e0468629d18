"""Whether RecBole reads what ``prepare export`` wrote: both layouts, held against the domain folder.

RecBole has dependencies of its own; run this in a separate environment that has it and this package:
    python benchmarks/recbole_reads.py DOMAIN RELEASED_EXPORT RECBOLE_EXPORT
where the exports come from ``prepare export DOMAIN OUT`` and ``prepare export DOMAIN OUT --layout recbole``.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

for old, new in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_)):
    if not hasattr(np, old):  # RecBole 1.2.1 asks for names that NumPy 2 dropped
        setattr(np, old, new)

from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset  # noqa: E402

from missrec_pl.data.domain.folder import Domain  # noqa: E402


def load(folder: Path, **settings: Any) -> Any:
    fields = {"USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id"}
    fixed = {"data_path": str(folder.parent), "train_neg_sample_args": None, "use_gpu": False}
    return create_dataset(Config(model="SASRec", dataset=folder.name, config_dict={**fields, **fixed, **settings}))


def check_released(folder: Path, domain: Domain) -> None:
    fields = {"inter": ["user_id", "item_id_list", "item_id"]}
    settings = {"benchmark_filename": ["train", "valid", "test"], "alias_of_item_id": ["item_id_list"]}
    dataset = load(folder, load_col=fields, **settings)
    lengths = domain.sequences.lengths()
    rows = int(np.maximum(lengths - 1, 0).sum())
    assert len(dataset.inter_feat) == rows, (len(dataset.inter_feat), rows)
    last = dataset.inter_feat.iloc[-1]
    user = int(dataset.field2id_token["user_id"][int(last["user_id"])])
    tokens = dataset.field2id_token["item_id"]
    history = [int(tokens[int(item)]) + 1 for item in last["item_id_list"] if int(item)]
    sequence = domain.sequences.of(user).tolist()
    assert [*history, int(tokens[int(last["item_id"])]) + 1] == sequence[-len(history) - 1 :], (history, sequence)
    print(f"released layout: {rows:,} rows, as expected; the last test row is user {user}'s sequence")


def check_recbole(folder: Path, domain: Domain) -> None:
    fields = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "text"]}
    dataset = load(folder, load_col=fields, TIME_FIELD="timestamp")
    used = len(np.unique(domain.sequences.items))
    assert len(dataset.inter_feat) == len(domain.sequences.items)
    assert dataset.user_num - 1 == domain.num_users
    assert dataset.item_num - 1 >= used
    print(f"recbole layout: {len(dataset.inter_feat):,} interactions, {dataset.user_num - 1:,} users, as expected")


def main() -> None:
    domain = Domain.open(sys.argv[1])
    check_released(Path(sys.argv[2]).resolve(), domain)
    check_recbole(Path(sys.argv[3]).resolve(), domain)


if __name__ == "__main__":
    main()

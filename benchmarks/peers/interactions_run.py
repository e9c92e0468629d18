"""What others make of raw interactions, for `interactions.py`.

interactions_run.py recbole FOLDER           by the Python of RecBole's environment; on FOLDER/atomic
interactions_run.py unisrec SOURCES FOLDER   SOURCES: dataset/preprocessing of UniSRec; on Ratings and Metadata
"""

import importlib
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any


def recbole(folder: str) -> None:
    """Reads an atomic file, leaves out repeats and takes the 5-core."""
    import numpy as np

    for old, new in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_)):
        if not hasattr(np, old):  # RecBole 1.2.1 asks for names that NumPy 2 dropped
            setattr(np, old, new)
    from recbole.config import Config
    from recbole.data import create_dataset

    sys.argv[1:] = []
    settings = {
        "data_path": folder, "use_gpu": False, "train_neg_sample_args": None, "rm_dup_inter": "first",
        "USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "TIME_FIELD": "timestamp",
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "user_inter_num_interval": "[5,inf)", "item_inter_num_interval": "[5,inf)",
    }  # fmt: skip
    found = create_dataset(Config(model="SASRec", dataset="atomic", config_dict=settings))
    tell(len(found.inter_feat), found.user_num - 1, found.item_num - 1)


def unisrec(sources: str, folder: str) -> None:
    """The published steps from ratings and metadata to files, but for the language model."""
    for name in ("torch", "transformers"):  # what only the language model needs
        sys.modules[name] = ModuleType(name)
    sys.modules["transformers"].__dict__.update(AutoModel=None, AutoTokenizer=None)
    sys.path.insert(0, sources)
    steps: Any = importlib.import_module("process_amazon")
    dataset, out = "Scientific", Path(folder, "unisrec")
    settings = Namespace(dataset=dataset, user_k=5, item_k=5, input_path=folder, output_path=str(out))
    ratings = steps.preprocess_rating(settings)
    texts = steps.preprocess_text(settings, ratings)
    *parts, users, items = steps.generate_training_data(settings, ratings)
    (out / dataset).mkdir(parents=True)
    steps.convert_to_atomic_files(settings, *parts)
    steps.write_text_file(texts, str(out / dataset / f"{dataset}.text"))
    for name, known in (("user2index", users), ("item2index", items)):
        steps.write_remap_index(known, str(out / dataset / f"{dataset}.{name}"))
    tell(len(ratings), len(users), len(items))


def tell(interactions: int, users: int, items: int) -> None:
    print(f"left: {interactions:,} interactions, {users:,} users, {items:,} items")


if __name__ == "__main__":
    {"recbole": recbole, "unisrec": unisrec}[sys.argv[1]](*sys.argv[2:])

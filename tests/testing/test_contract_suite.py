"""Every network of the project keeps the contract, and the suite notices one that does not."""

import pytest
import torch

from missrec_pl.nn.bert4rec import BERT4Rec
from missrec_pl.nn.contract import Items, Recommender, Users
from missrec_pl.nn.fdsa import FDSA
from missrec_pl.nn.gru4rec import GRU4Rec
from missrec_pl.nn.hstu import HSTU
from missrec_pl.nn.interests import InterestSettings
from missrec_pl.nn.ligr import LiGR
from missrec_pl.nn.missrec import ContextEncoder, IDOnly, InterestEncoder, MISSRec, MISSRecReleased
from missrec_pl.nn.s3rec import S3Rec
from missrec_pl.nn.sasrec import SASRec
from missrec_pl.nn.unisrec import UniSRec
from missrec_pl.nn.vqrec import VQRec
from missrec_pl.testing import ContractError, check_recommender, contract_suite

SMALL = {"hidden_size": 8, "num_heads": 2, "inner_size": 10, "dropout": 0.0}
HSTU_SMALL = {"hidden_size": 8, "num_heads": 2, "dropout": 0.0}
CODES = {**SMALL, "code_dim": 2, "code_cap": 4}
MISSREC = {**SMALL, "interests": InterestSettings(num_prototypes=6)}
NETWORKS = {
    "bert4rec": (BERT4Rec, SMALL),
    "gru4rec": (GRU4Rec, {"embedding_size": 6, "hidden_size": 8, "dropout": 0.0}),
    "gru4rec of two layers": (GRU4Rec, {"embedding_size": 8, "hidden_size": 8, "num_layers": 2, "dropout": 0.0}),
    "sasrec": (SASRec, SMALL),
    "sasrec of features": (SASRec, {**SMALL, "items_from": "features"}),
    "sasrec of features and ids": (SASRec, {**SMALL, "items_from": "features", "item_ids": True, "cosine": True}),
    "sasrec of rectools": (SASRec, {**SMALL, "block": "rectools", "scale": True}),
    "sasrec of rectools, as published": (SASRec, {**SMALL, "block": "rectools", "reference": True}),
    "gsasrec": (SASRec, {**SMALL, "block": "gsasrec", "table": "separate"}),
    "ligr": (LiGR, SMALL),
    "ligr of features, as published": (LiGR, {**SMALL, "items_from": "features", "reference": True}),
    "hstu": (HSTU, HSTU_SMALL),
    "hstu without times": (HSTU, {**HSTU_SMALL, "relative_time": False, "cosine": False}),
    "fdsa": (FDSA, SMALL),
    "fdsa of attributes": (FDSA, {**SMALL, "side": "attributes"}),
    "fdsa of noise": (FDSA, {**SMALL, "reference": True}),
    "s3rec": (S3Rec, SMALL),
    "missrec": (MISSRec, MISSREC),
    "missrec with ids": (MISSRec, {**MISSREC, "item_ids": True}),
    "missrec from the start": (MISSRec, {**MISSREC, "positions_from": "start"}),
    "released": (MISSRecReleased, MISSREC),
    "released with ids": (MISSRecReleased, {**MISSREC, "item_ids": True}),
    "released contextual": (MISSRecReleased, {**MISSREC, "sequence_fusion": "contextual"}),
    "released collaborative": (MISSRecReleased, {**MISSREC, "collaborative": 3, "item_ids": True}),
    "released, static fusion": (MISSRecReleased, {**MISSREC, "fusion_concentration": None}),
    "ids only": (IDOnly, MISSREC),
    "unisrec": (UniSRec, {**SMALL, "num_experts": 2, "adapter_dropout": 0.0}),
    "unisrec with ids": (UniSRec, {**SMALL, "num_experts": 2, "item_ids": True}),
    "vqrec": (VQRec, CODES),
    "vqrec, learned assignment": (VQRec, {**CODES, "assignment": "learned"}),
    "context encoder": (ContextEncoder, MISSREC),
    "interest encoder": (InterestEncoder, MISSREC),
}

SLOW = ("bert4rec", "gru4rec", "gsasrec", "hstu")


@pytest.mark.parametrize("name", NETWORKS)
def test_our_networks_keep_the_contract(name):
    network, options = NETWORKS[name]
    check_recommender(network, options, processes=False)


@pytest.mark.parametrize(
    "name", ["sasrec", "released collaborative", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_two_processes_are_one(name, monkeypatch):
    monkeypatch.setattr(contract_suite, "TWO_PROCESSES", "ddp_fork")  # which import nothing anew
    network, options = NETWORKS[name]
    check_recommender(network, options)


class Plain(Recommender):
    """The mean of the history's item embeddings: the smallest network that keeps the contract."""

    item_bound = ("table.",)

    def __init__(self, data, *, fault=None):
        super().__init__()
        self.fault = fault
        self.table = torch.nn.Embedding(data.num_items + 1, 4, padding_idx=0)
        self.unused = torch.nn.Linear(2, 2) if fault == "unused weights" else None
        if fault == "a tensor of its own":
            self.scale = torch.full((), 2.0)
        self.reads = frozenset({"features"} if fault == "wrong declaration" else {"ids"})
        if fault == "unread times":
            self.reads |= {"timestamps"}

    def encode_items(self, inputs):
        vectors = self.table(inputs.ids)
        if self.fault == "a tensor of its own":
            vectors = vectors * self.scale
        if self.fault == "neighbours":
            vectors = vectors - vectors.mean(0)
        if self.fault == "reads features":
            vectors = vectors + inputs.dense("text")[:, :4]
        return Items(vectors[:-1] if self.fault == "one short" else vectors, inputs.ids)

    def encode_histories(self, history, items):
        vectors = items.vectors[history.rows]
        if self.fault == "padding":
            return Users(vectors.mean(1))
        return Users((vectors * ~history.is_padding[..., None]).sum(1) / history.length[:, None])

    def score(self, users, items):
        scores = super().score(users, items)
        return scores.softmax(1) if self.fault == "candidates" else scores


def test_the_smallest_network_keeps_it():
    check_recommender(Plain, processes=False)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("one short", "vectors of"),
        ("neighbours", "beside other items"),
        ("padding", "padding"),
        ("candidates", "candidates"),
        ("unused weights", "no gradient reaches unused.weight"),
        ("a tensor of its own", "a bundle cannot hold it"),
        ("reads features", "reads features and does not declare"),
        ("wrong declaration", "declares features and does not read"),
        ("unread times", "declares timestamps and does not read"),
    ],
)
def test_faults_are_noticed(fault, message):
    with pytest.raises(ContractError, match=message):
        check_recommender(Plain, {"fault": fault}, processes=False)

"""Configs that cannot work."""

from bad_input import config_case

config_case("an unknown option of a group", ("model=bert",), "'model/bert'", "missrec_released")
config_case("an unknown key", ("model.hidden_sise=64",), "model.hidden_sise", "--cfg job")
config_case("a value of the wrong kind", ("seed=abc",), "seed=abc: must be a whole number")
config_case("a seed below zero", ("seed=-1",), "seed=-1: must be a whole number from 0")
config_case("not a number", ("optim.optimizer.lr=nan",), "optim.optimizer.lr=nan: must be a number above 0")
config_case("an infinite number", ("objective.temperature=inf",), "objective.temperature=inf: must be a number")
config_case("a share above one", ("interest.num_prototypes=1.5",), "interest.num_prototypes=1.5: must be")
config_case(
    "a batch of a thousand and a half", ("data.batch_size=1.5e3",), "data.batch_size=1500.0: must be a whole"
)
config_case(
    "heads that do not divide the width", ("model.num_heads=7",), "model.hidden_size=300: must be a multiple"
)
config_case("no cut-offs", ("metrics.ks=[]",), "metrics.ks=[]: must be distinct whole numbers")
config_case("a text in place of a list", ("data.modalities=text",), "data.modalities=text: must be a list")
config_case(
    "a checkpoint that is not there", ("ckpt=/no/where.ckpt",), "ckpt=/no/where.ckpt: there is no such file"
)
config_case("a run that is not there", ("resume=/no/run",), "resume=/no/run: there is no such file")
config_case("a test metric for a sweep", ("optimized_metric=test/mrr",), "may not see the test split")
config_case("a class that does not exist", ("model._target_=missrec_pl.nn.Missing",), "cannot be imported")
config_case("an interpolation without a target", ("seed=${no.such.key}",), "seed: Interpolation key 'no.such.key'")
config_case("quotes that do not close", ("data.name='shop",), "data.name", "'shop")
config_case("no value at all", ("data=released",), "data.name is missing: give data.name=<value>")

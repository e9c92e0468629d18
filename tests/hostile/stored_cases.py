"""Changes to the config of a checkpoint that would run something, and what is said of each."""

import torch

RECORD = "missrec_pl"
TRACE = "HARM"
MKDIR = {"_target_": "os.mkdir", "path": TRACE}
LEFT = ""
"""Of a section that no evaluation builds: it is left out, and the evaluation goes on."""


def changed(source, target, change):
    """A copy of a checkpoint with another config: plain containers alone, as torch reads them."""
    content = torch.load(source, weights_only=True)
    change(content[RECORD]["config"])
    torch.save(content, target)
    return target


def put(name, value):
    """The change that puts a value in the place of a flag's."""

    def change(config):
        *above, last = name.split(".")
        for key in above:
            config = config[key]
        config[last] = value

    return change


def call(target, **arguments):
    return {"_target_": target, **arguments}


def in_list(config):
    config["data"]["source"] = [config["data"]["source"], MKDIR]


def concatenated(config):
    config["dollar"], config["rest"] = "$", "{trace:x}"
    config["setting"]["name"] = "${dollar}${rest}"


def made_of_parts(config):
    config["first"], config["objective"]["augmentation"] = "os", {"_target_": "${first}.mkdir", "path": TRACE}


def endless(config):
    config["data"]["name"] = "${data.name}"


CASES = {
    "os.system": (put("model", call("os.system", command=f"touch {TRACE}")), "model._target_ names os.system"),
    "eval": (put("objective.augmentation", call("builtins.eval", _args_=["1"])), "augmentation._args_"),
    "exec": (put("objective.augmentation", call("builtins.exec")), "augmentation._target_ names builtins.exec"),
    "subprocess.run": (
        put("data.source", call("subprocess.run", args=["touch", TRACE])),
        "data.source._target_ names subprocess.run, which no run of this project needs",
    ),
    "get_method": (
        put("interest.method", call("hydra.utils.get_method", path="os.mkdir")),
        "hydra.utils.get_method",
    ),
    "call": (put("data.source", call("hydra.utils.call", config=MKDIR)), "hydra.utils.call"),
    "functools.partial": (put("interest.method", call("functools.partial")), "functools.partial"),
    "nested": (put("objective.augmentation.probability", MKDIR), "objective.augmentation.probability._target_"),
    "in a list": (in_list, "data.source[1]._target_ names os.mkdir"),
    "a module of the phase": (put("phase.module", MKDIR), "phase.module._target_ names os.mkdir"),
    "inside of a callback that is kept": (put("callbacks.interest_refresh.method", MKDIR), "names os.mkdir"),
    "a name made of parts": (made_of_parts, "objective.augmentation._target_ names os.mkdir"),
    "a section of its own": (put("mine", MKDIR), "mine._target_ names os.mkdir"),
    "_partial_": (put("objective._partial_", True), "objective._partial_ changes what is built"),
    "_recursive_": (put("model._recursive_", False), "model._recursive_ changes what is built"),
    "_convert_": (put("model._convert_", ["all"]), "model._convert_"),
    "a list as a target": (put("model._target_", ["os.mkdir"]), "model._target_ is a list"),
    "a number as a target": (put("model._target_", 3), "model._target_ is a int"),
    "a near name": (put("model._target_", "missrec_pl_evil.Net"), "if you trust the package missrec_pl_evil"),
    "a name without a package": (put("model._target_", "eval"), "model._target_ names eval"),
    "an import of the project's": (
        put("data.source._target_", "missrec_pl.data.sources.Path"),
        "sources.Path, which is",
    ),
    "a program by a module of the project's": (
        put("data.source._target_", "missrec_pl.experiment.jobs.subprocess.run"),
        "none of the classes of this project",
    ),
    "a library by a module of the project's": (
        put("model._target_", "missrec_pl.nn.missrec.released.torch.hub.load"),
        "none of the classes of this project",
    ),
    "a function of the project's that writes": (
        put("data.source._target_", "missrec_pl.experiment.results.write_results"),
        "none of the classes of this project",
    ),
    "oc.env": (put("data.name", "${oc.env:HOME}"), "data.name holds ${oc.env:HOME}"),
    "oc.decode": (put("data.name", "${oc.decode:'${trace:x}'}"), "data.name holds ${trace:x}"),
    "oc.create": (put("data.modalities", "${oc.create:[text]}"), "data.modalities holds ${oc.create:[text]}"),
    "hydra": (put("data.name", "${hydra:job.name}"), "${hydra:job.name}"),
    "now": (put("data.name", "${now:%Y}"), "${now:%Y}"),
    "a resolver in a key": (put("data.name", "${data.${trace:x}}"), "${trace:x}"),
    "a resolver in compat": (put("objective.seq_seq_form", "${compat:${trace:x},paper}"), "${trace:x}"),
    "an escaped resolver": (put("data.name", "\\${trace:x}"), "cannot be filled in"),
    "a resolver of two values": (concatenated, "holds ${trace:x}"),
    "a reference to itself": (endless, "refers to itself"),
    "a tensor": (put("seed", torch.zeros(2)), "seed holds a Tensor"),
    "a resolver among the paths": (put("paths.own", "${trace:x}"), "paths.own holds ${trace:x}"),
    "a class in the command": (put("command", {"ckpt_origin": MKDIR}), "command.ckpt_origin names a class"),
    "a callback": (put("callbacks.mine", MKDIR), LEFT),
    "the interest refresh": (put("callbacks.interest_refresh", MKDIR), LEFT),
    "a logger": (put("logger.csv", MKDIR), LEFT),
    "an optimiser": (put("optim.optimizer", MKDIR), LEFT),
    "a trainer": (put("trainer", MKDIR), LEFT),
    "Hydra's own": (put("hydra", {"callbacks": {"mine": MKDIR}}), LEFT),
    "a resolver of a path that is said anew": (put("paths.output_dir", "${trace:x}"), LEFT),
    "a resolver in ckpt": (put("ckpt", "${trace:x}"), LEFT),
    "a resolver in the command": (put("command", {"overrides": ["seed=${trace:x}"]}), LEFT),
}

"""Encoders by the name that ``--encoder`` takes. Libraries are imported when an encoder is made, not before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.encoders.base import READS, BatchTextEncoder, Encoder, ImageEncoder, ItemEncoder, Recipe

if TYPE_CHECKING:
    from missrec_pl.prepare.encoders.devices import Compute

ENCODERS = {  # what each encodes
    "clip": ("text", "image"),
    "sentence": ("text",),
    "lsa": ("text",),
    "timm": ("image",),
    "efficientnet-lite0": ("image",),
}
_RECIPES: dict[type, str] = {ItemEncoder: "recipe", BatchTextEncoder: "text_recipe", ImageEncoder: "image_recipe"}


@dataclass(frozen=True)
class EncoderChoice:
    """What the user asks for; plain values, so that it can be sent to other processes."""

    name: str  # a key of ``ENCODERS``, or ``package.module:Class`` of an encoder outside this package
    model: str | None = None  # name or folder of the model; None: the encoder's default
    output: str = "projected"  # CLIP: ``projected`` or ``cls``
    device: str = "auto"  # a torch device, or ``auto``
    precision: str = "auto"  # ``auto``, ``fp32``, ``fp16`` or ``bf16``
    dim: int = 512  # LSA: width of the vectors
    seed: int = 0  # LSA: seed of the SVD

    def __post_init__(self) -> None:
        if self.name not in ENCODERS and not self.is_outside:
            known = ", ".join(ENCODERS)
            raise ConfigError(f"--encoder {self.name}: choose one of {known}, or name a class as module:Class")

    @property
    def is_outside(self) -> bool:
        """Whether the encoder is a class outside this package."""
        return ":" in self.name

    def modalities(self) -> tuple[str, ...]:
        """The modalities that are made if none is named; none for an ``ItemEncoder``, which makes any.

        Raises:
            ConfigError: It is outside this package and cannot be imported.
        """
        if not self.is_outside:
            return ENCODERS[self.name]
        methods = {"text": "encode_texts", "image": "encode_images"}
        return tuple(name for name, method in methods.items() if hasattr(_imported(self.name), method))

    def on_gpu(self, number: int) -> EncoderChoice:
        """The same on one of the GPUs, if the device is left open and there are several."""
        import torch

        gpus = torch.cuda.device_count()
        if self.device not in ("auto", "cuda") or gpus < 2:
            return self
        return replace(self, device=f"cuda:{number % gpus}")

    def build(self) -> Encoder:
        """The encoder, its weights loaded.

        Raises:
            ConfigError: Its library is missing, its model cannot be loaded, or a class outside this package cannot
                be imported or offers none of the protocols.
        """
        from missrec_pl.prepare.encoders.devices import Compute  # with torch: --help does not wait for it

        compute = Compute(self.device, self.precision)
        if self.is_outside:
            return self._outside(compute)
        if self.name == "clip":
            from missrec_pl.prepare.encoders import clip

            return clip.ClipEncoder(self.model or clip.DEFAULT_MODEL, self.output, compute)
        if self.name == "sentence":
            from missrec_pl.prepare.encoders import sentence

            return sentence.SentenceEncoder(self.model or sentence.DEFAULT_MODEL, compute)
        from missrec_pl.prepare.encoders import backbones

        if self.name == "timm":
            return backbones.timm_encoder(self.model or backbones.DEFAULT_TIMM_MODEL, compute)
        if self.name == "efficientnet-lite0":
            return backbones.lite_encoder(compute)
        raise ConfigError(f"--encoder {self.name} is fitted to all texts at once and takes no batches")

    def _outside(self, compute: Compute) -> Encoder:
        """Calls the class with those of ``model``, ``device`` and ``precision`` that it takes."""
        make = _imported(self.name)
        asked = {"model": self.model, "device": self.device, "precision": self.precision}
        given = {**asked, "device": str(compute.resolved()), "precision": compute.kind()}
        try:
            taken = signature(make)
            chosen = {key: value for key, value in given.items() if key in taken.parameters and value is not None}
            taken.bind(**chosen)
        except (TypeError, ValueError) as error:  # it asks for more, or says nothing of its arguments
            told = f"cannot be made from model, device and precision ({error})"
            raise ConfigError(f"--encoder {self.name}: {told}") from error
        for key, value in asked.items():
            if value not in (None, "auto") and key not in chosen:
                raise ConfigError(f"--{key} {value}: {self.name} takes no argument {key!r}")
        return _checked(make(**chosen), self.name)


def _imported(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    try:
        found: Any = getattr(import_module(module), attribute)
    except Exception as error:  # a module may raise anything while it is imported
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise ConfigError(f"--encoder {name}: cannot be imported ({reason})") from error
    if not callable(found):
        raise ConfigError(f"--encoder {name}: {attribute} is a {type(found).__name__}; name a class")
    return found  # type: ignore[no-any-return]


def _checked(encoder: Any, name: str) -> Encoder:
    """The encoder, if it offers one of the protocols; else an error says what it lacks of the nearest one."""
    lacking = {protocol: _lacking(encoder, protocol) for protocol in _RECIPES}
    nearest = min(lacking, key=lambda protocol: len(lacking[protocol]))
    if lacking[nearest]:
        raise ConfigError(
            f"--encoder {name}: lacks {', '.join(lacking[nearest])} of the protocol {nearest.__name__}; "
            "missrec_pl.prepare.encoders.base says what encoders offer"
        )
    if not isinstance(getattr(encoder, _RECIPES[nearest]), Recipe):
        raise ConfigError(f"--encoder {name}: {_RECIPES[nearest]} is no missrec_pl.prepare.encoders.base.Recipe")
    if isinstance(encoder, ItemEncoder) and encoder.reads not in READS:
        raise ConfigError(f"--encoder {name}: reads {encoder.reads!r}; choose one of {', '.join(READS)}")
    return encoder  # type: ignore[no-any-return]


def _lacking(encoder: Any, protocol: type) -> list[str]:
    wanted = {*protocol.__annotations__, *vars(protocol)}
    return sorted(name for name in wanted if not name.startswith("_") and not hasattr(encoder, name))

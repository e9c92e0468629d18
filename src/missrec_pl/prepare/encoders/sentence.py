"""Sentence encoders of the ``sentence-transformers`` library."""

from collections.abc import Sequence

import numpy as np
import torch

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.encoders.base import Recipe, TextVectors
from missrec_pl.prepare.encoders.devices import Compute, loading, weights_digest

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


class SentenceEncoder:
    """A text encoder; ``model`` is a hub name, or a folder written by ``SentenceTransformer.save``.

    Raises:
        ConfigError: ``sentence-transformers`` is missing, or the model cannot be loaded.
    """

    def __init__(self, model: str = DEFAULT_MODEL, compute: Compute | None = None) -> None:
        try:
            import sentence_transformers
        except ImportError as error:
            raise ConfigError(
                "encoder sentence needs sentence-transformers: pip install 'missrec-pl[sentence]'"
            ) from error
        self.compute = compute or Compute()
        with loading(model):
            self._model = sentence_transformers.SentenceTransformer(model, device=str(self.compute.resolved()))
        self._model.eval()
        self.max_tokens = int(self._model.max_seq_length or 512)
        self.text_dim = int(self._model.encode(["width"], show_progress_bar=False).shape[1])
        self.text_recipe = Recipe(
            encoder=f"sentence@{weights_digest(self._model)}",
            model=model,
            preprocessing=f"at most {self.max_tokens} tokens",
            options={"precision": self.compute.kind()},
            versions={"sentence-transformers": sentence_transformers.__version__, "torch": torch.__version__},
        )

    def encode_texts(self, texts: Sequence[str]) -> TextVectors:
        """Encodes texts to float32 [B, F]; says which were longer than the model reads."""
        whole = self._model.tokenizer(list(texts), truncation=False, padding=False, verbose=False)["input_ids"]
        with self.compute.autocast():
            rows = self._model.encode(list(texts), batch_size=len(texts), show_progress_bar=False)
        cut = np.array([len(ids) > self.max_tokens for ids in whole], bool)
        return TextVectors(np.asarray(rows, np.float32), cut)

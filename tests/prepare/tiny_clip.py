"""A CLIP model with random weights, in the layout of ``save_pretrained``: the true code on something small."""

import json
from pathlib import Path

import torch


def write_tiny_clip(folder: Path, *, seed: int = 0, max_tokens: int = 16) -> Path:
    """Two layers of 32, projected to 24 dimensions, pictures of 32 x 32 pixels; a BPE vocabulary of letters."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    layer = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    ends = {"bos_token_id": len(vocabulary) - 2, "eos_token_id": len(vocabulary) - 1}
    text = {**layer, **ends, "vocab_size": len(vocabulary), "max_position_embeddings": max_tokens}
    vision = {**layer, "image_size": 32, "patch_size": 8}
    torch.manual_seed(seed)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))
    model.save_pretrained(folder)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessorPil(**size).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    kinds = {"tokenizer_class": "CLIPTokenizer", "model_max_length": max_tokens}
    (folder / "tokenizer_config.json").write_text(json.dumps(kinds))
    return folder

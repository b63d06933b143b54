"""CLIP as open_clip has it: any architecture, any weights, frozen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_core.errors import ConfigError, ModelError


class FrozenClip(nn.Module):
    """Embeds texts and grey images; it never trains, and its weights are not in the parent's `state_dict`.

    Attributes:
        image_size: side of the images that the architecture takes, pixels.
    """

    def __init__(self, model: str, pretrained: str | None) -> None:
        """
        Args:
            model: an architecture that open_clip knows ('ViT-B-32-quickgelu'), or a JSON file of the same form.
            pretrained: a tag of that architecture ('openai'), which open_clip downloads and caches, or a local file;
                None leaves random weights, for tests only.

        Raises:
            ConfigError: the architecture is not known.
            ModelError: the weights cannot be had; the message says which were looked for and how to provide them.
        """
        super().__init__()
        import open_clip

        name = register_architecture(model)
        try:
            clip = open_clip.create_model(name, pretrained=pretrained, require_pretrained=pretrained is not None)
        except Exception as error:  # open_clip, hubs and torch raise many types
            tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise ModelError(
                f"CLIP {name}: no weights at '{pretrained}' ({reason}). "
                f"Give a local file of this architecture, or one of its tags ({tags}) on a machine that reaches the "
                "hub; what is cached there (~/.cache/huggingface) may be copied here"
            ) from error
        self._tokenize = open_clip.get_tokenizer(name)
        normalisation = open_clip.get_model_preprocess_cfg(clip)
        for key in ("mean", "std"):
            self.register_buffer(key, torch.tensor(normalisation[key]).view(1, 3, 1, 1), persistent=False)
        size = clip.visual.image_size
        self.image_size: int = size if isinstance(size, int) else size[0]
        self._clip = [clip.eval().requires_grad_(False)]
        """In a list, so that neither `state_dict` nor `train` of a parent finds it."""

    def _apply(self, fn: object, *args: object, **kwargs: object) -> FrozenClip:
        self._clip[0]._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def embed_images(self, images: Tensor) -> Tensor:
        """Unit embeddings of grey images, differentiable.

        Args:
            images: (B, 1, H, W) in [0, 1], any size; resized and normalised here, on their device.

        Returns:
            (B, D).
        """
        if images.shape[-2:] != (self.image_size, self.image_size):
            size = (self.image_size, self.image_size)
            images = functional.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True)
        return functional.normalize(self._clip[0].encode_image((images - self.mean) / self.std), dim=-1)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit embedding of what several phrasings have in common: their mean.

        Args:
            texts: one or more.

        Returns:
            (D,).
        """
        tokens = self._tokenize(list(texts)).to(self.mean.device)
        each = functional.normalize(self._clip[0].encode_text(tokens), dim=-1)
        return functional.normalize(each.mean(0), dim=-1)


def register_architecture(model: str) -> str:
    """Name under which open_clip knows `model`; a JSON file is registered under its stem.

    Raises:
        ConfigError: no such file, or no such architecture; the nearest names are given.
    """
    import difflib

    import open_clip

    if model.endswith(".json"):
        if not Path(model).is_file():
            raise ConfigError(f"CLIP: no architecture file at {model}")
        open_clip.add_model_config(model)
        return Path(model).stem
    if model not in open_clip.list_models():
        near = ", ".join(difflib.get_close_matches(model, open_clip.list_models(), n=3, cutoff=0.0))
        raise ConfigError(f"CLIP: open_clip knows no architecture '{model}'; the nearest are {near}")
    return model

"""The language-driven loss: what the fused image should be is said in words, in CLIP's embedding space.

Y. Wang et al., "Infrared and Visible Image Fusion With Language-Driven Loss and Knowledge Distillation", IEEE TNNLS
2026, arXiv 2402.16267: going from each source image to the fused image must point where going from that source's text
to the aim's text points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_core.errors import ConfigError
from ivif_core.training.losses.clip import FrozenClip


def directional_loss(
    fused: Tensor, visible: Tensor, infrared: Tensor, text_fused: Tensor, text_visible: Tensor, text_infrared: Tensor
) -> Tensor:
    """½[1 − cos(f − v, t_f − t_v)] + ½[1 − cos(f − i, t_f − t_i)], of unit vectors.

    Args:
        fused, visible, infrared: image embeddings (B, D) of any scale; they are normalised here.
        text_fused, text_visible, text_infrared: text embeddings (D,) or (B, D) of any scale.

    Returns:
        (B,) in [0, 2].
    """
    embeddings = (fused, visible, infrared, text_fused, text_visible, text_infrared)
    f, v, i, t_f, t_v, t_i = (functional.normalize(embedding, dim=-1) for embedding in embeddings)
    from_visible = functional.cosine_similarity(f - v, (t_f - t_v).expand_as(f), dim=-1)
    from_infrared = functional.cosine_similarity(f - i, (t_f - t_i).expand_as(f), dim=-1)
    return 1 - (from_visible + from_infrared) / 2


def similarity_loss(fused: Tensor, visible: Tensor, infrared: Tensor) -> Tensor:
    """½[1 − cos(f, v)] + ½[1 − cos(f, i)]: the fused image stays near both sources.

    Args:
        fused, visible, infrared: image embeddings (B, D) of any scale.

    Returns:
        (B,) in [0, 2].
    """
    to_visible = functional.cosine_similarity(fused, visible, dim=-1)
    to_infrared = functional.cosine_similarity(fused, infrared, dim=-1)
    return 1 - (to_visible + to_infrared) / 2


@torch.no_grad()
def patch_entropy(patches: Tensor) -> Tensor:
    """Shannon entropy of grey patches, bits, from a histogram of 256 bins (the nearest of 255 levels).

    Args:
        patches: (B, 1, H, W) in [0, 1].

    Returns:
        (B,) in [0, 8].
    """
    levels = (patches.flatten(1) * 255).round().clamp(0, 255).long()
    counts = torch.zeros(len(levels), 256, device=patches.device)
    counts.scatter_add_(1, levels, torch.ones_like(levels, dtype=counts.dtype))
    shares = counts / levels.shape[1]
    return -torch.special.xlogy(shares, shares).sum(1) / torch.log(torch.tensor(2.0))


@dataclass(frozen=True, kw_only=True)
class PatchRecipe:
    """Attributes:
    count: patches of every image.
    side: shortest and longest side, as shares of the image's shorter side.
    rotation, shear: largest angle, degrees.
    shift: largest shift, as a share of the patch's side.
    zoom: least and largest enlargement.
    entropy: bits; a patch counts where both sources' patches have more.
    mean: over the 'kept' patches, or as published over 'all', where rejected ones count as zero.
    """

    count: int = 32
    side: tuple[float, ...] = (0.5, 0.8)
    rotation: float = 5.0
    shear: float = 5.0
    shift: float = 0.1
    zoom: tuple[float, ...] = (1.0, 1.5)
    entropy: float = 6.0
    mean: str = "kept"


def sample_patches(
    images: Sequence[Tensor], size: int, recipe: PatchRecipe, generator: torch.Generator
) -> list[Tensor]:
    """Cut the same random affine patches from several aligned images.

    Box and affine map are one sampling, so nothing is interpolated twice; box and map are shared across the batch and
    the images. Beyond the image's edge its mirror is sampled.

    Args:
        images: tensors (B, 1, H, W) of one shape.
        size: side of the patches given back, pixels.
        generator: on the CPU, so that all devices draw the same patches.

    Returns:
        for each image (count·B, 1, size, size), patch by patch.
    """
    stack = torch.cat(list(images), dim=1)
    patches = []
    for _ in range(recipe.count):
        theta = _patch_map(stack.shape[-2:], recipe, generator).to(stack)
        grid = functional.affine_grid(theta[None], [1, 1, size, size], align_corners=False)
        patches.append(
            functional.grid_sample(
                stack, grid.expand(len(stack), -1, -1, -1), padding_mode="reflection", align_corners=False
            )
        )
    return list(torch.cat(patches).split(1, dim=1))


def _patch_map(shape: Sequence[int], recipe: PatchRecipe, generator: torch.Generator) -> Tensor:
    """(2, 3): from a patch's coordinates in [−1, 1] to the image's, as `affine_grid` takes it."""

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))

    height, width = shape
    side = uniform(recipe.side[0], recipe.side[-1]) * min(height, width)
    half = torch.tensor([width, height], dtype=torch.float64) / 2
    centre = torch.tensor([uniform(side / 2, width - side / 2), uniform(side / 2, height - side / 2)])
    centre = centre + side * torch.tensor([uniform(-recipe.shift, recipe.shift) for _ in range(2)])
    angle, shear = (torch.deg2rad(torch.tensor(uniform(-most, most))) for most in (recipe.rotation, recipe.shear))
    rotation = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    slant = torch.eye(2)
    slant[0, 1] = torch.tan(shear)
    linear = (rotation @ slant).double() * side / 2 / uniform(recipe.zoom[0], recipe.zoom[-1])
    return torch.cat([linear / half[:, None], ((centre - half) / half)[:, None]], dim=1)


def filtered_mean(
    losses: Tensor, kept: Tensor, mean: str, over_processes: Callable[[Tensor], Tensor] = lambda count: count
) -> Tensor:
    """Mean of the patches' losses.

    Args:
        losses: (B,).
        kept: (B,) bool; rejected patches have no part in the sum.
        mean: 'kept' divides by their number, 'all' (as published) by B, so that flat scenes count for less.
        over_processes: mean of a tensor over the training processes, so that gradients averaged over processes are
            those of one process with the whole batch.

    Returns:
        scalar; 0 where nothing is kept.
    """
    total = torch.where(kept, losses, torch.zeros_like(losses)).sum()
    if mean == "all":
        return total / len(losses)
    count = over_processes(kept.sum().to(losses.dtype))
    return total / count if count > 0 else total


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What is said of the aim and of each source; several phrasings of one role are averaged."""

    fused: tuple[str, ...] = ("a clear image with detailed background and salient objects",)
    visible: tuple[str, ...] = ("a visible gray image",)
    infrared: tuple[str, ...] = ("an infrared image",)


@dataclass(frozen=True, kw_only=True)
class LanguageWeights:
    """Weights of the parts, as published."""

    whole: float = 2.0
    patches: float = 10.0
    similarity: float = 6.0


class LanguageDrivenLoss(nn.Module):
    """Directional loss of whole images and of patches, and similarity, with their weights.

    It has neither parameters nor persistent buffers: CLIP's weights stay out of checkpoints, and CLIP stays in eval
    mode whatever is done to the parent.
    """

    def __init__(
        self,
        clip: FrozenClip,
        texts: Texts,
        weights: LanguageWeights | None = None,
        patches: PatchRecipe | None = None,
        over_processes: Callable[[Tensor], Tensor] = lambda count: count,
    ) -> None:
        """
        Args:
            over_processes: see `filtered_mean`.

        Raises:
            ConfigError: an unknown kind of mean, or a role without text.
        """
        super().__init__()
        self.clip, self.over_processes = clip, over_processes
        self.weights, self.patches = weights or LanguageWeights(), patches or PatchRecipe()
        if self.patches.mean not in ("kept", "all"):
            raise ConfigError(f"patches.mean: expected 'kept' or 'all', got {self.patches.mean!r}")
        for role in ("fused", "visible", "infrared"):
            phrasings = getattr(texts, role)
            if not phrasings or not all(text.strip() for text in phrasings):
                raise ConfigError(f"texts.{role}: expected at least one sentence, got {list(phrasings)}")
            self.register_buffer(f"text_{role}", clip.embed_texts(phrasings), persistent=False)

    def forward(
        self, fused: Tensor, visible: Tensor, infrared: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """
        Args:
            fused, visible, infrared: (B, 1, H, W) in [0, 1].
            generator: draws the patches.

        Returns:
            the weighted sum, and its unweighted parts `whole`, `patches`, `similarity`, with `kept`, the share of
            patches that passed the filter.
        """
        texts = (self.text_fused, self.text_visible, self.text_infrared)
        f, v, i = (self.clip.embed_images(image) for image in (fused, visible, infrared))
        losses, kept = self._patch_losses(fused, visible, infrared, v, i, generator)
        parts = {
            "whole": directional_loss(f, v, i, *texts).mean(),
            "patches": filtered_mean(losses, kept, self.patches.mean, self.over_processes),
            "similarity": similarity_loss(f, v, i).mean(),
        }
        weights = self.weights
        loss = (
            weights.whole * parts["whole"]
            + weights.patches * parts["patches"]
            + weights.similarity * parts["similarity"]
        )
        return loss, {**parts, "kept": kept.float().mean()}

    def _patch_losses(
        self, fused: Tensor, visible: Tensor, infrared: Tensor, v: Tensor, i: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Each patch of F against the *whole* sources' embeddings, as published; rejected ones are not embedded."""
        recipe = self.patches
        of_fused, *of_sources = sample_patches((fused, visible, infrared), self.clip.image_size, recipe, generator)
        kept = torch.stack([patch_entropy(patches) > recipe.entropy for patches in of_sources]).all(0)
        losses = fused.new_zeros(len(kept))
        if kept.any():
            v, i = (embedding.repeat(recipe.count, 1)[kept] for embedding in (v, i))
            embedded = self.clip.embed_images(of_fused[kept])
            texts = (self.text_fused, self.text_visible, self.text_infrared)
            losses = losses.masked_scatter(kept, directional_loss(embedded, v, i, *texts).to(losses.dtype))
        return losses, kept

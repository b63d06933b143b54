"""Perceptual regularisation: the fused image's features follow the stronger of both sources' features.

Features of VGG-19 (Simonyan and Zisserman, arXiv 1409.1556), as published with the language-driven loss; or, where its
weights cannot be had, luminance and gradient magnitude.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_core.errors import ConfigError, ModelError

Features = Callable[[Tensor], list[Tensor]]


def max_feature_loss(features: Features, fused: Tensor, visible: Tensor, infrared: Tensor) -> Tensor:
    """Σ over layers of MSE(φ(F), max(φ(V), φ(I))).

    Args:
        features: (B, 1, H, W) in [0, 1] -> one tensor a layer.
        fused, visible, infrared: (B, 1, H, W) in [0, 1].

    Returns:
        scalar.
    """
    with torch.no_grad():
        aims = [torch.maximum(v, i) for v, i in zip(features(visible), features(infrared), strict=True)]
    found = features(fused)
    return torch.stack([functional.mse_loss(f, aim) for f, aim in zip(found, aims, strict=True)]).sum()


def pixel_features(image: Tensor) -> list[Tensor]:
    """Luminance, and contrast at scales of 1, 2 and 4 pixels, for `max_feature_loss` without VGG.

    Contrast is the Sobel gradient (grey levels a pixel of its scale), its four directions rectified apart, as the
    channels of a network are: the stronger source's edge is followed with its sign. A factor of 8 makes up for its
    small numbers, and one of 0.4 holds the luminance loosely, so that the sentence has a say in it.

    Args:
        image: (B, 1, H, W) in [0, 1], at least 8×8.
    """
    kernel = image.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    kernels = torch.stack([kernel, -kernel, kernel.T, -kernel.T])[:, None]
    features, scaled = [0.4 * image], image
    for scale in range(3):
        scaled = functional.avg_pool2d(scaled, 2) if scale else scaled
        features.append(torch.relu(functional.conv2d(functional.pad(scaled, (1, 1, 1, 1), mode="reflect"), kernels)))
    return features


class VggFeatures(nn.Module):
    """Frozen VGG-19 features of grey images, without normalisation and rectified, as the published code has them.

    Its weights are not in the parent's `state_dict`.
    """

    def __init__(self, weights: str, layers: Sequence[str]) -> None:
        """
        Args:
            weights: a tag of torchvision ('IMAGENET1K_V1'), downloaded and cached by it, or a local file.
            layers: names as 'conv2_1': block and convolution, counted from 1.

        Raises:
            ConfigError: an unknown layer.
            ModelError: the weights cannot be had; the message says which were looked for and how to provide them.
        """
        super().__init__()
        from torchvision.models import VGG19_Weights, vgg

        with torch.device("meta"):  # takes its weights from the file only
            network = vgg.make_layers(vgg.cfgs["E"])
        places = _rectified_places(network)
        unknown = [name for name in layers if name not in places]
        if unknown or not layers:
            raise ConfigError(f"perceptual layers: unknown {unknown}; VGG-19 has {', '.join(places)}")
        self._places = {places[name] for name in layers}
        network = network[: max(self._places) + 1]
        try:
            if Path(weights).is_file():
                state = torch.load(weights, map_location="cpu", weights_only=True)
            else:
                state = VGG19_Weights[weights].get_state_dict(progress=True)
            network.load_state_dict({name: state[f"features.{name}"] for name in network.state_dict()}, assign=True)
        except Exception as error:  # torch, torchvision and the download raise many types
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise ModelError(
                f"VGG-19: no weights at '{weights}' ({reason}). Give a local file "
                "(vgg19-dcbb9e9d.pth from download.pytorch.org/models), or IMAGENET1K_V1 on a machine that reaches "
                "that host; what is cached in ~/.cache/torch/hub/checkpoints may be copied here"
            ) from error
        self._layers = [network.eval().requires_grad_(False)]
        """In a list, so that neither `state_dict` nor `train` of a parent finds it."""

    def _apply(self, fn: object, *args: object, **kwargs: object) -> VggFeatures:
        self._layers[0]._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 1, H, W) in [0, 1] -> features of the chosen layers."""
        found, x = [], image.expand(-1, 3, -1, -1)
        for place, layer in enumerate(self._layers[0]):
            x = layer(x)
            if place in self._places:
                found.append(x)
        return found


def _rectified_places(layers: nn.Sequential) -> dict[str, int]:
    """'conv2_1' -> place of the rectifier behind it."""
    places, block, convolution = {}, 1, 0
    for place, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            convolution += 1
            places[f"conv{block}_{convolution}"] = place + 1
        elif isinstance(layer, nn.MaxPool2d):
            block, convolution = block + 1, 0
    return places

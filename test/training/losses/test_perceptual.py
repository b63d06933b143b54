from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from ivif_core.errors import ConfigError, ModelError
from ivif_core.training.losses.perceptual import VggFeatures, max_feature_loss, pixel_features


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A local file of VGG-19's form up to conv4_2; random, since only the wiring is under test."""
    torch.manual_seed(0)
    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["E"])[:22]
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save({f"features.{name}": entry for name, entry in layers.state_dict().items()}, path)
    return path, layers


def test_features_are_those_of_the_named_layers(weights):
    path, layers = weights
    image = torch.rand(1, 1, 32, 40)
    found = VggFeatures(str(path), ["conv2_1", "conv3_1", "conv4_2"])(image)
    assert [entry.shape[1:] for entry in found] == [(128, 16, 20), (256, 8, 10), (512, 4, 5)]
    # Places of conv2_1, conv3_1, conv4_2 in torchvision's VGG-19, counted from its source; rectified.
    x = image.repeat(1, 3, 1, 1)
    for features, place in zip(found, (5, 10, 21), strict=True):
        expected = torch.relu(torch.nn.Sequential(*layers[: place + 1])(x))
        torch.testing.assert_close(features, expected)


def test_vgg_is_frozen_and_not_saved(weights):
    features = VggFeatures(str(weights[0]), ["conv2_1"])
    parent = torch.nn.Sequential(features).train()
    assert not parent.state_dict() and not list(parent.parameters())
    assert not features._layers[0].training


def test_max_feature_loss_equals_numpy():
    generator = np.random.default_rng(0)
    fused, visible, infrared = generator.random((3, 2, 1, 7, 9))
    found = max_feature_loss(lambda image: [image, 3 * image], *map(torch.from_numpy, (fused, visible, infrared)))
    step = fused - np.maximum(visible, infrared)
    assert float(found) == pytest.approx((step**2).mean() * (1 + 9))


def test_pixel_features_of_a_ramp():
    """Eight times the slope in the direction in which it rises, at each scale, and nothing in the other three."""
    ramp = torch.arange(20.0).expand(1, 1, 12, 20) / 20
    image, *contrasts = pixel_features(ramp)
    assert torch.equal(image, 0.4 * ramp) and len(contrasts) == 3
    for level, contrast in enumerate(contrasts):
        scale = 2**level
        assert contrast.shape == (1, 4, 12 // scale, 20 // scale)
        rising, *others = contrast[..., 1:-1].unbind(1)
        torch.testing.assert_close(rising, torch.full_like(rising, 8 * scale / 20), atol=1e-5, rtol=0)
        assert all(float(other.max()) < 1e-5 for other in others)


@pytest.mark.parametrize("turned", [False, True])
def test_pixel_features_follow_the_sign_of_the_stronger_edge(turned):
    """The aim of a strong edge down and a weak one up, at one place, is the edge down."""
    strong, weak = torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    strong[..., 4:], weak[..., 4:] = 0, 0.1
    strong, weak = (image.transpose(2, 3) if turned else image for image in (strong, weak))

    def contrast_only(image):
        return pixel_features(image)[1:]

    losses = [float(max_feature_loss(contrast_only, fused, strong, weak)) for fused in (strong, 1 - strong, weak)]
    assert losses[0] < min(losses[1:])


def test_what_cannot_be_had_is_named(weights, tmp_path):
    with pytest.raises(ConfigError, match=r"unknown \['conv9_9'\].*conv5_4"):
        VggFeatures(str(weights[0]), ["conv9_9"])
    (tmp_path / "broken.pth").write_bytes(b"nonsense")
    for missing in (tmp_path / "none.pth", tmp_path / "broken.pth"):
        with pytest.raises(ModelError, match=r"no weights at .*vgg19-dcbb9e9d\.pth"):
            VggFeatures(str(missing), ["conv2_1"])

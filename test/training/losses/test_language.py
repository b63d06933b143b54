"""The loss against slow loops written from the method, one image and one number at a time."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_core.errors import ConfigError, ModelError
from ivif_core.training.losses.clip import FrozenClip
from ivif_core.training.losses.language import (
    LanguageDrivenLoss,
    LanguageWeights,
    PatchRecipe,
    Texts,
    directional_loss,
    filtered_mean,
    patch_entropy,
    sample_patches,
    similarity_loss,
)

TINY = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "tiny_clip.json"
    path.write_text(json.dumps(TINY))
    torch.manual_seed(0)
    return FrozenClip(str(path), None)


def unit(vector):
    return vector / math.sqrt(sum(value * value for value in vector))


def cosine(first, second):
    return sum(a * b for a, b in zip(unit(first), unit(second), strict=True))


def slow_direction(f, v, i, t_f, t_v, t_i):
    f, v, i, t_f, t_v, t_i = (unit(vector) for vector in (f, v, i, t_f, t_v, t_i))
    return 0.5 * (1 - cosine(f - v, t_f - t_v)) + 0.5 * (1 - cosine(f - i, t_f - t_i))


def slow_entropy(patch):
    counts = {}
    for value in patch.ravel():
        level = min(255, max(0, round(float(value) * 255)))
        counts[level] = counts.get(level, 0) + 1
    return -sum(count / patch.size * math.log2(count / patch.size) for count in counts.values())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 9), st.floats(0.01, 100))
def test_direction_and_similarity_equal_slow_loops_at_any_scale(seed, batch, size, scale):
    generator = np.random.default_rng(seed)
    images, texts = generator.normal(size=(3, batch, size)), generator.normal(size=(3, size))
    arguments = [torch.from_numpy(entry * scale) for entry in (*images, *texts)]
    found = directional_loss(*arguments)
    assert found.shape == (batch,)
    for row in range(batch):
        assert float(found[row]) == pytest.approx(slow_direction(*images[:, row], *texts), abs=1e-9)
    f, v, i = images
    expected = [0.5 * (1 - cosine(f[row], v[row])) + 0.5 * (1 - cosine(f[row], i[row])) for row in range(batch)]
    np.testing.assert_allclose(similarity_loss(*arguments[:3]).numpy(), expected, atol=1e-9)


def test_direction_is_0_along_the_text_2_against_it_and_finite_where_nothing_moved():
    # On a circle: both sources at one place, the aim's text to the left of the sources' text.
    def at(degrees):
        return torch.tensor([[math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]], dtype=torch.float64)

    source, text, aim = at(0), at(0)[0], at(20)[0]
    assert float(directional_loss(at(20), source, source, aim, text, text)) == pytest.approx(0, abs=1e-12)
    assert float(directional_loss(at(340), source, source, aim, text, text)) > 1.8
    same = source.clone().requires_grad_()
    loss = directional_loss(same, source, source, aim, text, text)
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(same.grad).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 256))
def test_entropy_equals_a_slow_histogram(seed, levels):
    generator = np.random.default_rng(seed)
    patches = generator.integers(0, levels, (3, 1, 9, 11)) / 255
    found = patch_entropy(torch.from_numpy(patches.astype(np.float32)))
    np.testing.assert_allclose(found.numpy(), [slow_entropy(patch) for patch in patches], atol=1e-5)


def test_entropy_of_known_images():
    ramp = (torch.arange(256).float() / 255).view(1, 1, 16, 16)
    assert float(patch_entropy(ramp)) == pytest.approx(8)
    assert float(patch_entropy(torch.full((1, 1, 16, 16), 0.3))) == 0
    assert float(patch_entropy((ramp > 0.5).float())) == pytest.approx(1)


def test_patches_are_cut_at_the_same_places_to_sub_pixel():
    """Three images that are linear in x and y tell where each pixel of a patch was sampled."""
    y, x = np.mgrid[0:60, 0:80].astype(np.float64)
    images = [torch.from_numpy(image).expand(2, 1, 60, 80) for image in (x / 80, y / 60, (x + 2 * y) / 200)]
    recipe = PatchRecipe(count=20, side=(0.3, 0.5), shift=0.0, rotation=8.0, shear=8.0)
    patches = sample_patches(images, 12, recipe, torch.Generator().manual_seed(3))
    assert [entry.shape for entry in patches] == [(40, 1, 12, 12)] * 3
    of_x, of_y, of_both = patches[0] * 80, patches[1] * 60, patches[2] * 200
    # Mirrored edges bend the ramps; inside they are exact.
    inside = (of_x > 1) & (of_x < 78) & (of_y > 1) & (of_y < 58)
    assert inside.float().mean() > 0.9
    assert float((of_both - of_x - 2 * of_y).abs()[inside].max()) < 1e-9
    assert torch.equal(patches[0][0], patches[0][1])  # one box for the whole batch
    again = sample_patches(images, 12, recipe, torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(patches, again, strict=True))


def test_a_patch_without_affine_map_is_the_plain_crop():
    image = torch.rand(1, 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    recipe = PatchRecipe(count=1, side=(1.0, 1.0), rotation=0, shear=0, shift=0, zoom=(1.0, 1.0))
    (patch,) = sample_patches([image], 32, recipe, torch.Generator().manual_seed(0))
    torch.testing.assert_close(patch, image)


def test_sides_and_zoom_are_in_the_ranges_asked_for():
    x = np.tile(np.arange(300.0), (200, 1))
    recipe = PatchRecipe(count=50, rotation=0, shear=0, shift=0)
    (columns,) = sample_patches([torch.from_numpy(x)[None, None]], 16, recipe, torch.Generator().manual_seed(1))
    spans = (columns[:, 0, 8, -1] - columns[:, 0, 8, 0]) * 16 / 15
    assert float(spans.min()) > 200 * 0.5 / 1.5 - 1e-6 and float(spans.max()) < 200 * 0.8 + 1e-6
    assert float(spans.max() - spans.min()) > 30


def test_the_filter_at_its_edges():
    losses = torch.tensor([1.0, 2.0, float("nan"), 4.0], requires_grad=True)
    kept = torch.tensor([True, False, False, True])
    assert filtered_mean(losses, kept, "kept").item() == 2.5
    assert filtered_mean(losses, kept, "all").item() == 1.25
    nothing = filtered_mean(losses, torch.zeros(4, dtype=torch.bool), "kept")
    nothing.backward()
    assert nothing.item() == 0 and float(losses.grad[[0, 1, 3]].abs().sum()) == 0
    # Two processes with unlike shares of kept patches: their mean is that of one process with all.
    halves = [
        filtered_mean(losses[part], kept[part], "kept", over_processes=lambda _: torch.tensor(1.0))
        for part in (slice(0, 2), slice(2, 4))
    ]
    assert float(sum(halves) / 2) == 2.5


def whole_loss(clip, recipe, weights=None):
    return LanguageDrivenLoss(clip, Texts(fused=("a clear image", "an image in which all is seen")), weights, recipe)


@pytest.mark.parametrize("mean", ["kept", "all"])
def test_the_whole_loss_equals_slow_loops(clip, mean):
    generator = torch.Generator().manual_seed(5)
    images = [torch.rand(2, 1, 40, 48, generator=generator) for _ in range(3)]
    images[1][0] *= 0.02  # one flat visible image: its patches are rejected
    recipe = PatchRecipe(count=3, entropy=5.0, mean=mean)
    loss_function = whole_loss(clip, recipe, LanguageWeights(whole=2, patches=10, similarity=6))
    loss, parts = loss_function(*images, torch.Generator().manual_seed(9))

    def embed(image):
        return clip.embed_images(image[None])[0].double().numpy()

    def text(phrasings):
        return unit(sum(unit(clip.embed_texts([one]).double().numpy()) for one in phrasings))

    texts = [
        text(entry)
        for entry in (
            ("a clear image", "an image in which all is seen"),
            ("a visible gray image",),
            ("an infrared image",),
        )
    ]
    patches = sample_patches(images, clip.image_size, recipe, torch.Generator().manual_seed(9))
    whole, similar, directed, count = 0.0, 0.0, 0.0, 0
    for row in range(2):
        f, v, i = (embed(image[row]) for image in images)
        whole += slow_direction(f, v, i, *texts) / 2
        similar += (0.5 * (1 - cosine(f, v)) + 0.5 * (1 - cosine(f, i))) / 2
        for number in range(3):
            cut = [entry[number * 2 + row] for entry in patches]
            if min(slow_entropy(cut[1].numpy()), slow_entropy(cut[2].numpy())) > 5.0:
                directed += slow_direction(embed(cut[0]), v, i, *texts)
                count += 1
    assert count == 3
    directed /= count if mean == "kept" else 6
    assert float(parts["whole"]) == pytest.approx(whole, abs=1e-5)
    assert float(parts["similarity"]) == pytest.approx(similar, abs=1e-5)
    assert float(parts["patches"]) == pytest.approx(directed, abs=1e-5)
    assert float(parts["kept"]) == 0.5
    assert float(loss) == pytest.approx(2 * whole + 10 * directed + 6 * similar, abs=1e-4)


def test_gradients_reach_the_fused_image_and_agree_with_differences(clip):
    generator = torch.Generator().manual_seed(2)
    fused, visible, infrared = (torch.rand(1, 1, 12, 12, dtype=torch.float64, generator=generator) for _ in range(3))
    loss_function = whole_loss(clip, PatchRecipe(count=2, entropy=3.0)).double()

    def total(image):
        return loss_function(image, visible, infrared, torch.Generator().manual_seed(1))[0]

    try:
        assert torch.autograd.gradcheck(total, fused.requires_grad_(), atol=1e-5)
    finally:
        loss_function.float()


def test_clip_stays_frozen_and_out_of_checkpoints(clip):
    parent = torch.nn.Sequential(torch.nn.Linear(2, 2), whole_loss(clip, None))
    parent.train()
    assert not clip._clip[0].training and not any(entry.requires_grad for entry in clip._clip[0].parameters())
    assert set(parent.state_dict()) == {"0.weight", "0.bias"}
    assert len(list(parent.parameters())) == 2


def test_what_cannot_be_had_is_named(clip, tmp_path):
    with pytest.raises(ConfigError, match=r"knows no architecture 'ViT-B-3'; the nearest are .*ViT-B-32"):
        FrozenClip("ViT-B-3", None)
    with pytest.raises(ConfigError, match="no architecture file"):
        FrozenClip(str(tmp_path / "none.json"), None)
    with pytest.raises(ModelError, match=r"no weights at 'missing.pt'.*Give a local file"):
        FrozenClip("tiny_clip", "missing.pt")
    with pytest.raises(ConfigError, match=r"texts\.fused"):
        LanguageDrivenLoss(clip, Texts(fused=()))
    with pytest.raises(ConfigError, match=r"patches\.mean"):
        LanguageDrivenLoss(clip, Texts(), patches=PatchRecipe(mean="some"))

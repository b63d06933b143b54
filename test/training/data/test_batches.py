from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ivif_core.training.data.batches import Affine, Crops, StepSampler, batches
from ivif_core.training.data.pairs import Pair


@pytest.fixture
def pairs():
    """Every pixel's value tells where it is and which pair it is of, the same in all images of a pair."""
    image = np.add.outer(np.arange(40), 3 * np.arange(50)).astype(np.uint8)
    return [Pair(str(index), image + index, image + index, image + index) for index in range(5)]


@pytest.mark.parametrize("affine", [None, Affine()])
def test_all_images_of_a_pair_get_the_same_crop(pairs, affine):
    crops = Crops(pairs, 24, affine=affine)
    seen = set()
    for seed in range(20):
        item = crops[2, (seed,)]
        assert item["infrared"].shape == (1, 24, 24) and item["infrared"].dtype == torch.float32
        assert torch.equal(item["infrared"], item["visible"]) and torch.equal(item["infrared"], item["teacher"])
        assert item["infrared"].min() >= 0 and item["infrared"].max() <= 1
        seen.add(item["infrared"].numpy().tobytes())
    assert len(seen) == 20
    assert torch.equal(crops[2, (7,)]["visible"], crops[2, (7,)]["visible"])


def test_noise_has_the_deviation_asked_for_and_spares_the_teacher(pairs):
    flat = np.full((64, 64), 128, np.uint8)
    item = Crops([Pair("a", flat, flat, flat)], 64, noise=0.03)[0, (1,)]
    assert float(item["infrared"].std()) == pytest.approx(0.03, rel=0.1)
    assert not torch.equal(item["infrared"], item["visible"])
    assert float(item["teacher"].std()) == 0


def test_flat_crops_are_drawn_again(pairs):
    image = np.zeros((20, 200), np.uint8)
    image[:, :40] = np.random.default_rng(0).integers(0, 256, (20, 40))
    crops = Crops([Pair("a", image, image)], 20, minimum_contrast=0.05)
    loose = Crops([Pair("a", image, image)], 20)
    flat = [sum(float(entry[0, (seed,)]["visible"].std()) < 0.05 for seed in range(50)) for entry in (crops, loose)]
    assert flat[0] < 10 < flat[1]


def test_the_order_covers_each_epoch_and_does_not_depend_on_processes_or_start():
    whole = list(StepSampler(10, 4, 7, range(5)))
    assert sorted(index for keys in whole for index, _ in keys) == sorted([*range(10), *range(10)])
    assert list(StepSampler(10, 4, 7, range(2, 5))) == whole[2:]
    halves = [list(StepSampler(10, 4, 7, range(5), rank, 2)) for rank in range(2)]
    assert [first + second for first, second in zip(*halves, strict=True)] == whole
    assert list(StepSampler(10, 4, 8, range(5))) != whole


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_with_workers(pairs, workers):
    crops = Crops(pairs, 16, noise=0.01)
    found = [batch["infrared"] for batch in batches(crops, 2, 3, range(4), workers=workers)]
    assert len(found) == 4 and found[0].shape == (2, 1, 16, 16)
    for keys, batch in zip(StepSampler(5, 2, 3, range(4)), found, strict=True):
        assert torch.equal(batch, torch.stack([crops[key]["infrared"] for key in keys]))

"""Harder inputs: nothing where nothing is asked for, each fault as it says, reproducible by the seed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ivif_core.training.data.degradation import Degradation, relight, worsen

FAULTS = {
    "darken": (False, True),
    "flatten": (True, False),
    "glare": (False, True),
    "blur": (True, True),
    "noise": (True, True),
    "stripes": (True, False),
    "dead": (True, False),
    "shift": (True, False),
}
"""Share -> whether it changes infrared and visible."""

NONE = Degradation(**dict.fromkeys(FAULTS, 0.0))


def batch(count=3, size=48):
    generator = torch.Generator().manual_seed(0)
    return [0.2 + 0.5 * torch.rand(count, 1, size, size, generator=generator) for _ in range(2)]


def test_nothing_asked_changes_nothing():
    infrared, visible = batch()
    for step in (relight, worsen):
        for result, source in zip(step(infrared, visible, NONE), (infrared, visible), strict=True):
            torch.testing.assert_close(result, source)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_changes_its_images_and_stays_in_range(fault):
    recipe = replace(NONE, **{fault: 1.0})
    torch.manual_seed(1)
    infrared, visible = batch()
    results = worsen(*relight(infrared, visible, recipe), recipe)
    changed = [not torch.equal(result, source) for result, source in zip(results, (infrared, visible), strict=True)]
    assert tuple(changed) == FAULTS[fault]
    assert all(result.min() >= 0 and result.max() <= 1 for result in results)


def test_glare_saturates_and_dark_darkens():
    torch.manual_seed(0)
    infrared, visible = batch(8, 96)
    assert (relight(infrared, visible, replace(NONE, glare=1.0))[1] == 1).flatten(1).any(1).float().mean() > 0.8
    assert relight(infrared, visible, replace(NONE, darken=1.0, darkest=0.25))[1].mean() < 0.8 * visible.mean()


def test_the_seed_decides():
    results = []
    for _ in range(2):
        torch.manual_seed(7)
        results.append(torch.cat(worsen(*relight(*batch(), Degradation()), Degradation())))
    assert torch.equal(*results)

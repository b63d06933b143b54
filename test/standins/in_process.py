"""TensorRT's stand-in in the process of a test, and what the backend is to compute with it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from test.core.backends.test_backends import noise
from test.standins import install

SIZE = (40, 50)


class StandIn:
    """TensorRT of one release in this process, with its CUDA and a count of builds."""

    def __init__(self, release: str, monkeypatch: pytest.MonkeyPatch, **behaviour) -> None:
        self.builds = 0
        modules = {}
        behaviour.setdefault("on_build", self._count)
        self.trt, self.cuda = install(release, "old" if release == "8.6" else "new", modules, **behaviour)
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)

    def _count(self) -> None:
        self.builds += 1

    def assert_nothing_is_left(self) -> None:
        assert self.cuda.live() == {}
        assert self.trt.live() == {}


def expected(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """What `write_model` computes, for uint8: the cast cuts off."""
    return np.floor(infrared.astype(float) * 2 / 3 + visible.astype(float) / 3 + 1e-4)


def assert_fuses(backend, seed: int, size=SIZE) -> None:
    infrared, visible = noise(seed, *size), noise(seed + 1, *size)
    fused = backend.infer(infrared, visible, 0.5)
    assert fused.shape == size and fused.dtype == np.uint8
    assert np.abs(fused - expected(infrared, visible)).max() <= 1

"""Bandwidth of a copy in a GPU's memory, by torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ivif_core.errors import BackendUnavailable
from ivif_core.files.installation import pip_install


def copier(length: int, copies: int) -> Callable[[], float]:
    """What measures it whenever it is called, bytes read and written a second; timed by CUDA events.

    Args:
        length: bytes of one copy.
        copies: of which the median counts.

    Raises:
        BackendUnavailable: no torch, or no GPU.
    """
    try:
        import torch
    except ImportError as error:
        raise BackendUnavailable(f"the GPU's bandwidth is measured with torch: {pip_install('torch')}") from error
    if not torch.cuda.is_available():
        raise BackendUnavailable("the GPU's bandwidth is measured with torch, which finds no CUDA GPU")
    source = torch.ones(length, dtype=torch.uint8, device="cuda")
    target = torch.zeros_like(source)

    def measure() -> float:
        samples = []
        for _ in range(copies):
            before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            before.record()
            target.copy_(source)
            after.record()
            after.synchronize()
            samples.append(before.elapsed_time(after) / 1e3)
        return 2 * length / float(np.median(samples))

    return measure

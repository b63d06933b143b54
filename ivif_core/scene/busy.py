"""Streets whose people and cars stand anew in every frame: pictures to learn from, not a film."""

from __future__ import annotations

import numpy as np

from ivif_core.scene.cars import Car
from ivif_core.scene.people import Walker
from ivif_core.scene.render import Street

_NEAREST, _FARTHEST = 4.0, 24.0
"""Distance of people, m, more of them near than far; cars come as near and go twice as far."""


class BusyStreet(Street):
    """Frame `index` shows three to nine people and up to two driving cars, drawn from seed and index."""

    def people(self, index: int) -> list[Walker]:
        random = np.random.default_rng([self._seed, index, 1])
        return [
            Walker(
                x=random.uniform(-6.2, 6.2),
                z=_NEAREST + (_FARTHEST - _NEAREST) * random.uniform() ** 2,
                direction=str(random.choice(["left", "right", "near", "far"])),
                stride=random.uniform(),
                moving=bool(random.random() < 0.8),
                coat=tuple(random.uniform(0.01, 0.2) * random.uniform(0.6, 1.4, 3)),
                trousers=tuple(random.uniform(0.01, 0.1) * random.uniform(0.6, 1.4, 3)),
            )
            for _ in range(random.integers(3, 10))
        ]

    def cars(self, index: int) -> list[Car]:
        random = np.random.default_rng([self._seed, index, 2])
        lanes = [(-1.3, True), (1.3, False)]
        return [
            Car(
                x=lane + random.uniform(-0.4, 0.4),
                z=random.uniform(_NEAREST, 2 * _FARTHEST),
                approaching=approaching,
                paint=tuple(random.uniform(0.03, 0.3) * random.uniform(0.6, 1.4, 3)),
                lights=bool(random.random() < 0.7),
            )
            for lane, approaching in lanes
            if random.random() < 0.7
        ]

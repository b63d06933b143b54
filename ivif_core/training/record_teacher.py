"""Record what a teacher makes of pairs, and of other views of them: nearer, in another light.

`python -m ivif_core.training.record_teacher TEACHER.onnx DATA OUTPUT [--views 6] [--seed 0]`

TEACHER.onnx takes `infrared` and `visible` (N×1×H×W luminance in [0, 1]) and gives `fused`, of any size: whatever
network a user has exported so. OUTPUT gets `infrared/`, `visible/` and `language_teacher/`, which `ivif distill`
reads as further pairs. A teacher that looks at the whole frame treats a part of it otherwise, so every view is
recorded whole.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from ivif_core import backends
from ivif_core.imaging.files import write_image
from ivif_core.training.data.degradation import Degradation, relight
from ivif_core.training.data.pairs import FolderPairs, Pair, split

LEAST_PART, LARGEST_ZOOM, LEAST_ZOOM = 0.6, 1.6, 0.8
"""Of a view: the smallest share of the frame's sides that it shows, and how far it is enlarged or reduced."""
MINIMUM_SIDE = 224
RELIT = 0.75
"""Share of the views in another light."""


def record(teacher: str | Path, data: str | Path, output: str | Path, views: int, seed: int, share: float = 0.1) -> int:
    """Record `views` of every training pair of `data`; held-out pairs are left alone.

    Args:
        teacher: ONNX file, see above.
        data: folder with `infrared/` and `visible/`.
        output: folder to write; a view that lies there already is kept, so that a recording goes on where it stopped.
        share: of the pairs that is held out, by their names.

    Returns:
        Number of views in `output`.

    Raises:
        InputError, ModelError: as `FolderPairs` and the backend.
    """
    output = Path(output)
    training, _ = split(FolderPairs(data), share)
    with backends.create("onnxruntime", teacher, threads=1) as network:
        for index, pair in enumerate(tqdm(training, desc="recording", unit="pair", disable=None)):
            for number in range(views):
                name = f"{pair.name}~{number}"
                if (output / "language_teacher" / f"{name}.png").is_file():
                    continue
                view = make_view(pair, (seed, index, number))
                fused = network.infer(view.infrared, view.visible, 0.0)
                for folder, image in (
                    ("infrared", view.infrared),
                    ("visible", view.visible),
                    ("language_teacher", fused),
                ):
                    (output / folder).mkdir(parents=True, exist_ok=True)
                    write_image(output / folder / f"{name}.png", image)
    return views * len(training)


def make_view(pair: Pair, key: tuple[int, ...]) -> Pair:
    """Part of a pair, enlarged or reduced, mostly in another light; random by `key` alone."""
    random = np.random.default_rng(key)
    torch.manual_seed(int(random.integers(2**31)))
    height, width = pair.visible.shape
    rows, columns = (int(side * random.uniform(LEAST_PART, 1)) for side in (height, width))
    top, left = int(random.integers(height - rows + 1)), int(random.integers(width - columns + 1))
    zoom = max(random.uniform(LEAST_ZOOM, LARGEST_ZOOM), MINIMUM_SIDE / min(rows, columns))
    size = round(columns * zoom), round(rows * zoom)
    infrared, visible = (
        cv2.resize(image[top : top + rows, left : left + columns], size, interpolation=cv2.INTER_LINEAR)
        for image in (pair.infrared, pair.visible)
    )
    if random.random() < RELIT:
        before = [torch.from_numpy(image)[None, None] / 255 for image in (infrared, visible)]
        lit = relight(before[0], before[1], Degradation())
        infrared, visible = ((255 * image[0, 0]).round().to(torch.uint8).numpy() for image in lit)
    return Pair(pair.name, infrared, visible)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("teacher", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--views", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    count = record(arguments.teacher, arguments.data, arguments.output, arguments.views, arguments.seed)
    print(f"{arguments.output}: {count} views")


if __name__ == "__main__":
    main()

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest

from ivif_core.imaging.files import write_image

# Without the extra `train` there is nothing to test here, nor in the folders below.
collect_ignore_glob = [] if all(map(find_spec, ("torch", "lightning", "open_clip"))) else ["*test_*.py"]

RECIPE = """
steps: 6
batch: 4
crop: 32
checkpoint_every: 2
image_every: 2
accelerator: cpu
validation_share: 0.0
clip: {model: tiny.json, pretrained: tiny.pt}
patches: {count: 2, entropy: 3.0}
perceptual: {features: pixels, weight: 20.0}
network: {width: 2}
"""
TINY = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


@pytest.fixture
def unexported(monkeypatch):
    """Without the export, which takes longer than these runs and has tests of its own."""
    from ivif_core.training import language_student, teach_student

    for module in (language_student, teach_student):
        monkeypatch.setattr(module, "export_checkpoint", lambda *_: [])


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    """Pairs, a tiny CLIP with random weights, and a recipe that uses them."""
    import open_clip
    import torch

    folder = tmp_path_factory.mktemp("workshop")
    generator = np.random.default_rng(0)
    for part in ("infrared", "visible"):
        (folder / part).mkdir()
        for name in range(5):
            smooth = generator.integers(0, 256, (6, 8)).astype(np.uint8)
            write_image(
                folder / part / f"{name}.png",
                smooth.repeat(8, 0).repeat(8, 1) // 2 + generator.integers(0, 128, (48, 64), np.uint8),
            )
    (folder / "tiny.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(folder / "tiny.json")
    torch.manual_seed(0)
    torch.save(open_clip.create_model("tiny").state_dict(), folder / "tiny.pt")
    (folder / "recipe.yaml").write_text(
        RECIPE.replace("tiny.pt", str(folder / "tiny.pt")) + f"data: {folder}\noutput: {folder}/run\n"
    )
    return folder

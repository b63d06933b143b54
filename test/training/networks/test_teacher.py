from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from ivif_core.training.networks.teacher import AdaptiveInstanceNorm, Teacher, TeacherShape


def pair(height, width):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(1, 1, height, width, generator=generator) for _ in range(2)]


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 40)])
def test_any_size_and_range(local, size):
    torch.manual_seed(0)
    fused = Teacher(TeacherShape(width=4, local=local))(*pair(*size))
    assert fused.shape == (1, 1, *size)
    assert float(fused.detach().min()) >= 0 and float(fused.detach().max()) <= 1 and float(fused.detach().std()) > 0


def test_the_published_shape():
    teacher = Teacher()
    assert [encoder[0].out_channels for encoder in teacher.contents] == [16, 16]
    assert teacher.blocks[0].first.in_channels == 256
    assert sum(entry.numel() for entry in teacher.parameters()) == pytest.approx(5.6e6, rel=0.1)


def test_transposed_convolutions_start_without_the_grid_of_freely_drawn_kernels():
    torch.manual_seed(0)
    flat = torch.ones(1, 64, 8, 8)

    def grid(layer):
        """How much a flat input's output differs between the four phases of the stride, against its level."""
        inside = layer(flat)[..., 4:-4, 4:-4].detach()
        return float(inside.std(dim=(2, 3)).mean() / inside.mean(dim=(2, 3)).abs().mean())

    free = torch.nn.ConvTranspose2d(64, 32, 5, stride=2, padding=2, output_padding=1)
    assert grid(Teacher(TeacherShape(width=4)).enlarge[0]) < 0.2 * grid(free)


def test_adaptive_norm_equals_its_definition():
    torch.manual_seed(1)
    norm, x, style = AdaptiveInstanceNorm(3), torch.randn(2, 3, 5, 6), torch.randn(2, 16)
    scale, offset = norm.affine(style).chunk(2, dim=1)
    found = norm(x, style)
    for image in range(2):
        for channel in range(3):
            plane = x[image, channel]
            normed = (plane - plane.mean()) / torch.sqrt(plane.var(unbiased=False) + 1e-5)
            torch.testing.assert_close(
                found[image, channel], normed * (1 + scale[image, channel]) + offset[image, channel]
            )


def test_only_the_published_form_depends_on_the_whole_frame():
    infrared, visible = pair(200, 32)
    changed = visible.clone()
    changed[..., 192:, :] = 1
    for local in (False, True):
        torch.manual_seed(0)
        teacher = Teacher(TeacherShape(width=4, local=local)).eval()
        with torch.no_grad():
            change = (teacher(infrared, changed) - teacher(infrared, visible)).abs()[..., :40, :].max()
        assert (change == 0) == local

from __future__ import annotations

import numpy as np
import pytest

from ivif_core.imaging.panels import triptych


@pytest.mark.parametrize("width,size", [(None, (80, 300)), (64, (50, 192))])
def test_three_panels_in_order_and_of_even_size(width, size):
    infrared = np.full((30, 40), 200, np.uint8)
    visible, fused = np.full((81, 101, 3), (10, 60, 110), np.uint8), np.full((81, 101), 90, np.uint8)
    picture = triptych(infrared, visible, fused, width)
    assert picture.shape == (*size, 3)
    panel = size[1] // 3
    below_titles = picture[-4]
    assert below_titles[panel // 2].tolist() == [200] * 3
    assert below_titles[panel + panel // 2].tolist() == [10, 60, 110]
    assert below_titles[2 * panel + panel // 2].tolist() == [90] * 3
    assert (picture[: size[0] // 2, :panel] != 200).any()  # a title is there

"""What the core leaves to cv_bridge, by the real one with its compiled extension: a robot's, or Debian's package."""

from __future__ import annotations

import array

import numpy as np
import pytest
from sensor_msgs.msg import Image

from ivif_core.errors import InputError
from ivif_ros.conversion import infrared_pixels

try:
    from cv_bridge.boost import cv_bridge_boost  # noqa: F401
except (ImportError, AttributeError) as error:  # under NumPy 2 its extension fails with an AttributeError
    pytest.skip(f"no compiled cv_bridge: {error}", allow_module_level=True)


@pytest.mark.parametrize(
    ("encoding", "dtype"),
    [("64FC1", np.float64), ("32SC1", np.int32), ("16SC1", np.int16), ("8SC1", np.int8)],
)
def test_values_of_every_width_become_float(encoding, dtype):
    values = np.random.default_rng(0).integers(-40, 120, (6, 7)).astype(dtype)
    message = Image(height=6, width=7, encoding=encoding, step=values.strides[0])
    message.data = array.array("B", values.tobytes())
    pixels = infrared_pixels(message)
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, values)


def test_several_channels_are_refused_as_thermal():
    message = Image(height=2, width=2, encoding="64FC3", step=48, data=array.array("B", bytes(96)))
    with pytest.raises(InputError, match="64FC3"):
        infrared_pixels(message)

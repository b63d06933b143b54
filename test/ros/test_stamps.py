from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import Image

from ivif_core.sync.stamp_check import StampCheck
from ivif_ros.stamps import LAST, stamp_message, take_stamp

NOW = 1_700_000_000_000_000_000


@given(st.integers() | st.integers(-(10**10), LAST + 10**10))
def test_every_time_is_a_valid_stamp_and_the_nearest_one(time):
    stamp = stamp_message(time)
    assert 0 <= stamp.sec < 2**31 and 0 <= stamp.nanosec < 10**9
    assert stamp.sec * 10**9 + stamp.nanosec == min(max(time, 0), LAST)


@given(st.lists(st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**32 - 1)), min_size=1, max_size=6))
def test_a_frame_of_any_stamp_leaves_with_a_valid_one(stamps):
    check = StampCheck()
    for sec, nanosec in stamps:
        message = Image()
        message.header.stamp = Time(sec=sec, nanosec=nanosec)
        time = take_stamp(check, "infrared", message, NOW)
        assert message.header.stamp == stamp_message(time)
        assert time == (sec * 10**9 + nanosec if "infrared" not in check.replaced else NOW)

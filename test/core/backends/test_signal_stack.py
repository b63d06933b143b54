from __future__ import annotations

import ctypes
import sys

import numpy as np
import pytest

from ivif_core.backends.signal_stack import _Stack, kept_signal_stack
from ivif_core.fusion import Fuser

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="of Linux")


def stack() -> tuple[int | None, int, int]:
    now = _Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(now))
    return now.place, now.flags, now.size


def test_a_stack_that_is_set_inside_is_taken_back():
    room, before = ctypes.create_string_buffer(1 << 16), stack()
    with kept_signal_stack():
        given = _Stack(ctypes.addressof(room), 0, len(room))
        assert ctypes.CDLL(None).sigaltstack(ctypes.byref(given), None) == 0
        assert stack() == (given.place, 0, given.size)
    assert stack() == before


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_no_runtime_leaves_this_thread_a_small_stack_for_signals(backend):
    pytest.importorskip(backend)
    before, image = stack(), np.zeros((64, 64), np.uint8)
    with Fuser(backend=backend) as fuser:
        fuser.fuse(image, image)
        assert stack() == before

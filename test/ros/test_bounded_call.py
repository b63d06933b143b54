from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from ivif_core.errors import ConfigError
from ivif_ros.bounded_call import BoundedCall
from test.ros.conftest import wait_for


def test_gives_what_is_made_and_raises_what_is_raised():
    call = BoundedCall(5.0)
    assert call(threading.get_ident) != threading.get_ident()
    with pytest.raises(ConfigError, match="no such mode"):
        call(lambda: (_ for _ in ()).throw(ConfigError("no such mode")))
    assert call(lambda: 3) == 3


def test_what_hangs_is_given_up_and_there_is_never_a_second_one():
    call, goes_on = BoundedCall(0.02), threading.Event()
    with pytest.raises(ConfigError, match=r"not read within 0\.02 s"):
        call(goes_on.wait)
    with pytest.raises(ConfigError, match="earlier file"):
        call(lambda: 1)
    goes_on.set()

    def answers() -> bool:
        with suppress(ConfigError):  # the earlier one has not noticed yet
            return call(lambda: 1) == 1
        return False

    assert wait_for(answers)

"""The node while TensorRT (its stand-in) builds an engine: it fuses at once, swaps, and says what it uses."""

from __future__ import annotations

from test.core.backends.test_deferred import Rig as EngineRig
from test.ros.conftest import wait_for
from test.ros.rig import Rig, pair_of, scene


def backend_in(diagnostics: list) -> str:
    """What the last diagnostics say of the backend."""
    statuses = [status for array in diagnostics[-1:] for status in array.status]
    return next((value.value for status in statuses for value in status.values if value.key == "backend"), "")


def test_node_fuses_while_the_engine_is_built_and_swaps(graph, tmp_path, monkeypatch) -> None:
    engine = EngineRig(tmp_path, monkeypatch, step_seconds=0.5)
    rig = Rig(graph, backend="tensorrt", model=engine.model, engine__cache=str(engine.cache))
    rig.until_fused(pair_of(*scene()), 3)
    assert wait_for(lambda: "in place of tensorrt: an engine is built" in backend_in(rig.diagnostics), 10)
    rig.until_fused(pair_of(*scene()), 3)

    def swapped() -> bool:
        rig.until_fused(pair_of(*scene()), 1)
        return backend_in(rig.diagnostics).startswith("tensorrt 10.3.0")

    assert wait_for(swapped, 40), backend_in(rig.diagnostics)
    rig.until_fused(pair_of(*scene()), 3)
    assert engine.builds == 1

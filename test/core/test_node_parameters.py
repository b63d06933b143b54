from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from ivif_core.errors import ConfigError
from ivif_core.node_parameters import NodeParameters
from ivif_core.registration.base import Unregistered
from ivif_core.sync.nearest import NearestPairing

SHIPPED = Path(__file__).parents[2] / "config" / "fusion.yaml"


def write(path: Path, parameters: dict, section: str = "/**") -> Path:
    path.write_text(yaml.safe_dump({section: {"ros__parameters": parameters}}))
    return path


def test_the_shipped_file_says_what_is_the_default_here():
    shipped, default = NodeParameters.read(SHIPPED), NodeParameters()
    for name in ("slop", "queue_size", "infrared_offset"):
        assert getattr(shipped.make_pairing(), name) == getattr(default.make_pairing(), name), name
    assert type(shipped.make_pairing()) is type(default.make_pairing())
    assert type(shipped.make_registration()) is type(default.make_registration())
    counts = np.random.default_rng(0).integers(20000, 24000, (3, 40, 50)).astype(np.uint16)
    ours, theirs = default.make_scaling(), shipped.make_scaling()
    for frame in counts:  # the state too
        np.testing.assert_array_equal(ours(frame), theirs(frame))
    with shipped.make_fuser() as one, default.make_fuser() as other:
        assert (one.vividness, one.model, one.backend.name) == (other.vividness, other.model, other.backend.name)


def test_nested_and_dotted_names_are_the_same_and_the_node_section_wins(tmp_path):
    nested = write(tmp_path / "a.yaml", {"thermal_scaling": {"mode": "fixed", "low": 100, "high": 355}})
    dotted = write(tmp_path / "b.yaml", {"thermal_scaling.mode": "fixed", "thermal_scaling.low": 100,
                                         "thermal_scaling.high": 355})  # fmt: skip
    counts = np.arange(100, 356, dtype=np.uint16).reshape(16, 16)
    for path in (nested, dotted):
        np.testing.assert_array_equal(NodeParameters.read(path).make_scaling()(counts).ravel(), np.arange(256))
    both = tmp_path / "c.yaml"
    both.write_text(
        "/**: {ros__parameters: {slop: 0.1, pairing: nearest}}\nivif_fusion: {ros__parameters: {slop: 0.2}}"
    )
    pairing = NodeParameters.read(both).make_pairing()
    assert pairing.slop == 0.2 and isinstance(pairing, NearestPairing)


def test_the_command_line_goes_over_the_file_where_it_says_something():
    parameters = NodeParameters({"backend": "openvino", "vividness": 0.2}).with_values(backend="auto", vividness=None)
    assert parameters.values == {"backend": "auto", "vividness": 0.2}
    assert isinstance(NodeParameters({"registration.mode": "none"}).make_registration(), Unregistered)


@pytest.mark.parametrize(
    "parameters, make, says",
    [
        ({"slop": "wide"}, "make_pairing", "slop.*'wide'"),
        ({"slop": True}, "make_pairing", "slop"),
        ({"pairing": "exact"}, "make_pairing", "exact"),
        ({"queue_size": 0}, "make_pairing", "queue_size"),
        ({"thermal_scaling": {"mode": "magic"}}, "make_scaling", "magic"),
        ({"thermal_scaling": {"colour": 1}}, "make_scaling", "colour"),
        ({"registration": {"mode": "file"}}, "make_registration", "registration"),
        ({"registration": {"mode": "camera_info"}}, "make_registration", "model: pinhole"),
        ({"vividness": 1.5}, "make_fuser", "vividness"),
        ({"backend": "abacus"}, "make_fuser", "abacus"),
    ],
)
def test_wrong_values_are_refused_with_their_name(tmp_path, parameters, make, says):
    read = NodeParameters.read(write(tmp_path / "wrong.yaml", parameters))
    with pytest.raises(ConfigError, match=says):
        getattr(read, make)()


@pytest.mark.parametrize("text", ["", "other: {ros__parameters: {}}", "/**: 3", "/**: {ros__parameters: 3}", "a: ["])
def test_files_that_are_none_of_the_node(tmp_path, text):
    path = tmp_path / "parameters.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        NodeParameters.read(path)

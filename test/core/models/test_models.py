from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra test)")
TensorProto, helper = onnx.TensorProto, onnx.helper

from ivif_core.errors import ModelError
from ivif_core.models import maps_form, read_metadata, resolve_model


def identity_model(metadata: dict[str, str]) -> bytes:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("a", "b")]
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", value[:1], value[1:])
    model = helper.make_model(graph)
    helper.set_model_props(model, metadata)
    return model.SerializeToString()


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=300), max_size=6))
def test_metadata_is_what_onnx_wrote(tmp_path_factory, metadata):
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    path.write_bytes(identity_model(metadata))
    assert read_metadata(path) == metadata


def test_metadata_of_the_shipped_student():
    metadata = read_metadata(resolve_model())
    assert metadata == {p.key: p.value for p in onnx.load(resolve_model()).metadata_props}
    assert {"ivif.version", "ivif.stride", "ivif.receptive_field", "ivif.recipe_sha256"} <= metadata.keys()
    assert resolve_model("") == resolve_model(None)


@given(st.binary(max_size=200))
def test_what_is_no_model_is_a_model_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    path.write_bytes(data)
    try:
        metadata = read_metadata(path)
    except ModelError as error:
        assert str(path) in str(error)
    else:
        assert isinstance(metadata, dict)  # random bytes may happen to be a message with a graph


def test_a_model_cut_short_is_refused(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(resolve_model().read_bytes()[:-100])
    with pytest.raises(ModelError, match="cut short"):
        read_metadata(path)


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=str(tmp_path)):
        resolve_model(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="no folder"):
        read_metadata(tmp_path)


def test_the_form_for_cpus_is_taken_only_where_it_is_the_same_network(tmp_path):
    def write(name: str, made_from: str | None) -> Path:
        (tmp_path / name).write_bytes(identity_model({"ivif.made_from": made_from} if made_from else {}))
        return tmp_path / name

    eight_bit, plain = write("s_uint8.onnx", "a"), write("s.onnx", None)
    assert maps_form(eight_bit) == eight_bit  # there is none
    maps = write("s_maps.onnx", "a")
    assert maps_form(eight_bit) == maps and maps_form(plain) == plain
    for other in ("b", None):
        write("s_maps.onnx", other)
        assert maps_form(eight_bit) == eight_bit, other
    write("s_uint8.onnx", None)
    assert maps_form(eight_bit) == eight_bit
    assert maps_form(resolve_model()).name == "student_maps.onnx"


def test_control_flow_is_refused_before_any_runtime_sees_it(tmp_path):
    """It could run for ever."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("go", 9, [])],
        [helper.make_tensor_value_info("goes", 9, [])],
    )
    graph = helper.make_graph([helper.make_node("Loop", ["", "yes"], [], body=body)], "g", [], [])
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(ModelError, match=r"has Loop: networks with control flow"):
        read_metadata(tmp_path / "m.onnx")


def test_functions_of_a_model_may_loop_too_and_are_refused(tmp_path):
    function = helper.make_function("f", "Spin", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], [])
    graph = helper.make_graph([helper.make_node("Spin", ["a"], ["b"], domain="f")], "g", [], [])
    onnx.save(helper.make_model(graph, functions=[function]), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="has functions of its own: networks with control flow"):
        read_metadata(tmp_path / "m.onnx")

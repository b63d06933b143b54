from __future__ import annotations

import hashlib
import logging

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from ivif_core.backends import EngineOptions
from ivif_core.backends.tensorrt.runner import TensorRtRunner
from ivif_core.cli.main import main
from ivif_core.errors import ConfigError, ModelError
from ivif_core.evaluation.variant_check import Parity, compare
from ivif_core.fusion import Fuser
from ivif_core.imaging import colour
from ivif_core.imaging.files import pair_by_stem, read_infrared, read_visible
from ivif_core.models import read_metadata, resolve_model
from ivif_core.models.onnx_graph import check_for_tensorrt, fold_constants, operators, to_half
from ivif_core.training.variants import VARIANTS, write_variants
from test.standins.in_process import StandIn


def network(path, seed: int = 0) -> str:
    """A small network of the float32 contract: trained convolutions, vividness, a border, shape arithmetic."""
    rng = np.random.default_rng(seed)
    constants = {
        "w1": rng.normal(0, 0.2, (8, 2, 3, 3)).astype(np.float32),
        "b1": rng.normal(0, 0.1, 8).astype(np.float32),
        "w2": rng.normal(0, 0.1, (1, 8, 1, 1)).astype(np.float32),
        "b2": np.array([0.0], np.float32),
        "fixed": np.full((1, 1, 3, 3), 1 / 9, np.float32),
        "pads_head": np.zeros(6, np.int64),
        "one": np.array([1], np.int64),
        "axis": np.array(1, np.int64),
        "zero": np.float32(0),
        "full": np.float32(1),
    }
    nodes = [
        helper.make_node("Concat", ["infrared", "visible"], ["both"], "concat", axis=1),
        helper.make_node("Shape", ["both"], ["shape"], "shape"),
        helper.make_node("Gather", ["shape", "axis"], ["channels"], "gather"),  # 2, whatever the input
        helper.make_node("Unsqueeze", ["channels", "zero_axis"], ["two"], "unsqueeze"),
        helper.make_node("Sub", ["two", "one"], ["pad"], "sub"),
        helper.make_node(
            "ConstantOfShape", ["four"], ["no_pads"], "fill", value=numpy_helper.from_array(np.array([0]))
        ),
        helper.make_node("Concat", ["no_pads_2", "pad", "pad", "no_pads_2", "pad", "pad"], ["pads"], "pads", axis=0),
        helper.make_node("Pad", ["both", "pads"], ["padded"], "pad_edges", mode="edge"),
        helper.make_node("Conv", ["padded", "w1", "b1"], ["c1"], "conv1"),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "conv2"),
        helper.make_node("Mul", ["c2", "vividness"], ["change"], "change"),
        helper.make_node("Max", ["infrared", "visible"], ["base"], "base"),
        helper.make_node("Conv", ["base", "fixed"], ["smooth"], "smooth", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["smooth", "change"], ["sum"], "sum"),
        helper.make_node("Clip", ["sum", "zero", "full"], ["fused"], "clip"),
    ]
    constants |= {"zero_axis": np.array([0], np.int64), "four": np.array([2], np.int64)}
    nodes.insert(6, helper.make_node("Identity", ["no_pads"], ["no_pads_2"], "identity"))
    shape = ["N", 1, "H", "W"]
    images = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("infrared", "visible")]
    images.append(helper.make_tensor_value_info("vividness", TensorProto.FLOAT, [1]))
    graph = helper.make_graph(
        nodes,
        "small",
        images,
        [helper.make_tensor_value_info("fused", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name != "pads_head"],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"ivif.version": "9", "ivif.recipe_sha256": "r"})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return str(path)


def scene(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Infrared and BGR with edges, gradients, noise, black and white."""
    rng = np.random.default_rng(seed)
    infrared = cv2.GaussianBlur(rng.integers(0, 256, (height, width), np.uint8), (0, 0), 4)
    visible = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 2)
    stretch = [cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX) for image in (infrared, visible)]
    stretch[1][: height // 4] = 255
    stretch[0][:, : width // 4] = 0
    return stretch[0], stretch[1]


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["fused"], feeds)[0]


def feeds_for(seed: int, height: int, width: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = {name: rng.random((1, 1, height, width), np.float32) for name in ("infrared", "visible")}
    return {**images, "vividness": np.array([0.7], np.float32)}


@pytest.mark.parametrize("source", ["small", "shipped"])
def test_folding_changes_nothing_but_the_number_of_nodes(source, tmp_path) -> None:
    path = network(tmp_path / "n.onnx") if source == "small" else resolve_model().with_name("student.onnx")
    model = onnx.load(path)
    folded = fold_constants(model)
    # The shipped file is folded when it is exported; folding it again must at least not add anything.
    assert sum(operators(folded).values()) <= sum(operators(model).values()) * (0.8 if source == "small" else 1.0)
    assert not {"Constant", "ConstantOfShape"} & operators(folded).keys()
    check_for_tensorrt(folded)
    for size in ((32, 32), (67, 70)):
        feeds = feeds_for(1, *size)
        np.testing.assert_allclose(run(folded, feeds), run(model, feeds), atol=1e-6)


def test_half_precision_computes_in_half_except_where_told(tmp_path) -> None:
    folded = fold_constants(onnx.load(network(tmp_path / "n.onnx")))
    for keep in (lambda node: False, lambda node: node.op_type == "Conv", lambda node: True):
        half = to_half(folded, keep)
        inferred = onnx.shape_inference.infer_shapes(half, strict_mode=True)
        types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
        for node in inferred.graph.node:
            if node.op_type in ("Conv", "Relu", "Mul", "Add"):
                assert types[node.output[0]] == (TensorProto.FLOAT if keep(node) else TensorProto.FLOAT16), node.name
        feeds = feeds_for(2, 40, 50)
        difference = np.abs(run(half, feeds) - run(folded, feeds)).max()
        assert difference < 2e-3
        assert (difference == 0) == keep(half.graph.node[0].__class__(op_type="Any"))


def test_operators_that_tensorrt_lacks_are_named(tmp_path) -> None:
    model = onnx.load(network(tmp_path / "n.onnx"))
    with pytest.raises(ModelError, match=r"operator ConstantOfShape \(1×\)"):
        check_for_tensorrt(model)
    folded = fold_constants(model)
    folded.opset_import[0].version = 18
    with pytest.raises(ModelError, match=r"opset 18 \(at most 17\)"):
        check_for_tensorrt(folded)


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    folder = tmp_path_factory.mktemp("family")
    source = network(folder / "small.onnx")
    pairs = [scene(seed, 64, 80) for seed in range(6)]
    return source, write_variants(folder / "small.onnx", folder, VARIANTS, pairs), pairs


def test_the_real_parser_takes_every_variant(family) -> None:
    pytest.importorskip("tensorrt_rtx", reason="pip install tensorrt-rtx-cu12 (x86-64)")
    from test.core.backends.tensorrt.test_real_library import parsed

    for file in family[1].values():
        _, network, errors, _kept = parsed(file.read_bytes())
        names = {network.get_input(index).name for index in range(network.num_inputs)}
        assert errors == [] and names == {value.name for value in onnx.load(file).graph.input}, file.name


def test_variants_agree_with_float32(family) -> None:
    source, made, pairs = family
    results = compare(source, {name: (file, "onnxruntime") for name, file in made.items()}, pairs, figures=False)
    assert [result.variant for result in results] == ["fp16", "int8", "bgr", "bgr in colour"]
    for result in results:
        assert result.holds, result
        assert result.largest > 0  # it is not the same file


def test_limits_are_two_levels_of_luminance_and_for_int8_two_in_the_mean() -> None:
    for variant in ("fp16", "bgr"):
        assert Parity(variant, 2, 0.1, "", 1).holds and not Parity(variant, 3, 0.1, "", 0).holds
        assert not Parity(variant, 1, 0.2, "", 0).holds
    assert Parity("int8", 9, 2, "", 1).holds and not Parity("int8", 9, 2.1, "", 0).holds
    assert not Parity("int8", 1, 1, "sharpness", 1.1).holds


def test_differences_are_those_of_luminance(family) -> None:
    """By hand, for one pair."""
    source, made, pairs = family
    results = compare(source, {"fp16": (made["fp16"], "onnxruntime")}, pairs[:1], figures=False)
    with Fuser(source, "onnxruntime") as expected, Fuser(made["fp16"], "onnxruntime") as found:
        differences = []
        for vividness in (0.0, 0.5, 1.0):
            expected.vividness = found.vividness = vividness
            a, b = (fuser.fuse(*pairs[0], grey=True).astype(float) for fuser in (expected, found))
            differences.append(np.abs(a - b))
    assert results[0].largest == np.max(differences) and results[0].mean == pytest.approx(np.mean(differences))


def test_comparison_notices_another_network(family, tmp_path) -> None:
    source, _, pairs = family
    other = write_variants(type(tmp_path)(network(tmp_path / "other.onnx", seed=1)), tmp_path, ["fp16"])
    (result,) = compare(source, {"fp16": (other["fp16"], "onnxruntime")}, pairs[:1])
    assert not result.holds and result.change > 1 and result.figure


def test_colour_variant_is_the_whole_fuser_in_the_graph(family) -> None:
    source, made, pairs = family
    with Fuser(source, "onnxruntime") as apart, Fuser(made["bgr"], "onnxruntime") as inside:
        assert inside.backend.signature.colour and inside.backend.signature.uint8
        for infrared, visible in [*pairs, scene(9, 33, 47)]:
            colours = [fuser.fuse(infrared, visible) for fuser in (inside, apart)]
            assert cv2.absdiff(*colours).mean() < 0.1
            assert cv2.absdiff(*map(colour.luminance, colours)).max() <= 3
        grey = cv2.cvtColor(pairs[0][1], cv2.COLOR_BGR2GRAY)
        assert cv2.absdiff(inside.fuse(pairs[0][0], grey), apart.fuse(pairs[0][0], grey)).max() <= 1


def test_metadata_marks_the_precision_and_keeps_the_rest(family) -> None:
    _, made, _ = family
    for name, file in made.items():
        metadata = read_metadata(file)
        assert metadata["ivif.precision"] == ("int8" if name == "int8" else "fp16")
        assert metadata["ivif.version"] == "9" and metadata["ivif.recipe_sha256"] == "r"


def test_int8_quantises_trained_convolutions_as_tensorrt_wants_it(family) -> None:
    model = onnx.load(family[1]["int8"])
    constants = {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    quantised = [n for n in model.graph.node if n.op_type == "Conv" and made_by.get(n.input[0]) == "DequantizeLinear"]
    assert [node.name for node in quantised] == ["conv1"]  # the last trained one stays as it is
    assert all(made_by.get(node.input[1]) == "DequantizeLinear" for node in quantised)
    assert all(node.input[2] in constants for node in quantised)  # TensorRT takes no quantised bias
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero_point = constants[node.input[2]]
            assert zero_point.dtype == np.int8 and not zero_point.any()
    assert any(v.dtype == np.int8 and v.shape == (8, 2, 3, 3) for v in constants.values())


@pytest.mark.parametrize("release", ["8.6", "11.4"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_tensorrts_stand_in_runs_every_variant(family, variant, release, tmp_path, monkeypatch) -> None:
    source, made, pairs = family
    standin = StandIn(release, monkeypatch)
    precision = "int8" if variant == "int8" else "fp16"
    small = EngineOptions(minimum=(96, 96), optimum=(96, 96), maximum=(96, 96), precision=precision, cache=tmp_path)
    model = made["bgr"] if variant == "bgr" else source  # the others are found beside the float32 file
    with Fuser(model, "tensorrt", engine=small) as fuser, Fuser(source, "onnxruntime") as reference:
        assert fuser.backend.signature.uint8 and fuser.backend.signature.colour == (variant == "bgr")
        for pair in pairs[:3]:  # smaller than the engine: padded, cropped
            difference = np.abs(fuser.fuse(*pair).astype(int) - reference.fuse(*pair))
            assert difference[:-1, :-1].mean() < 0.5
    standin.assert_nothing_is_left()
    assert isinstance(fuser.backend.runner, TensorRtRunner)


def test_what_cannot_be_exported_is_said(family, tmp_path) -> None:
    _, made, _ = family
    with pytest.raises(ModelError, match="no float32 images"):
        write_variants(made["fp16"], tmp_path)
    with pytest.raises(ConfigError, match="fp8 not known"):
        write_variants(made["fp16"], tmp_path, ["fp8"])
    (tmp_path / "text.onnx").write_text("nothing")
    with pytest.raises(ModelError, match="cannot read"):
        write_variants(tmp_path / "text.onnx", tmp_path)
    source = type(tmp_path)(network(tmp_path / "n.onnx"))
    with pytest.raises(ConfigError, match="pairs to calibrate on"):
        write_variants(source, tmp_path, ["int8"])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["n.onnx", "text.onnx"]


@pytest.mark.parametrize("name", ["n_fp16.onnx", "n_bgr.onnx"])
def test_what_is_no_model_of_ivif_is_kept(tmp_path, capsys, name) -> None:
    model, other = network(tmp_path / "n.onnx"), tmp_path / name
    other.write_text("mine")
    assert main(["export", model, "--variants", "fp16", "bgr"]) == 2
    assert name in capsys.readouterr().err and other.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_command_writes_and_compares(tmp_path, capsys) -> None:
    level = logging.getLogger().level
    network(tmp_path / "n.onnx")
    for index in range(2):
        for folder, image in zip(("infrared", "visible"), scene(index, 64, 80), strict=True):
            (tmp_path / "pairs" / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "pairs" / folder / f"{index}.png"), image)
    arguments = ["export", str(tmp_path / "n.onnx"), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--pairs", str(tmp_path / "pairs"), "--no-figures"]) == 0
    out = capsys.readouterr().out
    assert "| int8 |" in out and "luminance" in out and "2 pairs" in out and "QuantizeLinear" in out
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"n_fp16.onnx", "n_int8.onnx", "n_bgr.onnx"}
    assert logging.getLogger().level == level  # other code's warnings stay visible
    assert main(arguments) == 2
    assert "--pairs" in capsys.readouterr().err


def test_shipped_student_exports_within_limits_on_real_pairs(shared, tmp_path) -> None:
    files, _ = pair_by_stem(shared / "data" / "msrs_dev" / "infrared", shared / "data" / "msrs_dev" / "visible")
    pairs = [(read_infrared(a), read_visible(b)) for a, b in list(files.values())[::9]]
    source = resolve_model().with_name("student.onnx")
    made = write_variants(source, tmp_path, VARIANTS, pairs)
    results = compare(source, {name: (file, "onnxruntime") for name, file in made.items()}, pairs, figures=False)
    assert all(result.holds for result in results), results


def test_shipped_variants_are_made_from_the_shipped_student() -> None:
    """After a new student: `ivif export ivif_core/models/student.onnx --pairs DIR`."""
    source = resolve_model().with_name("student.onnx")
    for variant in VARIANTS:
        metadata = read_metadata(source.with_name(f"student_{variant}.onnx"))
        assert metadata["ivif.made_from"] == hashlib.sha256(source.read_bytes()).hexdigest(), variant

"""The table on a node, against real rcl; and beside it offline, so that both sides say the same."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy")
import rclpy
from rcl_interfaces.msg import ParameterType
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from ivif_core.errors import ConfigError
from ivif_core.settings import PARAMETERS, Parameter, Settings, is_foreign, read_parameter_file
from ivif_ros.parameters import declare, descriptor, refusal, values_of
from ivif_ros.tools.processes import isolated_environment
from test.core.settings.cases import NEEDS, neighbours, refused

CAMERAS = "model: homography\nhomography: [1, 0, 0, 0, 1, 0, 0, 0, 1]\n"


@pytest.fixture(scope="module")
def context():
    context = rclpy.Context()
    rclpy.init(context=context)  # in the domain of this process
    keeper = Node("keeper", context=context)  # while it lives, further nodes of the context take milliseconds
    yield context
    keeper.destroy_node()
    rclpy.try_shutdown(context=context)


@contextlib.contextmanager
def node_with(context, arguments: list[str], namespace: str = ""):
    node = Node(
        "ivif_fusion",
        context=context,
        namespace=namespace,
        cli_args=["--ros-args", *arguments],
        use_global_arguments=False,
        enable_rosout=False,
        start_parameter_services=False,
    )
    try:
        yield node
    finally:
        node.destroy_node()


def on_node(context, path: Path) -> str:
    """Why a node that is started with this parameter file does not take it; empty: it does."""
    with node_with(context, ["--params-file", str(path)]) as node:
        try:
            declare(node)
        except ConfigError as error:
            return str(error)
    return ""


def offline(path: Path) -> str:
    """Why a command with `--params` does not take it."""
    try:
        Settings.from_values(read_parameter_file(path))
    except ConfigError as error:
        return str(error)
    return ""


def write(path: Path, values: dict[str, str]) -> Path:
    path.write_text("/**:\n  ros__parameters:\n" + "".join(f"    {name}: {word}\n" for name, word in values.items()))
    return path


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_node_and_offline_take_and_refuse_the_same_in_the_same_words(context, tmp_path, parameter):
    (tmp_path / "cameras.yaml").write_text(CAMERAS)
    path = tmp_path / "fusion.yaml"
    good = [f'"{choice}"' for choice in parameter.choices or ()]
    good += [str(limit) for limit in parameter.range or ()]
    needs = {
        name: word.replace("FILE", str(tmp_path / "cameras.yaml"))
        for name, word in NEEDS.get(parameter.name, {}).items()
    }
    for word in good:
        if not (parameter.name.endswith("_percentile") and float(word) in (0.0, 100.0)):  # a pair must not be equal
            write(path, {parameter.name: word, **needs})
            assert (on_node(context, path), offline(path)) == ("", "")
    for word, told in refused(parameter).items():
        said = on_node(context, write(path, {parameter.name: word}))
        assert said.startswith(f"{parameter.name}: ") and told in said, word
        assert offline(path) == said
    for name in neighbours(parameter.name):
        said = on_node(context, write(path, {name: good[0] if good else "1"}))
        assert said.startswith(f"{name}: no such parameter; the nearest is ")
        assert offline(path) == said


def test_the_shipped_file_is_every_default_on_the_node(context):
    shipped = Path(__file__).resolve().parents[2] / "config/fusion.yaml"
    with node_with(context, ["--params-file", str(shipped)]) as node:
        assert declare(node) == Settings.from_values()


@pytest.fixture(scope="module")
def declared(context):
    with node_with(context, []) as node:
        declare(node)
        yield node


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_every_parameter_is_declared_with_description_limits_and_default(declared, parameter):
    shown = declared.describe_parameter(parameter.name)
    expected = descriptor(parameter)
    expected.type = shown.type  # rclpy fills it in
    assert shown == expected and shown.description == parameter.description
    value = declared.get_parameter(parameter.name).value
    assert (list(value) if isinstance(parameter.default, list) else value) == parameter.default
    kinds = {float: "DOUBLE", int: "INTEGER", bool: "BOOL", str: "STRING", list: "DOUBLE_ARRAY"}
    wanted = getattr(ParameterType, f"PARAMETER_{kinds[type(parameter.default)]}")
    assert declared.get_parameter(parameter.name).type_.value == wanted
    limits = [*shown.floating_point_range, *shown.integer_range]
    assert [(limit.from_value, limit.to_value) for limit in limits] == ([parameter.range] if parameter.range else [])


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_what_is_set_while_it_runs_is_refused_in_the_words_of_the_table(declared, parameter: Parameter):
    for value in ("bogus", 3, -1.0e9, True, [True], [1.0, float("nan")]):
        try:
            parameter.read(value)
        except ConfigError as error:
            assert refusal(declared, [RosParameter(parameter.name, value=value)]) == str(error)
        else:
            assert not refusal(declared, [RosParameter(parameter.name, value=value)])
    said = refusal(declared, [RosParameter(f"{parameter.name}x", value=1)])
    assert said == f"{parameter.name}x: no such parameter; the nearest is {parameter.name}"


def test_names_of_ros_itself_are_taken_from_file_and_command_line(context):
    arguments = ["-p", "use_sim_time:=true", "-p", "start_type_description_service:=false", "-p", "slop:=1"]
    arguments += ["-p", "qos_overrides./thermal/image_raw.subscription.reliability:=reliable"]
    with node_with(context, arguments) as node:
        assert declare(node)["slop"] == 1.0
        for name in node.get_parameters_by_prefix(""):
            assert is_foreign(name) or name in Settings.from_values().values, name
        assert not refusal(node, [RosParameter("use_sim_time", value=False)])


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("vividnes:=1", "vividnes: no such parameter; the nearest is vividness"),
        ("slop:=20", "slop: 20.0 is outside [0, 10]"),
        ("hot_spots.mode:=off", "hot_spots.mode: expected text in quotes, got False"),
        ('hot_spots.mode:="off"', ""),
        ("thermal_scaling.mod:=fixed", "the nearest is thermal_scaling.mode"),
    ],
)
def test_the_command_line_is_checked_too(context, argument, told):
    with node_with(context, ["-p", argument]) as node:
        try:
            declare(node)
            assert not told
        except ConfigError as error:
            assert told and told in str(error)


def test_a_misspelt_parameter_ends_the_node_with_one_line():
    command = [sys.executable, "-m", "ivif_ros", "--ros-args", "-p", "vividnes:=1.0"]
    done = subprocess.run(command, env=isolated_environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr.strip() == "fusion_node: vividnes: no such parameter; the nearest is vividness"


# Parameter files: the reader of offline tools against rcl's own parser.

WORDS = [
    *("1", "0", "-3", "+5", "010", "0x1F", "08", "1_000", "1:30", "1.5", ".5", "5.", "1e3", "-1E-3", "1e999", ".inf"),
    *("-.INF", "+.inf", ".nan", "nan2", "99999999999999999999", "true", "True", "on", "No", "y", "off", "null", "~"),
    *("2020-01-01", "abc", "a-b", "'1'", "'on'", "''", '"off"', "!!str 5", "!!int 5", "!!float 1"),
]
scalars = st.sampled_from(WORDS)
in_lists = st.sampled_from([word for word in WORDS if ":" not in word])  # rcl's libyaml ends a word there
words = st.one_of(scalars, st.lists(in_lists, max_size=3).map(lambda items: f"[{', '.join(items)}]"))
keys = st.sampled_from(["a", "b", "a.b", "slop", "1", "true"])
groups = st.recursive(
    st.dictionaries(keys, words, min_size=1, max_size=3),
    lambda inner: st.dictionaries(keys, words | inner, min_size=1, max_size=3),
    max_leaves=6,
)
NODES = [
    *("ivif_fusion", "/ivif_fusion", "/**", "/*", "/**/ivif_fusion", "/*/ivif_fusion", "/*/*", "/robot1/ivif_fusion"),
    *("/robot1/*", "/robot1/**", "/a/b/ivif_fusion", "/a/**", "other", "robot1/other", "robot1", "/robot1", "a"),
]
nodes = st.sampled_from(NODES)
parts = st.sampled_from(["ivif_fusion", "'*'", "'**'", "b", "other"])
sections = groups.map(lambda group: {"ros__parameters": group})
bodies = st.recursive(sections, lambda inner: st.dictionaries(parts, inner, min_size=1, max_size=2), max_leaves=3)


def text_of(tree: dict, indent: str = "") -> str:
    lines = []
    for key, value in tree.items():
        lines.append(
            f"{indent}{key}:\n{text_of(value, indent + '  ')}"
            if isinstance(value, dict)
            else f"{indent}{key}: {value}\n"
        )
    return "".join(lines)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(nodes, bodies, min_size=1, max_size=4), st.sampled_from(["", "/robot1", "/a/b"]))
def test_parameter_files_are_read_as_rcl_reads_them(context, tmp_path_factory, tree, namespace):
    path = tmp_path_factory.getbasetemp() / "generated.yaml"
    path.write_text(text_of(tree))
    try:
        with node_with(context, ["--params-file", str(path)], namespace) as node:
            expected = values_of(node._parameter_overrides.values())
    except Exception as error:  # RCLError, of a module that is private
        with pytest.raises(ConfigError):
            read_parameter_file(path, f"{namespace}/ivif_fusion")
        assert "params" in str(error)
        return
    try:
        found = read_parameter_file(path, f"{namespace}/ivif_fusion")
    except ConfigError as error:
        assert "expected a section" in str(error) and not expected
        return
    plain = {name: list(v) if hasattr(v, "__len__") and not isinstance(v, str) else v for name, v in expected.items()}
    assert repr(dict(sorted(found.items()))) == repr(dict(sorted(plain.items())))  # NaN is not equal, True is not 1

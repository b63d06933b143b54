"""The table of `ivif_core.settings` as ROS parameters of a node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from ivif_core.errors import ConfigError, one_line
from ivif_core.settings import BY_NAME, PARAMETERS, Parameter, Settings, check_names


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """What `ros2 param describe` shows. Floats are typed dynamically so that `slop: 1` is no type error."""
    described = ParameterDescriptor(
        name=parameter.name,
        description=parameter.description,
        additional_constraints=f"one of {', '.join(parameter.choices)}" if parameter.choices else "",
        dynamic_typing=isinstance(parameter.default, (float, list)),
    )
    if parameter.range:
        low, high = parameter.range
        if isinstance(parameter.default, float):
            described.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            described.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    return described


def declare(node: Node) -> Settings:
    """Declare all parameters on a node, with the values that were given from outside.

    Raises:
        ConfigError: a value is refused, or a name is neither a parameter nor one of ROS itself.
    """
    # The command line, its parameter files and the constructor's; rclpy shows them nowhere else before declaration.
    settings = Settings.from_values(values_of(node._parameter_overrides.values()))
    for parameter in PARAMETERS:
        value = settings[parameter.name]
        # Otherwise rclpy would check the given value first, and refuse it in its own words.
        node.declare_parameter(parameter.name, value, descriptor(parameter), ignore_override=True)
    return settings


def values_of(parameters: Iterable[RosParameter[Any]]) -> dict[str, Any]:
    """Name -> value, as `Settings` takes them."""
    return {parameter.name: parameter.value for parameter in parameters}


def refusal(node: Node, parameters: Iterable[RosParameter[Any]]) -> str:
    """Why these may not be set, in the words of the table; empty: they may, as far as one by one can tell.

    For `set_parameters_atomically`, which every service goes through: rclpy would say only that a name is not declared.
    """
    try:
        for parameter in parameters:
            if parameter.name in BY_NAME:
                BY_NAME[parameter.name].read(parameter.value)
            elif not node.has_parameter(parameter.name):
                check_names([parameter.name])
    except ConfigError as error:
        return one_line(error)
    return ""

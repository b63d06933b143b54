"""For every parameter: values that are taken and values that are refused, as words of a parameter file."""

from __future__ import annotations

from ivif_core.settings import PARAMETERS, Parameter

OTHER_TYPE = {float: "wide", int: "3.7", bool: "1", str: "3", list: "0.5"}
NEEDS = {
    "hot_spots.mode": {"radiometry.kind": "linear"},
    "registration.mode": {"registration.file": "FILE"},
    "radiometry.kind": {"radiometry.planck": "[14000.0, 1.0, 1500.0, 1.0, -7000.0]"},
}
"""Parameter -> what its other choices need beside it."""


def refused(parameter: Parameter) -> dict[str, str]:
    """Words that this parameter refuses -> part of the message."""
    words = {OTHER_TYPE[type(parameter.default)]: "expected"}
    if isinstance(parameter.default, (float, list)):
        words |= dict.fromkeys(("true", ".nan", "-.inf", "'1.0'"), "expected")
        words |= {"[1.0, .inf]": "expected", "[]": "expected"}
    if parameter.range:
        low, high = parameter.range
        step = 1 if isinstance(parameter.default, int) else 0.001
        words |= {str(low - step): "outside", str(high + step): "outside", str(high * 1000): "outside"}
    if parameter.choices:
        words |= {"bogus": "not one of", f"{parameter.choices[0].upper()}_": "not one of", '""': "not one of"}
        words["off"] = "text in quotes"  # a bool without them
    return words


def neighbours(name: str) -> set[str]:
    """Misspelt names whose nearest is this one."""
    group, dot, last = name.rpartition(".")
    return {f"{name[:-1]}", f"{name}x", f"{group}{dot}{last[1:]}"} - {parameter.name for parameter in PARAMETERS}

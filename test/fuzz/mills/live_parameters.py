"""Parameters that are set while the node runs; after each batch, back at their values, a good pair must be fused."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import rclpy
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, ListParameters, SetParameters, SetParametersAtomically

from test.fuzz.mill import Case, Verdict
from test.fuzz.mills.messages import WAIT, Messages
from test.fuzz.mills.texts import REGISTRATIONS, VALUES, with_values

BATCH = 20
FOLDER = "FOLDER"
"""In a value: the case's folder."""
PIPE = "pipe.yaml"
"""A FIFO that nobody writes to."""
KINDS = {
    "bool_value": ParameterType.PARAMETER_BOOL,
    "integer_value": ParameterType.PARAMETER_INTEGER,
    "double_value": ParameterType.PARAMETER_DOUBLE,
    "string_value": ParameterType.PARAMETER_STRING,
    "bool_array_value": ParameterType.PARAMETER_BOOL_ARRAY,
    "integer_array_value": ParameterType.PARAMETER_INTEGER_ARRAY,
    "double_array_value": ParameterType.PARAMETER_DOUBLE_ARRAY,
    "string_array_value": ParameterType.PARAMETER_STRING_ARRAY,
}
NUMBERS = (float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1.0, -1.0, 1e308, -1e308, 5e-324, 99.9, 0.5, 7e4)
WORDS = (
    *(
        "",
        "x",
        "nan",
        "percentile",
        "plateau",
        "fixed",
        "file",
        "homography",
        "camera_info",
        "none",
        "resize",
        "linear",
    ),
    *("planck", "celsius", "percent", "hold", "visible_only", "thermal_only", "rgb8", "a" * 100_000, "%n%s", "日本"),
    *(
        "../../etc/passwd",
        "/dev/null",
        "/dev/zero",
        "/",
        FOLDER,
        f"{FOLDER}/{PIPE}",
        f"{FOLDER}/0.yaml",
        f"{FOLDER}/1.yaml",
    ),
)
LENGTHS = (0, 1, 2, 3, 4, 5, 9, 10, 100_000)


class LiveParameters(Messages):
    name = "live_parameters"
    each = BATCH

    def open(self, scratch: Path) -> None:
        super().open(scratch)
        self._connect()

    def _connect(self) -> None:
        """Start a node if there is none, and learn its parameters and their values."""
        self._node("raw")
        kinds = (ListParameters, GetParameters, SetParameters, SetParametersAtomically)
        names = ("list_parameters", "get_parameters", "set_parameters", "set_parameters_atomically")
        make = self._tester.create_client
        self._clients = {kind: make(kind, f"/raw/ivif_fusion/{name}") for kind, name in zip(kinds, names, strict=True)}
        listed = self._call(ListParameters, ListParameters.Request())
        self._names = sorted(name for name in listed.result.names if not name.startswith(("qos_", "use_sim_time")))
        values = self._call(GetParameters, GetParameters.Request(names=self._names)).values
        self._defaults = [Parameter(name=name, value=value) for name, value in zip(self._names, values, strict=True)]

    def _call(self, kind: Any, request: Any) -> Any:
        """The answer of the node's service.

        Raises:
            TimeoutError: none came.
        """
        future, until = self._clients[kind].call_async(request), time.monotonic() + WAIT
        while not future.done():
            rclpy.spin_once(self._tester, timeout_sec=0.05)
            if time.monotonic() > until or not self._nodes["raw"].is_alive():
                raise TimeoutError
        return future.result()

    def make(self, random: random.Random) -> Case:
        files = {f"{index}.yaml": with_values(text.encode(), random) for index, text in enumerate(REGISTRATIONS)}
        changes: list[Any] = [[[random.choice(self._names), *_value(random)]] for _ in range(BATCH - 1)]
        changes.append([["registration.mode", "string_value", "file"]])
        changes[-1].append(["registration.file", "string_value", random.choice(WORDS[-6:])])
        return Case("requests", files, {"changes": changes})

    def judge(self, case: Case, folder: Path) -> Verdict:
        os.mkfifo(folder / PIPE)
        taken, faults = 0, []
        try:
            for change in case.options["changes"]:
                request = [_parameter(*each, folder) for each in change]
                kind = SetParametersAtomically if len(change) > 1 else SetParameters
                answer = self._call(kind, kind.Request(parameters=request))
                result = answer.results[0] if kind is SetParameters else answer.result
                taken += result.successful
                if not result.successful and (not result.reason or "\n" in result.reason or len(result.reason) > 2000):
                    faults.append(f"refused {change[0][0]} without one line of reason")
            request = SetParametersAtomically.Request(parameters=self._changed())
            back = self._call(SetParametersAtomically, request).result
            faults += [] if back.successful else [f"not set back: {back.reason}"]
        except TimeoutError:
            faults.append("no answer")
        node = self._nodes["raw"]
        if not faults and not node.fuses_good_pair():
            faults.append("a good pair is not fused")
        faults += node.faults()
        said = ""
        if faults:
            said = self._nodes.pop("raw").stop()[-4000:]
            self._connect()
        return Verdict(taken, faults, said)

    def _changed(self) -> list[Parameter]:
        """What has not its value from the start any more, as it was."""
        values = self._call(GetParameters, GetParameters.Request(names=self._names)).values
        return [each for each, value in zip(self._defaults, values, strict=True) if each.value != value]


def _value(random: random.Random) -> tuple[str, Any]:
    """A field of `ParameterValue`, and what it holds."""
    kind = random.choice(list(KINDS))
    if kind.endswith("_array_value"):
        length = random.choice(LENGTHS)
        one: dict[str, Any] = {"bool": True, "integer": 1, "double": random.choice(NUMBERS), "string": "a"}
        return kind, [one[kind.split("_")[0]]] * length
    if kind == "string_value":
        return kind, random.choice(WORDS if random.random() < 0.8 else VALUES)
    if kind == "double_value":
        return kind, random.choice(NUMBERS)
    return kind, random.choice((True, False) if kind == "bool_value" else (0, 1, -1, 2**63 - 1, -(2**63), 100))


def _parameter(name: str, kind: str, value: Any, folder: Path) -> Parameter:
    if isinstance(value, str):
        value = value.replace(FOLDER, str(folder))
    return Parameter(name=name, value=ParameterValue(type=KINDS[kind], **{kind: value}))


def make_mill() -> LiveParameters:
    return LiveParameters()

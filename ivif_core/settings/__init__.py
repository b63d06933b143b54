"""The one table of parameters, the settings that are read from it, and the files that hold them. No ROS."""

from __future__ import annotations

from ivif_core.settings.parameter import Parameter
from ivif_core.settings.parameter_file import read_parameter_file
from ivif_core.settings.settings import Settings, reads_files
from ivif_core.settings.table import BY_NAME, PARAMETERS, check_names, is_foreign

__all__ = [
    "BY_NAME",
    "PARAMETERS",
    "Parameter",
    "Settings",
    "check_names",
    "is_foreign",
    "read_parameter_file",
    "reads_files",
]

"""`python -m ivif_ros`: the fusion node, for machines without the `ros2` command."""

from __future__ import annotations

import sys

from ivif_ros.fusion_node import main

sys.exit(main())

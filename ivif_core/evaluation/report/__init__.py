"""One self-contained page of an evaluation: tables, distributions, and images to look at."""

from __future__ import annotations

from ivif_core.evaluation.report.page import report_page

__all__ = ["report_page"]

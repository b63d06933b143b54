"""Figures of fused images, comparisons and the report."""

"""Thermal values: scaling to intensity, radiometry, repair, hot spots."""

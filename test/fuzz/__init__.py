"""Seeded mills that feed the product what cameras, files and crashes may bring: `python -m test.fuzz --minutes N`."""

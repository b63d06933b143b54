"""Recipes (YAML) and the two training loops; loaded by `ivif train` and `ivif distill` when called."""

"""Training pairs, their crops and their degradation."""

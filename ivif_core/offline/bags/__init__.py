"""Recorded bags: reading, recovering and writing them."""

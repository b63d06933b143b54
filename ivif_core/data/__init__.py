"""Pairs of infrared and visible images from folders and bags."""

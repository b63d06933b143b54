"""Fusion of folders, videos and bags."""

"""Training: networks, losses, data and the three tasks. Needs torch."""

"""Finding the registration of a pair of cameras: from points, from a board, or from ordinary pairs."""

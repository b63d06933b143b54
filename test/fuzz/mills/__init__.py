"""One mill a file; each makes an input from a seed, runs the product on it, and judges what came."""

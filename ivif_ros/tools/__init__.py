"""Programs around the node: replay, recorder, demo and benchmarks."""

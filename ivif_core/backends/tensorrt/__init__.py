"""The TensorRT backend: builds an engine and runs it."""

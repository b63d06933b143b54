"""Which frames belong together, and what to do while a camera is missing."""

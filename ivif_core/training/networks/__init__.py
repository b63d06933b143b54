"""Teacher and student networks (torch)."""

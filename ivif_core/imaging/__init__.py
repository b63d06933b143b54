"""Images in memory, in files and in messages; colour."""

"""The command `ivif`."""

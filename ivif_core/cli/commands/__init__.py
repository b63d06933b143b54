"""One module a sub-command of `ivif`; each has `add_arguments(parser)` and `run(args) -> int`."""

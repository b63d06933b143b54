# PYTHON_ARGCOMPLETE_OK
"""The command `ivif`. What it needs is imported inside, where Ctrl-C is caught."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ivif`.

    Returns:
        0 done, 1 done in part or out of memory, 2 wrong input, 70 a fault of this program, 130 interrupted,
        141 nobody reads the output any more, 143 terminated.
    """
    try:
        from ivif_core.files.interruption import Terminated, at_once, ended_by_signals, nothing_left_to_do

        try:
            with ended_by_signals():
                with at_once():
                    from ivif_core.cli.boundary import run
                return run(argv)
        except Terminated as end:
            return end.status
        finally:
            if argv is None:  # the process ends now
                nothing_left_to_do()
    except KeyboardInterrupt:
        return 130

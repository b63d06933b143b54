"""`ivif distill RECIPE [key=value …]`: teach the student, by a teacher and, where asked for, by a sentence.

`ivif distill aims='{NAME: STUDENT, …}'`: join students of several sentences into one file.
"""

from __future__ import annotations

import argparse
import sys

from ivif_core.files.interruption import at_once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif distill`."""
    parser.add_argument(
        "recipe",
        metavar="RECIPE.yaml",
        help="such as training/recipes/student.yaml; or aims='{NAME: STUDENT, …}' (run folder, checkpoint, ONNX file, "
        "shipped), which joins students of one body into one file in output=FOLDER and trains nothing",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="keys of the recipe, such as teacher=CHECKPOINT data=BAG"
    )


def run(args: argparse.Namespace) -> int:
    """Train and export, or go on where the run folder holds a checkpoint."""
    words = [args.recipe, *args.overrides]
    if any(word.startswith("aims=") for word in words):
        with at_once():
            from ivif_core.training.join_aims import join_aims, read_aims

        for path in join_aims(read_aims(words)):
            print(f"student: {path}", file=sys.stderr)
        return 0
    with at_once():
        from ivif_core.training.language_student import load_student_recipe, teach_by_recipe

    for path in teach_by_recipe(load_student_recipe(args.recipe, args.overrides)):
        print(f"student: {path}", file=sys.stderr)
    return 0

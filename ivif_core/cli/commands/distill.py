"""`ivif distill RECIPE [key=value …]`: teach the student, by a teacher and, where asked for, by a sentence."""

from __future__ import annotations

import argparse
import sys

from ivif_core.files.interruption import at_once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif distill`."""
    parser.add_argument("recipe", metavar="RECIPE.yaml", help="such as training/recipes/student.yaml")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="keys of the recipe, such as teacher=CHECKPOINT data=BAG"
    )


def run(args: argparse.Namespace) -> int:
    """Train and export, or go on where the run folder holds a checkpoint."""
    with at_once():
        from ivif_core.training.language_student import load_student_recipe, teach_by_recipe

    for path in teach_by_recipe(load_student_recipe(args.recipe, args.overrides)):
        print(f"student: {path}", file=sys.stderr)
    return 0

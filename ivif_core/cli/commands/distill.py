"""`ivif distill RECIPE [key=value …]`: teach the student, from a teacher's checkpoint or its recorded outputs."""

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
        from ivif_core.training.recipe import load_recipe
        from ivif_core.training.teach_student import StudentRecipe, distill_student

    for path in distill_student(load_recipe(StudentRecipe, args.recipe, args.overrides)):
        print(f"student: {path}", file=sys.stderr)
    return 0

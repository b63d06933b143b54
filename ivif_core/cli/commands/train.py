"""`ivif train RECIPE [key=value …]`: train a teacher by sentences."""

from __future__ import annotations

import argparse
import sys

from ivif_core.files.interruption import at_once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif train`."""
    parser.add_argument("recipe", metavar="RECIPE.yaml", help="such as training/recipes/teacher.yaml")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="keys of the recipe, as data=BAG")


def run(args: argparse.Namespace) -> int:
    """Train, or go on where the run folder holds a checkpoint."""
    with at_once():
        from ivif_core.training.train_teacher import load_teacher_recipe, train_teacher

    print(f"teacher: {train_teacher(load_teacher_recipe(args.recipe, args.overrides))}", file=sys.stderr)
    return 0

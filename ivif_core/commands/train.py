"""`ivif train`: train a teacher by sentences."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="YAML file, such as training/recipes/teacher.yaml")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="recipe keys; the same run folder resumes")


def run(args: argparse.Namespace) -> int:
    from training.train_teacher import load_teacher_recipe, train_teacher

    print(train_teacher(load_teacher_recipe(args.recipe, args.overrides)))
    return 0

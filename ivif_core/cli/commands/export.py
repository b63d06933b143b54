"""`ivif export`: a checkpoint as ONNX; float16, int8 and colour files of a student, checked against float32."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ivif_core.errors import InputError, ModelError
from ivif_core.evaluation.variant_check import Parity, compare
from ivif_core.files.interruption import at_once
from ivif_core.files.outputs import check_apart
from ivif_core.files.writing import printable
from ivif_core.imaging.files import pair_by_stem, read_infrared, read_visible
from ivif_core.models.onnx_graph import operators
from ivif_core.registration.base import Resize
from ivif_core.thermal.scaling import PercentileScaling, to_intensity
from ivif_core.training.variants import VARIANTS, write_variants

_CALIBRATION_PAIRS = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif export`."""
    parser.add_argument("model", type=Path, help="a student's checkpoint (.pt), or its float32 ONNX file")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="default: beside the model")
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, help="default: all of an ONNX file, none of a checkpoint"
    )
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="DIR",
        help="folder with infrared/ and visible/: calibrates int8 and is compared on",
    )
    parser.add_argument("--backend", default="onnxruntime", metavar="NAME", help="that runs the variants in comparison")
    parser.add_argument("--no-figures", action="store_true", help="compare luminance only, which is faster")


def run(args: argparse.Namespace) -> int:
    """Write the variants, list their operators, compare them; 1 where a variant is too far from float32.

    Raises:
        InputError: no pairs, or they cannot be read.
        ModelError: there is no such model, or it cannot be exported so that TensorRT takes it.
    """
    if not args.model.is_file():  # a pipe or a device would be read for ever
        raise ModelError(f"{printable(args.model)}: expected a file, a student's checkpoint (.pt) or ONNX")
    if args.output:
        check_apart(args.output, [args.pairs])
    if args.model.suffix == ".pt":
        with at_once():
            from ivif_core.training.teach_student import export_checkpoint

        written = export_checkpoint(args.model, args.output or args.model.parent)
        print(*written, sep="\n")
        if not args.variants:
            return 0
        args.model = written[0]

    with at_once():
        import onnx

    args.variants = args.variants or list(VARIANTS)
    if args.pairs is None and "int8" in args.variants:
        raise InputError("int8 needs --pairs to calibrate on; or leave it out: --variants fp16 bgr")
    pairs = _read(args.pairs) if args.pairs else []
    made = write_variants(args.model, args.output or args.model.parent, args.variants, pairs[:: _step(len(pairs))])
    for file in made.values():
        counts = ", ".join(f"{name} {count}" for name, count in operators(onnx.load(file)).items())
        print(f"{file} ({file.stat().st_size / 1024:.0f} KiB): {counts}")
    if not pairs:
        return 0
    results = compare(
        args.model,
        {variant: (file, args.backend) for variant, file in made.items()},
        pairs,
        figures=not args.no_figures,
    )
    print(table(results, len(pairs), args.backend))
    return int(not all(result.holds for result in results))


def table(results: list[Parity], pairs: int, backend: str) -> str:
    """The comparison as Markdown."""
    rows = [
        f"Fused luminance against float32 on {pairs} pairs, vividness 0, 0.5 and 1, run by {backend}:",
        "",
        "| variant | largest difference | mean difference | figure that changes most | within limits |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        figure = f"{result.figure} {result.change:.2f} %" if result.figure else "not measured"
        holds = "yes" if result.holds else "NO"
        rows.append(f"| {result.variant} | {result.largest:.0f} | {result.mean:.3f} | {figure} | {holds} |")
    return "\n".join(rows)


def _step(count: int) -> int:
    return max(count // _CALIBRATION_PAIRS, 1)


def _read(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    files, _ = pair_by_stem(folder / "infrared", folder / "visible")
    if not files:
        raise InputError(f"{folder}: infrared/ and visible/ have no pair of one name")
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for infrared_file, visible_file in files.values():
        visible = read_visible(visible_file)
        if visible.ndim == 2:
            visible = visible[:, :, None].repeat(3, axis=2)
        intensity = to_intensity(read_infrared(infrared_file), PercentileScaling(smoothing=0.0))
        pairs.append((Resize().apply(intensity, visible.shape[:2])[0], visible))
    return pairs

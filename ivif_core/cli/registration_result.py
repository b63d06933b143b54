"""What `ivif calibrate scene`, `board` and `points` share: their pairs, and how they judge and write what they find."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from ivif_core.calibration.fitting import NEEDED, Model, fit, residuals
from ivif_core.calibration.overlay import overlay
from ivif_core.calibration.targetless import Pair
from ivif_core.errors import ConfigError, InputError, OutputError
from ivif_core.files.outputs import check_file
from ivif_core.files.writing import is_there, printable
from ivif_core.imaging import colour
from ivif_core.imaging.files import is_of_ivif, pair_by_stem, read_infrared, read_visible, write_image
from ivif_core.registration.base import Homography, rescaling
from ivif_core.registration.file import save_homography, save_pinhole
from ivif_core.registration.pinhole import Pinhole
from ivif_core.thermal.scaling import PercentileScaling, to_intensity

Found = tuple[np.ndarray, dict[str, object], str]
"""The 3×3 matrix, notes for the file, and what speaks against it (nothing: '')."""


def add_pair_arguments(parser: argparse.ArgumentParser, default_model: str) -> None:
    """The pairs, the output and how it is judged."""
    parser.add_argument("infrared", type=Path, help="image file, or folder of one rig's images; 8 or 16 bits")
    parser.add_argument("visible", type=Path, help="image file, or folder with the same names")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="registration file (YAML)")
    parser.add_argument(
        "--model", choices=tuple(NEEDED), help=f"what may lie between the cameras (default: {default_model})"
    )
    parser.add_argument("--overlay", type=Path, metavar="PNG", help="picture to judge by (default: beside the file)")
    parser.add_argument(
        "--tf",
        nargs=2,
        metavar=("RGB", "THERMAL"),
        help="print the pose for these optical frames, for TF and URDF (of `calibrate board` with --cameras)",
    )
    parser.add_argument("--force", action="store_true", help="write it even if it fits no better than plain resize")


def check_outputs(args: argparse.Namespace, *inputs: Path) -> None:
    """Refuse before any work what cannot or must not be written.

    Raises:
        ConfigError: --tf, where no pose is looked for.
        OutputError: as `check_file`; a picture that nobody named would be replaced.
    """
    if args.tf and not getattr(args, "cameras", None):
        raise ConfigError(
            f"--tf: `ivif {args.command}` finds a homography: how the images lie on each other, not where the cameras "
            "stand; a pose needs `ivif calibrate board` with --cameras and --square"
        )
    picture = picture_of(args)
    for output in (args.output, picture):
        check_file(output, (args.infrared, args.visible, *inputs), overwrite=True)
    if not args.overlay and is_there(picture) and not is_of_ivif(picture):
        raise OutputError(
            f"{printable(picture)} exists and `ivif calibrate` did not make it; name another picture with --overlay"
        )


def picture_of(args: argparse.Namespace) -> Path:
    """Where the overlay goes."""
    return Path(args.overlay or args.output.parent / f"{args.output.stem}.png")


def read_pairs(infrared: Path, visible: Path) -> tuple[list[str], list[Pair]]:
    """Names and grey pairs of one size: larger images of the same shape are brought to the smallest.

    Raises:
        InputError: they cannot be read, or are not of one rig.
    """
    if infrared.is_dir() != visible.is_dir():
        raise InputError(f"expected two files or two folders, got {printable(infrared)} and {printable(visible)}")
    files = pair_by_stem(infrared, visible)[0] if infrared.is_dir() else {infrared.stem: (infrared, visible)}
    scaling = PercentileScaling(smoothing=0)
    thermal = [to_intensity(read_infrared(first), scaling) for first, _ in files.values()]
    grey = [colour.luminance(read_visible(second)) for _, second in files.values()]
    pairs = list(zip(_one_size(thermal, infrared), _one_size(grey, visible), strict=True))
    if not pairs:
        raise InputError(f"{printable(infrared)} and {printable(visible)} have no file name in common")
    first, second = (image.shape[::-1] for image in pairs[0])
    if first[0] > second[0] and first[1] > second[1]:
        print(f"ivif calibrate: thermal is {first}, RGB {second} px: are the two swapped?", file=sys.stderr)
    return list(files), pairs


def fit_points(infrared: np.ndarray, visible: np.ndarray, model: Model | None, pair: Pair, method: str) -> Found:
    """The transform that takes infrared points [N, 2] to visible ones, beside plain resize.

    Raises:
        InputError: the points do not fix it.
    """
    chosen: Model = model or ("homography" if len(infrared) >= 6 else "similarity")
    matrix = fit(infrared, visible, chosen)
    after = residuals(matrix, infrared, visible)
    before = residuals(rescaling(pair[0].shape[::-1], pair[1].shape[::-1]), infrared, visible)
    notes: dict[str, object] = {
        "method": f"{method}, {chosen}",
        "residual_px": round(float(np.median(after)), 2),
        "largest_residual_px": round(float(after.max()), 2),
        "residual_of_resize_px": round(float(np.median(before)), 2),
    }
    return matrix, notes, "plain resize fits the points better" if np.median(after) >= np.median(before) else ""


def write_result(
    args: argparse.Namespace,
    pairs: list[Pair],
    matrix: np.ndarray,
    notes: dict[str, object],
    objection: str,
    pinhole: Pinhole | None = None,
) -> int:
    """Print the notes, write the overlay, and the file where nothing speaks against it; 1 where something does.

    The file holds `pinhole`, if there is one, else `matrix`, by which the overlay is made in either case.
    """
    picture, (infrared, visible) = picture_of(args), pairs[0]
    # Refused before anything is written, where points lead to no invertible matrix.
    found = Homography(matrix, infrared_size=infrared.shape[::-1], visible_size=visible.shape[::-1])
    for key, value in notes.items():
        print(f"{key}: {value}")
    write_image(picture, overlay(infrared, visible, matrix))
    print(f"overlay: {printable(picture)}")
    if objection and not args.force:
        print(
            f"ivif {args.command}: {printable(args.output)} not written: {objection}. Look at {printable(picture)}. "
            "Use more or other pairs, pick points by hand (`ivif calibrate click`), or write it anyway with --force",
            file=sys.stderr,
        )
        return 1
    if pinhole is None:
        save_homography(args.output, found, notes)
    else:
        save_pinhole(args.output, pinhole, notes)
    print(printable(args.output))
    return 0


def _one_size(images: list[np.ndarray], folder: Path) -> list[np.ndarray]:
    if not images:
        return []
    smallest = min((image.shape for image in images), key=lambda shape: shape[0])
    for image in images:
        if abs(image.shape[1] / image.shape[0] - smallest[1] / smallest[0]) > 0.01:
            sizes = f"{image.shape[::-1]} and {smallest[::-1]}"
            raise InputError(f"{printable(folder)}: expected images of one camera, got sizes {sizes}")
    return [cv2.resize(image, smallest[::-1], interpolation=cv2.INTER_AREA) for image in images]

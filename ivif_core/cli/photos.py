"""What `ivif fuse` and `ivif extract` do with radiometric photos: each file is a pair by itself."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ivif_core.cli.commands.bag import read_parameters
from ivif_core.errors import ConfigError, InputError
from ivif_core.files.outputs import check_apart, check_folder
from ivif_core.files.writing import printable
from ivif_core.imaging.files import SUFFIXES
from ivif_core.offline.folder import FolderResult, Images, Pair, fuse_file, fuse_folder
from ivif_core.offline.photo_folder import write_photos
from ivif_core.offline.radiometric_photo import SUFFIXES as PHOTO_SUFFIXES
from ivif_core.offline.radiometric_photo import find_photos, read_photo
from ivif_core.offline.video import SUFFIXES as VIDEO_SUFFIXES
from ivif_core.settings import Settings


def are_photos(inputs: list[Path], output: Path) -> bool:
    """Whether inputs of `ivif fuse` are photos, and no pair: not two, or two JPEG files that go into a folder."""
    return len(inputs) != 2 or (not _is_file_name(output) and all(p.suffix.lower() in PHOTO_SUFFIXES for p in inputs))


def fuse_photos(args: argparse.Namespace) -> int:
    """Fuse; 1 where some photos could not be."""
    if not any(path.is_dir() or path.suffix.lower() in PHOTO_SUFFIXES for path in args.inputs):
        raise InputError(
            f"expected two inputs, infrared and visible, or radiometric JPEGs; got {len(args.inputs)}, "
            f"{printable(args.inputs[0])} first"
        )
    photos = find_photos(args.inputs)
    settings = read_photo_parameters(args)
    plain: list[str] = []

    def read(pair: Pair) -> Images:
        photo = read_photo(pair[0], settings.maximum_megapixels)
        if settings["registration.mode"] != "resize":
            return photo.celsius, photo.visible, settings.recorded_registration()
        if photo.registration is None:
            plain.append(printable(pair[0]))
        return photo.celsius, photo.visible, photo.placed()

    with settings.fuser(is_stream=args.sequence) as fuser:
        options = {"grey": args.grey, "overwrite": args.overwrite, "read": read}
        if _is_file_name(args.output):
            if len(photos) != 1:
                raise InputError(
                    f"-o {printable(args.output)}: expected a folder, since there are {len(photos)} photos"
                )
            (path,) = photos.values()
            fuse_file(fuser, path, path, args.output, **options)
            print(printable(args.output))
            status = 0
        else:
            result = fuse_folder(
                fuser,
                {stem: (path, path) for stem, path in photos.items()},
                args.output,
                **options,
                inputs=[*args.inputs, *filter(None, [args.params]), *settings.files()],
                progress=partial(tqdm, unit="photo", disable=None),
            )
            if result.failed and not result.written and not result.kept:
                more = (
                    f" (and none of {len(result.failed) - 1} others could be fused)" if len(result.failed) > 1 else ""
                )
                pair = "; of a pair, name the output file: -o fused.png" if len(args.inputs) == 2 else ""
                raise InputError(f"{next(iter(result.failed.values()))}{more}{pair}")
            status = summary(result, args.output, "photos")
    for name in plain:
        print(f"ivif fuse: {name} does not say how its pictures lie; thermal was resized", file=sys.stderr)
    return status


def extract_photos(args: argparse.Namespace) -> int:
    """Write what the photos hold as image files; 1 where some are broken."""
    photos = find_photos(args.inputs)
    of_bags = ("infrared", "visible", "slop", "time_offset", "scaling", "range", "registration")
    given = [f"--{name.replace('_', '-')}" for name in of_bags if getattr(args, name) is not None]
    if given or args.every != 1:
        raise ConfigError(f"{', '.join(given) or '--every'}: for bags only; photos are written as they are, in 0.01 K")
    settings = read_photo_parameters(args)
    check_apart(args.output, [*args.inputs, args.params])
    check_folder(args.output, (), overwrite=False)
    failed = write_photos(photos, args.output, settings, fail=args.fail)
    for reason in failed:
        print(f"left out: {reason}", file=sys.stderr)
    print(f"{printable(args.output)}: {len(photos) - len(failed)} pairs")
    return 1 if failed else 0


def read_photo_parameters(args: argparse.Namespace) -> Settings:
    """Parameters for images in °C, whatever the file says of the counts of another camera.

    Raises:
        ConfigError: as `read_parameters`, or they crop.
    """
    celsius = {"radiometry__kind": "linear", "radiometry__scale": 1.0, "radiometry__offset": 0.0}
    settings = read_parameters(args, **celsius)
    if any(map(any, settings.crops().values())):
        raise ConfigError("thermal_crop and rgb_crop are for cameras; photos are taken whole")
    return settings


def summary(result: FolderResult, output: Path, what: str, more: list[str] | None = None) -> int:
    """Say what became of a folder; 1 where something failed."""
    for stem, reason in result.failed.items():
        print(f"not fused: {printable(stem)}: {reason}", file=sys.stderr)
    parts = [f"{len(result.written)} {what} fused into {printable(output)}"]
    if result.kept:
        parts.append(f"{len(result.kept)} existed already (--overwrite replaces them)")
    parts += more or []
    if result.failed:
        parts.append(f"{len(result.failed)} failed")
    print("; ".join(parts))
    return 1 if result.failed else 0


def _is_file_name(output: Path) -> bool:
    return output.suffix.lower() in {*SUFFIXES, *VIDEO_SUFFIXES} and not output.is_dir()

"""Pairs out of recorded bags, paired, scaled and registered by the code that the node runs on live cameras."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from ivif_core.errors import InputError, OutputError
from ivif_core.files.outputs import check_folder, place_folder
from ivif_core.files.writing import temporary_folder
from ivif_core.fusion import prepare
from ivif_core.imaging.files import write_image
from ivif_core.imaging.messages import to_infrared, to_visible
from ivif_core.offline.bags.pairs import BagCounts, BagPairs, Malformed, Restart
from ivif_core.offline.bags.recording import open_recording
from ivif_core.offline.bags.writer import recording_files
from ivif_core.registration.base import Registration
from ivif_core.settings import Settings
from ivif_core.sync.pairing import Pair
from ivif_core.thermal.scaling import ThermalScaling


@dataclass
class Extraction(BagCounts):
    """What came out of a bag.

    Attributes:
        pairs: number written.
        skipped: one line for each pair that could not be read.
    """

    pairs: int = 0
    skipped: list[str] = field(default_factory=list)


def extract(
    bag: str | Path,
    folder: str | Path,
    *,
    infrared: str | None = None,
    visible: str | None = None,
    settings: Settings | None = None,
    every: int = 1,
    on_error: str = "skip",
) -> Extraction:
    """Write the pairs of a bag as `folder/infrared/<stamp>.png` and `folder/visible/<stamp>.png`, without loss.

    Args:
        bag: as `read_bag_images`.
        folder: must not exist; it appears when all pairs are written.
        infrared, visible: topics; None: found by what their images are (`bags.images.find_topics`).
        settings: of pairing, crops, scaling, registration and the largest image; None: the node's defaults.
        every: keep every n-th pair.
        on_error: 'skip' names broken frames and goes as far as a broken bag goes; 'fail' raises.

    Raises:
        InputError: the folder exists, the bag or a topic is missing, no pair is found, or (with 'fail') anything in
            it is broken.
        ConfigError: `registration.mode` camera_info, whose topics are not read.
    """
    folder, settings = Path(folder), settings or Settings.from_values()
    registration = settings.recorded_registration()
    if on_error not in ("skip", "fail"):
        raise InputError(f"on_error: expected 'skip' or 'fail', got {on_error!r}")
    if every < 1:
        raise InputError(f"every: expected 1 or more, got {every}")
    check_folder(folder, recording_files(Path(bag)), overwrite=False)
    with temporary_folder(folder) as temporary:
        for name in ("infrared", "visible", "recovered"):
            (temporary / name).mkdir(parents=True)
        found = _write_pairs(
            bag,
            temporary,
            (infrared, visible),
            settings,
            registration,
            every,
            on_error == "fail",
        )
        if not found.pairs:
            raise InputError(f"{bag}: no pair within {settings['slop']:g} s; {_why_none(found)}")
        shutil.rmtree(temporary / "recovered")
        place_folder(temporary, folder, made_by="ivif extract", overwrite=False)
    return found


def _write_pairs(
    bag: str | Path,
    folder: Path,
    topics: tuple[str | None, str | None],
    settings: Settings,
    registration: Registration,
    every: int,
    fail: bool,
) -> Extraction:
    found, bag = Extraction(), Path(bag)
    stamps: set[int] = set()
    scaling = settings.scaling()
    with (
        open_recording(bag, None if fail else folder / "recovered") as recording,
        tqdm(desc="extracting", unit="pair", disable=None) as bar,
    ):
        pairs = BagPairs(bag, recording, {"infrared": topics[0], "visible": topics[1]}, settings.pairing(), found)
        for item in pairs.read():
            if isinstance(item, Restart):
                scaling.reset()
            elif isinstance(item, Malformed):
                found.dropped["malformed"] += 1
                if fail:
                    raise InputError(f"{bag}: {item.why}")
            elif isinstance(item, Pair):
                if item.visible_stamp in stamps:  # its files have the name of an earlier pair's
                    found.dropped["visible_duplicate"] += 1
                    continue
                stamps.add(item.visible_stamp)
                if (len(stamps) - 1) % every:
                    continue
                try:
                    _write_pair(item, folder, scaling, registration, settings)
                except OutputError:  # a full disk is no fault of the pair
                    raise
                except InputError as error:
                    if fail:
                        raise InputError(f"{bag}, pair at {item.visible_stamp}: {error}") from error
                    found.dropped["malformed"] += 1
                    found.skipped.append(f"pair at {item.visible_stamp}: {error}")
                else:
                    found.pairs += 1
                    bar.update()
        pairs.finish()
    if fail and found.broken:
        raise InputError(f"{bag}: {found.broken}")
    return found


def _write_pair(
    pair: Pair, folder: Path, scaling: ThermalScaling, registration: Registration, settings: Settings
) -> None:
    crops, most = settings.crops(), settings.maximum_megapixels
    visible = crops["visible"].apply(to_visible(pair.visible.content, most), "visible")
    counts = crops["infrared"].apply(to_infrared(pair.infrared.content, most), "infrared")
    registered = prepare(counts, visible, scaling, registration).registered
    write_image(folder / "infrared" / f"{pair.visible_stamp:019d}.png", registered, sweep_folder=False)
    write_image(folder / "visible" / f"{pair.visible_stamp:019d}.png", visible, sweep_folder=False)


def _why_none(found: Extraction) -> str:
    dropped = ", ".join(f"{cause} {count}" for cause, count in found.dropped.items() if count) or "no frame was dropped"
    return "; ".join([f"dropped: {dropped}", *found.warnings, *found.skipped[:3], *filter(None, [found.broken])])

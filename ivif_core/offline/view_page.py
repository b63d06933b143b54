"""A local page on which one looks at pairs, moves the parameters of the node, and sees what it would make of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import cv2
import numpy as np

from ivif_core.errors import InputError, shown
from ivif_core.files.local_page import Body, LocalPage, as_json
from ivif_core.fusion import Fuser
from ivif_core.offline.folder import Images
from ivif_core.offline.view_frames import Frames
from ivif_core.registration.base import Homography, Registration, Resize, Unregistered, rescaling
from ivif_core.settings import Settings
from ivif_core.settings.documents import parameters_as_yaml
from ivif_core.thermal.scaling import MODES, SingleImages

LIVE = (
    "vividness",
    "aim",
    *(f"thermal_scaling.{name}" for name in ("mode", "low", "high", "low_percentile", "high_percentile", "clahe")),
)
"""Parameters that the page sets."""
MOVES = {"right": (0.0, -1e4, 1e4), "down": (0.0, -1e4, 1e4), "scale": (1.0, 0.2, 5.0), "turn": (0.0, -180.0, 180.0)}
"""How thermal is moved on top of its registration: at rest, least, most; pixels of the visible image, degrees."""
_KEPT = 2
"""Results that the page may still ask for."""
_SMALL = 160
"""Width of a preview, px."""


class ViewServer(LocalPage):
    """Serves the page, fusing on the caller's `Fuser`; the node's parameters are tried, nothing is written."""

    def __init__(self, frames: Frames, settings: Settings, fuser: Fuser, port: int = 0) -> None:
        """
        Args:
            frames: at least one.
            settings: to start from.
            fuser: of those settings; used by this server alone from now on.
            port: 0 takes any free one.

        Raises:
            InputError: the port is taken.
        """
        self._frames, self._settings, self._fuser = frames, settings, fuser
        self._lock = threading.Lock()
        self._made: OrderedDict[int, dict[str, np.ndarray]] = OrderedDict()
        self._last: tuple[int, Images] | None = None
        self._number = 0
        self._small: dict[int, bytes] = {}
        super().__init__("ivif_core.offline", ("view_page.html", "view_page.css", "view_page.js"), port)

    def get(self, path: str, query: str) -> Body | None:
        """What the page starts from, an image of a result, or the visible image or preview of a frame."""
        if path == "/state":
            return as_json(
                {
                    "names": self._frames.names,
                    "modes": MODES,
                    "aims": self._fuser.aims,
                    "values": {name: self._settings[name] for name in LIVE},
                    "moves": {name: rest for name, (rest, _, _) in MOVES.items()},
                }
            )
        if path not in ("/thermal.bmp", "/visible.bmp", "/fused.bmp", "/small.jpg"):
            return None
        if not (query.isascii() and query.isdigit() and len(query) < 10):
            raise InputError(f"expected a number, got {shown(query)}")
        if path == "/small.jpg":
            return "image/jpeg", self._preview(self._index(int(query)))
        with self._lock:
            result = self._made.get(int(query))
        if result is None:
            raise InputError("a newer result has taken its place")
        # Lossless, and made in a hundredth of the time that PNG takes; it never leaves this machine.
        return "image/bmp", cv2.imencode(".bmp", result[path[1:-4]])[1].tobytes()

    def post(self, path: str, content: Any) -> Body | None:
        """Fuse a frame."""
        return as_json(self.look(content)) if path == "/look" else None

    def look(self, content: Any) -> dict[str, Any]:
        """Fuse one frame as the node would with these parameters.

        Args:
            content: `frame` (index), `values` (of parameters in `LIVE`), `move` (of `MOVES`); both may be left out.

        Returns:
            key: for the images. yaml: parameters that give this. size: of the visible image. scaled: thermal goes
            through scaling. range: least, 1st and 99th percentile, most, in the unit of `low` and `high`. movable.

        Raises:
            IvifError: not that, a value that the node would refuse, or a frame that cannot be read or fused.
        """
        if not isinstance(content, dict) or not content.keys() <= {"frame", "values", "move"}:
            raise InputError("expected frame, values and move")
        values = content.get("values", {})
        if not isinstance(values, dict) or not values.keys() <= set(LIVE):
            raise InputError(f"values: expected some of {', '.join(LIVE)}, got {shown(values)}")
        index, move = self._index(content.get("frame")), _read_move(content.get("move", {}))
        settings = self._settings.with_changes(values)
        with self._lock:
            if self._last is None or self._last[0] != index:
                self._last = index, self._frames.read(index)
            infrared, visible, own = self._last[1]
            base = own or self._settings.recorded_registration()
            moved = _moved(base, move, infrared.shape[1::-1], visible.shape[1::-1])
            self._fuser.check_aim(settings["aim"])
            self._fuser.vividness, self._fuser.aim = settings["vividness"], settings["aim"]
            self._fuser.scaling = SingleImages(settings.scaling())
            self._fuser.registration = moved or base
            pair = self._fuser.prepare(infrared, visible)
            fused = self._fuser.fuse_prepared(pair)
            self._number += 1
            self._made[self._number] = {"thermal": pair.registered, "visible": pair.visible, "fused": fused}
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
            return {
                "key": self._number,
                "yaml": self._yaml(settings, moved),
                "size": visible.shape[1::-1],
                "scaled": infrared.dtype != np.uint8,
                "range": self._range(infrared),
                "movable": _matrix(base, (1, 1), (1, 1)) is not None,
            }

    def _index(self, frame: Any) -> int:
        if type(frame) is not int or not 0 <= frame < len(self._frames.names):
            raise InputError(f"frame: expected 0 to {len(self._frames.names) - 1}, got {shown(frame)}")
        return frame

    def _preview(self, index: int) -> bytes:
        if index not in self._small:
            visible = self._frames.read(index)[1]
            size = _SMALL, max(1, round(_SMALL * visible.shape[0] / visible.shape[1]))
            self._small[index] = cv2.imencode(".jpg", cv2.resize(visible, size, interpolation=cv2.INTER_AREA))[
                1
            ].tobytes()
        return self._small[index]

    def _range(self, infrared: np.ndarray) -> list[float]:
        finite = infrared[np.isfinite(infrared)]
        if not finite.size:
            return [0.0, 0.0, 0.0, 0.0]
        counts = np.percentile(finite, [0, 1, 99, 100])
        radiometry = self._settings.radiometry()
        found = counts if radiometry is None else np.nan_to_num(radiometry.celsius(counts), posinf=1e4, neginf=-300)
        return [float(value) for value in found]

    def _yaml(self, settings: Settings, moved: Homography | None) -> str:
        values = settings.not_default()
        if self._frames.celsius:
            values = {name: value for name, value in values.items() if not name.startswith("radiometry.")}
        if moved is not None:
            values.pop("registration.file", None)
            values["registration.mode"] = "homography"
            values["registration.homography"] = [float(f"{value:.10g}") for value in moved.matrix.ravel()]
        return parameters_as_yaml(values) if values else "# all parameters are at their defaults\n"


def _read_move(content: Any) -> dict[str, float]:
    if not isinstance(content, dict) or not content.keys() <= MOVES.keys():
        raise InputError(f"move: expected {', '.join(MOVES)}, got {shown(content)}")
    found = {name: content.get(name, rest) for name, (rest, _, _) in MOVES.items()}
    for name, value in found.items():
        _, least, most = MOVES[name]
        if type(value) not in (int, float) or not least <= value <= most:
            raise InputError(f"move {name}: expected a number from {least:g} to {most:g}, got {shown(value)}")
    return found


def _matrix(registration: Registration, infrared_size: tuple[int, int], visible_size: tuple[int, int]) -> Any:
    """3×3, infrared -> visible pixels; None: the registration is no matrix."""
    if isinstance(registration, Homography):
        return registration.scaled_to(infrared_size, visible_size)
    if isinstance(registration, Resize):
        return rescaling(infrared_size, visible_size)
    return np.eye(3) if isinstance(registration, Unregistered) else None


def _moved(
    registration: Registration, move: dict[str, float], infrared_size: tuple[int, int], visible_size: tuple[int, int]
) -> Homography | None:
    """The registration with a turn and a scale about the visible image's middle and a shift on top; None: at rest."""
    if all(move[name] == rest for name, (rest, _, _) in MOVES.items()):
        return None
    matrix = _matrix(registration, infrared_size, visible_size)
    if matrix is None:
        raise InputError("a registration by calibrated cameras is not moved here; change its file")
    middle = (visible_size[0] - 1) / 2, (visible_size[1] - 1) / 2
    turn = np.vstack([cv2.getRotationMatrix2D(middle, -move["turn"], move["scale"]), [0, 0, 1]])
    turn[:2, 2] += move["right"], move["down"]
    return Homography(turn @ matrix)

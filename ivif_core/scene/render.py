"""A night street that this project renders itself, as an RGB and a thermal camera in one place would see it.

Headlights blind the RGB camera, people in dark clothes are hardly visible and steam hides what is behind; the thermal
camera sees people, engines and tyres, and neither light nor steam. NumPy and OpenCV only; the same seed, size and
index give the same frame on one machine, and `period` frames close to a loop.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from ivif_core.errors import InputError
from ivif_core.scene.canvas import Canvas, Label
from ivif_core.scene.cars import HEADLIGHT, LENGTH, TAIL_LIGHT, Car
from ivif_core.scene.optics import ThermalCamera, View, VisibleCamera, fractal_noise
from ivif_core.scene.people import Walker
from ivif_core.scene.street import KERB, LAMP_POWER, LAMPS, SKY, SODIUM, VENT, Buildings, cast, light

_SECONDS = 8.0
"""A loop takes so long on the street, however many frames show it."""
_VENT = np.array([VENT[0], 0.0, VENT[1]])


class Street:
    """The scene at one size; what does not move is rendered once, when it is made (about a second)."""

    def __init__(self, size: tuple[int, int] = (640, 480), *, seed: int = 0, period: int = 240) -> None:
        """
        Args:
            size: width, height in pixels, at least 32×32.
            seed: of houses, windows and noise.
            period: frames after which everything repeats.

        Raises:
            InputError: a size or period that is too small.
        """
        if min(size) < 32 or period < 1:
            raise InputError(f"scene: expected at least 32x32 pixels and 1 frame, got {size[0]}x{size[1]} and {period}")
        self.size, self.period, self._seed = size, period, seed
        random = np.random.default_rng(seed)
        self.view = View(size)
        self._noise = fractal_noise(random, (512, 512))
        self._still = self._render_still(Buildings(random))
        self._eye = VisibleCamera(random, size)
        self._thermal = ThermalCamera(random, size)

    def render(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Frame `index` (any whole number): infrared uint8 H×W and visible uint8 H×W×3 BGR, on the same grid."""
        return self.render_labelled(index)[:2]

    def render_labelled(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `render`, and what each pixel shows: labels uint8 H×W of `Label`. Steam hides nothing from them."""
        phase = int(index) % self.period / self.period
        canvas = self._still.copy()
        cars, people = self.cars(index), self.people(index)
        self._add_headlights(canvas, cars)
        actors: list[tuple[float, Callable[[Canvas], None]]] = [(car.z, car.draw) for car in cars]
        actors += [(person.z, person.draw) for person in people]
        actors.append((_VENT[2], lambda canvas: self._draw_steam(canvas, phase, cars)))
        for _, draw in sorted(actors, key=lambda actor: -actor[0]):
            draw(canvas)
        random = np.random.default_rng([self._seed, index % self.period])
        infrared, visible = self._thermal.develop(canvas.celsius, random), self._eye.develop(canvas.radiance, random)
        return infrared, visible, canvas.labels

    def cars(self, index: int) -> list[Car]:
        """Who drives in a frame; parked cars stand in the still picture already."""
        phase = int(index) % self.period / self.period
        coming = Car(-1.3, _coming(phase), approaching=True, paint=(0.10, 0.09, 0.09))
        going = Car(1.3, -6 + 94 * ((phase + 0.62) % 1.0), approaching=False, paint=(0.05, 0.05, 0.22))
        return [coming, going]

    def people(self, index: int) -> list[Walker]:
        """Who is on the street in a frame; each walks in one loop to where the next one was, so it has no seam."""
        phase = int(index) % self.period / self.period
        glare = self._glare(phase)
        people = [
            Walker(-6.7 + 11.0 * (phase + k), 13.6, "right", stride=9 * (phase + k), backlight=glare) for k in (0, 1)
        ]
        people += [
            Walker(-5.4, 6.0 + 10.5 * (k - phase), "near", stride=8 * (phase - k), coat=(0.030, 0.020, 0.018))
            for k in (1, 2, 3)
        ]
        people += [
            Walker(6.0, 5.0 + 10.0 * (k + phase), "far", stride=8 * (phase + k), coat=(0.015, 0.016, 0.024))
            for k in range(4)
        ]
        people.append(Walker(4.8, 10.9, "near", moving=False, backlight=glare, coat=(0.02, 0.02, 0.02)))
        return [person for person in people if person.z > 3.0]

    def _glare(self, phase: float) -> np.ndarray:
        """Light on the backs of people by the crossing, from the car that comes."""
        distance = _coming(phase) - 13.6
        return HEADLIGHT / HEADLIGHT.max() * (30.0 / (distance + 4) if distance > 0 else 0.0)

    def _render_still(self, buildings: Buildings) -> Canvas:
        """Ray-cast finer than the picture, with the mirror image in wet ground and parked cars."""
        fine = self.view.scaled(float(np.clip(1000 / self.size[0], 1.0, 1.5)))
        eye, rays = np.array(fine.position, np.float32), fine.rays()
        surfaces = cast(eye, rays, buildings, self._noise)
        radiance = surfaces.emission + surfaces.albedo * light(surfaces, LAMPS, LAMP_POWER)
        ground = surfaces.normal[..., 1] > 0.5
        mirrored = rays * np.array([1, -1, 1], np.float32)
        seen = cast(surfaces.point, mirrored, buildings, self._noise)
        image = seen.emission + seen.albedo * light(seen, LAMPS, LAMP_POWER)
        image = np.where(ground[..., None], image, 0).astype(np.float32)
        image = cv2.GaussianBlur(image, (0, 0), sigmaX=0.003 * fine.size[0], sigmaY=0.022 * fine.size[1])
        steep = np.abs(rays[..., 1]) / np.linalg.norm(rays, axis=2)
        mirror = (0.03 + 0.97 * (1 - np.clip(steep, 0, 1)) ** 5) * surfaces.wet * ground
        radiance += mirror[..., None] * image
        haze = (1 - np.exp(-np.minimum(surfaces.depth, 120) / 160))[..., None]
        radiance = radiance * (1 - haze) + haze * (SKY * 1.5 + 0.006 * SODIUM)
        canvas = Canvas(fine, radiance.astype(np.float32), surfaces.celsius, surfaces.depth, _unlabelled(fine))
        for lamp in sorted(LAMPS, key=lambda lamp: -lamp[2]):
            self._draw_lamp(canvas, lamp, (mirror / (0.02 + mirror.max())).astype(np.float32))

        def shrink(image: np.ndarray) -> np.ndarray:
            return cv2.resize(image, self.size, interpolation=cv2.INTER_AREA).astype(np.float32)

        labels = cv2.resize(canvas.labels, self.size, interpolation=cv2.INTER_NEAREST)
        still = Canvas(self.view, shrink(canvas.radiance), shrink(canvas.celsius), shrink(canvas.depth), labels)
        for x, z, paint, running in (
            (3.35, 31.0, (0.16, 0.16, 0.16), False),
            (-3.35, 24.5, (0.20, 0.17, 0.15), False),
            (3.35, 22.0, (0.04, 0.05, 0.20), True),
            (-3.35, 18.0, (0.05, 0.06, 0.06), True),
            (3.35, 16.6, (0.22, 0.21, 0.20), False),
        ):
            Car(x, z, approaching=x < 0, paint=paint, running=running, lights=False).draw(still)
        # What headlights will fall on, a third as fine: that light has no edges of its own.
        coarse = self.view.scaled(0.34)
        lit = cast(eye, coarse.rays(), buildings, self._noise)
        self._lit = [np.ascontiguousarray(part[..., axis]) for part in (lit.point, lit.normal) for axis in range(3)]
        self._albedo, self._mirror = shrink(surfaces.albedo), shrink(mirror.astype(np.float32))
        return still

    def _draw_lamp(self, canvas: Canvas, lamp: tuple[float, float, float], mirror: np.ndarray) -> None:
        view, (x, y, z) = canvas.view, lamp
        scale = view.pixels_per_metre / z
        pole = np.sign(x) * (KERB + 0.35)
        points = view.project(np.array([[pole, 0, z], [pole, y + 0.2, z], [x, y + 0.05, z]]))
        for start, end, width in ((points[0], points[1], 0.13), (points[1], points[2], 0.09)):
            first, last = ([int(value * 16) for value in point] for point in (start, end))
            thickness = max(1, round(width * scale))
            cv2.line(canvas.radiance, first, last, (0.012, 0.012, 0.014), thickness, cv2.LINE_AA, 4)
            cv2.line(canvas.celsius, first, last, 7.0, thickness, cv2.LINE_AA, 4)
        head = [round(value) for value in points[2]]
        axes = (max(1, round(0.34 * scale)), max(1, round(0.09 * scale)))
        cv2.ellipse(canvas.radiance, head, axes, 0, 0, 360, [float(value) for value in SODIUM * 14], -1, cv2.LINE_AA)
        cv2.ellipse(canvas.celsius, head, axes, 0, 0, 360, 27.0, -1, cv2.LINE_AA)
        cv2.ellipse(canvas.labels, head, axes, 0, 0, 360, int(Label.LAMP), -1)
        _streak(canvas.radiance, mirror, view, np.array(lamp), SODIUM * 1.2)

    def _towards(self, *place: float) -> tuple[np.ndarray, ...]:
        """From a light to all that it may fall on: x, y, z, distance squared, cosine of incidence."""
        x, y, z = (points - np.float32(at) for points, at in zip(self._lit[:3], place, strict=True))
        squared = x * x + y * y + z * z
        facing = x * self._lit[3] + y * self._lit[4] + z * self._lit[5]
        return x, y, z, squared, np.maximum(-facing / cv2.sqrt(squared + 1e-6), 0)

    def _add_headlights(self, canvas: Canvas, cars: list[Car]) -> None:
        """Light of moving cars on road and houses, and its mirror image in what is wet."""
        colour = HEADLIGHT / HEADLIGHT.max()
        lit = np.zeros((*self._lit[0].shape, 3), np.float32)
        for car in cars:
            front = car.z if car.approaching else car.z + LENGTH
            x, y, z, squared, facing = self._towards(car.x, 0.66, front)
            ahead = np.maximum(-z if car.approaching else z, 0.1)
            beam = cv2.exp(-((x / ahead / 0.42) ** 2) - ((y / ahead + 0.03) / 0.14) ** 2)
            strength = 220 * beam * facing / (squared + 0.5)
            lit += cv2.merge([strength * np.float32(part) for part in colour])
            if not car.approaching:
                _, _, z, squared, facing = self._towards(car.x, 0.8, car.z)
                strength = 1.6 * facing / (squared + 0.6) * (z < 0)
                lit += cv2.merge([strength * np.float32(part) for part in TAIL_LIGHT / TAIL_LIGHT.max()])
        canvas.radiance += self._albedo * cv2.resize(lit, self.size)
        for car in cars:
            for lamp in car.lamps():
                if car.lights:
                    _streak(
                        canvas.radiance,
                        self._mirror,
                        self.view,
                        lamp,
                        (HEADLIGHT * 0.2 if car.approaching else TAIL_LIGHT * 0.55),
                    )

    def _draw_steam(self, canvas: Canvas, phase: float, cars: list[Car]) -> None:
        """Two layers of noise that rise and drift; thick to the eye, thin in the thermal band."""
        view = canvas.view
        corners = view.project(_VENT + np.array([[-1.8, -0.35, 0], [3.6, 4.4, 0]]))
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(corners.max(axis=0)).astype(int), view.size)
        if (high - low < 2).any():
            return
        scale = view.pixels_per_metre / _VENT[2]
        foot = view.project(_VENT[None])[0]
        x, y = np.meshgrid(np.arange(low[0], high[0], 3), np.arange(low[1], high[1], 3))
        x, y = ((x - foot[0]) / scale).astype(np.float32), ((foot[1] - y) / scale).astype(np.float32)
        rows, columns = self._noise.shape

        def layer(metres: float, rises: int, drift: float) -> np.ndarray:
            u = (x - drift * y) / metres * columns % columns
            v = (y / metres - rises * phase) * rows % rows
            return cv2.remap(self._noise, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)

        billow = layer(4.5, 2, 0.30) + 0.55 * layer(1.9, 5, 0.45)
        middle = 0.42 * y + 0.12 * np.sin(1.7 * y - 4 * np.pi * phase)
        width = 0.36 + 0.45 * np.maximum(y, 0)
        plume = (
            np.exp(-(((x - middle) / width) ** 2)) * np.clip((y + 0.12) / 0.5, 0, 1) * np.exp(-np.maximum(y, 0) / 1.5)
        )
        edge = np.clip((4.2 - y) / 1.5, 0, 1) * np.clip((3.4 - x) / 1.2, 0, 1) * np.clip((x + 1.7) / 0.6, 0, 1)
        density = np.clip(plume * (1.9 + 1.3 * billow) - 0.10, 0, None) * edge
        alpha = (1 - np.exp(-1.8 * density)).astype(np.float32)
        box = (slice(low[1], high[1]), slice(low[0], high[0]))
        behind = canvas.depth[box] > _VENT[2] - 1.2  # it billows towards the camera too
        alpha = cv2.resize(alpha, (high[0] - low[0], high[1] - low[1])) * behind
        distance = min((car.z - _VENT[2] for car in cars if car.approaching and car.z > _VENT[2]), default=1e3)
        colour = SODIUM * 0.11 + SKY * 2 + (HEADLIGHT / HEADLIGHT.max() * 6.0 / (distance + 9)).astype(np.float32)
        canvas.radiance[box] += alpha[..., None] * (colour - canvas.radiance[box])
        canvas.celsius[box] += 0.13 * alpha * (13.0 - canvas.celsius[box])


def _unlabelled(view: View) -> np.ndarray:
    """Labels of a picture in which nothing stands yet."""
    return np.full(view.size[::-1], Label.STREET, np.uint8)


def _coming(phase: float) -> float:
    """Where the front of the car that comes is, z."""
    return 92 - 98 * phase


def _streak(radiance: np.ndarray, mirror: np.ndarray, view: View, lamp: np.ndarray, colour: np.ndarray) -> None:
    """The long mirror image of a light in wet asphalt."""
    depth = lamp[2] - view.position[2]
    if depth < 1.5:
        return
    u, v = view.project((lamp * (1, -1, 1))[None])[0]
    base = view.project((lamp * (1, 0, 1))[None])[0][1]
    scale = view.pixels_per_metre / depth
    spread, length = max(1.0, 0.16 * scale), max(3.0, 0.9 * (v - base) + 0.35 * scale)
    left, right = max(0, int(u - 4 * spread)), min(view.size[0], int(u + 4 * spread) + 1)
    top, bottom = max(0, int(base)), min(view.size[1], int(v + 3 * length) + 1)
    if left >= right or top >= bottom:
        return
    x = np.exp(-(((np.arange(left, right) - u) / spread) ** 2))
    y = np.exp(-(np.abs((np.arange(top, bottom) - v) / length) ** 1.4))
    shape = (y[:, None] * x[None]).astype(np.float32) * mirror[top:bottom, left:right]
    radiance[top:bottom, left:right] += shape[..., None] * colour.astype(np.float32)

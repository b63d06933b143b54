"""People on foot: hardly visible in dark clothes, warm all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ivif_core.scene.canvas import Canvas, Label, Sprite, darken
from ivif_core.scene.street import LAMP_POWER, LAMPS, SKY, SODIUM

Point = tuple[float, ...]

Place = Callable[[float, float], np.ndarray]
"""Metres across and up from between the feet -> pixel."""
_SKIN = np.array([0.13, 0.18, 0.26])


@dataclass
class Walker:
    """A pedestrian.

    Attributes:
        direction: 'left', 'right' (seen from the side), 'near' or 'far' (seen from front or back).
        stride: phase of the step, in whole cycles; a standing person has `moving` False.
        coat, trousers: linear BGR.
        backlight: irradiance from behind (an approaching car), linear BGR.
    """

    x: float
    z: float
    direction: str
    stride: float = 0.0
    moving: bool = True
    coat: tuple[float, float, float] = (0.020, 0.017, 0.016)
    trousers: tuple[float, float, float] = (0.016, 0.013, 0.010)
    backlight: np.ndarray | None = None

    def draw(self, canvas: Canvas) -> None:
        view = canvas.view
        if self.z - view.position[2] < 1.0:
            return
        scale = view.pixels_per_metre / (self.z - view.position[2])
        foot = view.project(np.array([[self.x, 0.0, self.z]]))[0]

        def at(across: float, up: float) -> np.ndarray:
            return foot + np.array([across, -up]) * scale

        reach = 0.62 if self.direction in ("left", "right") else 0.4
        sprite = Sprite(view, np.array([at(-reach, -0.08), at(reach, 1.9)]))
        if sprite.empty:
            return
        darken(canvas, np.array([at(-0.3, -0.05), at(0.3, -0.05), at(0.3, 0.05), at(-0.3, 0.05)]), 0.5, 0.08 * scale)
        if self.direction in ("left", "right"):
            self._from_the_side(sprite, at, scale)
        else:
            self._from_the_front(sprite, at, scale)
        sprite.shrink()
        self._round(sprite, scale)
        sprite.blend(canvas, self.z, Label.PERSON)

    def _from_the_side(self, sprite: Sprite, at: Place, scale: float) -> None:
        ahead = 1 if self.direction == "right" else -1
        swing = np.sin(2 * np.pi * self.stride) if self.moving else 0.12
        bob = 0.018 * np.cos(4 * np.pi * self.stride) if self.moving else 0.0
        coat, trousers = np.array(self.coat), np.array(self.trousers)

        def limb(a: Point, ra: float, b: Point, rb: float, colour: np.ndarray, celsius: float) -> None:
            start, end = at(ahead * a[0], a[1] + bob), at(ahead * b[0], b[1] + bob)
            sprite.limb(start, ra * scale, end, rb * scale, colour, celsius)

        def leg(phase: float, shade: float) -> None:
            thigh = 0.46 * phase
            bend = 0.25 + 0.55 * max(0.0, -np.cos(2 * np.pi * self.stride) * np.sign(phase)) if self.moving else 0.05
            knee = (0.44 * np.sin(thigh), 0.92 - 0.44 * np.cos(thigh))
            shin = thigh - bend * (0.9 if phase < 0 else 0.35)
            ankle = (knee[0] + 0.43 * np.sin(shin), knee[1] - 0.43 * np.cos(shin))
            limb((0.0, 0.92), 0.105, knee, 0.070, trousers * shade, 25.5)
            limb(knee, 0.066, ankle, 0.044, trousers * shade, 23.5)
            limb(
                (ankle[0] - 0.03, ankle[1] - 0.03),
                0.045,
                (ankle[0] + 0.15, ankle[1] - 0.05),
                0.032,
                trousers * 0.5,
                17.0,
            )

        def arm(phase: float, shade: float) -> None:
            angle = 0.5 * phase
            elbow = (0.02 + 0.29 * np.sin(angle), 1.40 - 0.29 * np.cos(angle))
            hand = (elbow[0] + 0.25 * np.sin(angle + 0.45), elbow[1] - 0.25 * np.cos(angle + 0.45))
            limb((0.02, 1.40), 0.062, elbow, 0.052, coat * shade, 23.0)
            limb(elbow, 0.05, hand, 0.036, coat * shade, 23.5)
            limb(hand, 0.038, (hand[0] + 0.03, hand[1] - 0.07), 0.03, _SKIN * shade, 29.0)

        arm(swing, 0.6)
        leg(-swing, 0.7)
        leg(swing, 1.0)
        limb((0.0, 0.90), 0.125, (0.015, 1.14), 0.118, coat, 23.5)
        limb((0.015, 1.12), 0.118, (0.03, 1.39), 0.112, coat, 24.5)
        limb((0.04, 1.44), 0.052, (0.055, 1.52), 0.050, _SKIN, 32.5)
        limb((0.055, 1.60), 0.098, (0.075, 1.655), 0.092, _SKIN, 33.0)
        limb((0.02, 1.66), 0.086, (0.06, 1.70), 0.080, np.array([0.008, 0.008, 0.009]), 27.5)
        arm(-swing, 1.0)

    def _from_the_front(self, sprite: Sprite, at: Place, scale: float) -> None:
        swing = np.sin(2 * np.pi * self.stride) if self.moving else 0.0
        coat, trousers, hair = np.array(self.coat), np.array(self.trousers), np.array([0.008, 0.008, 0.009])
        face = self.direction == "near"

        def limb(a: Point, ra: float, b: Point, rb: float, colour: np.ndarray, celsius: float) -> None:
            sprite.limb(at(*a), ra * scale, at(*b), rb * scale, colour, celsius)

        for side in (-1, 1):
            lift = max(0.0, side * swing)
            knee = (side * 0.095, 0.50 + 0.05 * lift)
            ankle = (side * 0.09, 0.09 + 0.11 * lift)
            limb((side * 0.085, 0.88), 0.098, knee, 0.072, trousers, 25.5)
            limb(knee, 0.068, ankle, 0.048, trousers, 23.5)
            limb(ankle, 0.047, (side * 0.105, 0.045 + 0.11 * lift), 0.050, trousers * 0.5, 17.0)
            elbow = (side * 0.235, 1.13 + 0.02 * side * swing)
            hand = (side * 0.225, 0.88 + 0.05 * side * swing)
            limb((side * 0.155, 1.37), 0.062, elbow, 0.050, coat * 0.9, 22.8)
            limb(elbow, 0.051, hand, 0.038, coat * 0.9, 23.2)
            limb(hand, 0.038, (hand[0], hand[1] - 0.06), 0.030, _SKIN, 29.0)
        limb((-0.06, 0.88), 0.105, (0.06, 0.88), 0.105, coat, 23.3)
        for x in (-0.055, 0.0, 0.055):
            limb((x, 0.86), 0.100, (1.6 * x, 1.36), 0.088, coat, 24.2)
        limb((0, 1.43), 0.060, (0, 1.52), 0.053, _SKIN if face else coat, 31.5 if face else 27.0)
        limb((0, 1.58), 0.078, (0, 1.645), 0.088, _SKIN if face else hair, 32.8 if face else 29.0)
        limb((-0.02, 1.70), 0.070, (0.02, 1.70), 0.070, hair, 28.5)

    def _round(self, sprite: Sprite, scale: float) -> None:
        """Light and heat over a body that is round, as far as its outline tells."""
        alpha, layer = sprite.alpha, sprite.layer
        reach = max(1.0, 0.11 * scale)
        distance = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
        height = cv2.GaussianBlur(cv2.sqrt(np.minimum(distance / reach, 1)), (0, 0), max(0.6, 0.22 * reach))
        across = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3) * (-0.28 * reach)
        up = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3) * (0.28 * reach)
        towards_eye = 1 / cv2.sqrt(1 + across * across + up * up)
        glow = np.zeros_like(alpha)
        chest = np.array([self.x, 1.2, self.z])
        for lamp in LAMPS:
            towards = np.array(lamp, np.float32) - chest.astype(np.float32)
            squared = float(towards @ towards)
            if squared > 400:
                continue
            towards /= np.sqrt(np.float32(squared))
            strength = np.float32(LAMP_POWER / (squared + 1) * towards[1] ** 0.7)
            glow += strength * np.maximum((across * towards[0] + up * towards[1] - towards[2]) * towards_eye, 0)
        light = SKY * 1.6 + glow[..., None] * SODIUM
        if self.backlight is not None:
            rim = np.maximum(1.15 - towards_eye * 1.25, 0) ** 1.5
            light += rim[..., None] * self.backlight.astype(np.float32)
        layer[..., :3] *= light
        soft = max(0.5, 0.016 * scale)
        celsius = cv2.GaussianBlur(layer[..., 3], (0, 0), soft) / np.maximum(
            cv2.GaussianBlur(alpha, (0, 0), soft), 0.05
        )
        layer[..., 3] = (celsius - 4.5 * (1 - np.minimum(height * 1.15, 1))) * alpha

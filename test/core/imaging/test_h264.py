"""A live H.264 stream, decoded again by PyAV as a receiver would."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

av = pytest.importorskip("av", reason="video needs PyAV")

from ivif_core.errors import InputError, MissingPackage
from ivif_core.imaging import h264
from ivif_core.imaging.h264 import KEYFRAMES, H264Encoder


def moving(count: int, size: tuple[int, int] = (64, 96)) -> list[np.ndarray]:
    """A smooth scene in colour that moves by three pixels an image."""
    noise = np.random.default_rng(0).uniform(0, 255, (*size, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 9, borderType=cv2.BORDER_REFLECT)
    scene = cv2.normalize(smooth, None, 16, 240, cv2.NORM_MINMAX).astype(np.uint8)
    return [np.roll(scene, 3 * shift, axis=1) for shift in range(count)]


def decoded(packets) -> list[np.ndarray]:
    decoder = av.CodecContext.create("h264", "r")
    frames = []
    for packet in [*(av.Packet(packet.data) for packet in packets), None]:
        frames += decoder.decode(packet)
    return [frame.to_ndarray(format="bgr24") for frame in frames]


def assert_alike(images, expected) -> None:
    assert len(images) == len(expected)
    for image, original in zip(images, expected, strict=True):
        assert image.shape == original.shape
        assert np.abs(image.astype(int) - original).mean() < 4


def test_each_image_is_one_packet_at_once_and_comes_back():
    encode, images = H264Encoder(), moving(2 * KEYFRAMES + 1)
    packets = [list(encode(image)) for image in images]
    assert [len(made) for made in packets] == [1] * len(images)
    packets = [made[0] for made in packets]
    assert [packet.number for packet in packets] == list(range(len(images)))
    assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == [0, KEYFRAMES, 2 * KEYFRAMES]
    assert_alike(decoded(packets), images)
    assert_alike(decoded(packets[KEYFRAMES:]), images[KEYFRAMES:])  # who comes later begins with a keyframe


@pytest.mark.parametrize("size", [(63, 96), (64, 95), (1, 1), (2, 2), (1, 300), (480, 640)])
def test_images_of_any_size_come_back(size):
    encode, images = H264Encoder(), moving(2, size)
    packets = [packet for image in images for packet in encode(image)]
    assert {packet.pixel_format for packet in packets} == {"yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"}
    assert_alike(decoded(packets), images)


def test_grey_images_come_back_with_all_their_levels():
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    (image,) = decoded(H264Encoder()(ramp))
    assert np.abs(image.astype(int) - ramp[..., None]).max() <= 6


def test_another_size_starts_a_new_stream_and_numbers_go_on():
    encode = H264Encoder()
    small, large = moving(2), moving(2, (128, 64))
    packets = [packet for image in (*small, *large) for packet in encode(image)]
    assert [packet.is_keyframe for packet in packets] == [True, False, True, False]
    assert [packet.number for packet in packets] == [0, 1, 2, 3]
    assert_alike(decoded(packets), [*small, *large])


def test_restart_makes_the_next_image_a_keyframe():
    encode, images = H264Encoder(), moving(3)
    first = [next(encode(image)) for image in images[:2]]
    encode.restart()
    last = next(encode(images[2]))
    assert [packet.is_keyframe for packet in (*first, last)] == [True, False, True] and last.number == 2
    assert_alike(decoded([last]), images[2:])


def test_an_image_that_cannot_be_encoded_is_an_error_of_one_line_and_the_next_one_works(monkeypatch):
    encode, (image,) = H264Encoder(), moving(1)
    monkeypatch.setitem(h264.OPTIONS, "preset", "none such")
    with pytest.raises(InputError, match=r"an image of 96×64 cannot be encoded as H\.264"):
        list(encode(image))
    monkeypatch.undo()
    assert next(encode(image)).is_keyframe


def test_without_x264_it_says_what_is_missing(monkeypatch):
    def nothing(name, mode):
        raise av.codec.codec.UnknownCodecError(name)

    monkeypatch.setattr(av.codec, "Codec", nothing)
    with pytest.raises(MissingPackage, match="no x264"):
        H264Encoder()

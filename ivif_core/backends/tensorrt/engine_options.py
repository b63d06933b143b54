"""What a TensorRT engine is built for and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ivif_core.backends.tensorrt.engine_cache import DEFAULT_LIMIT_BYTES
from ivif_core.errors import ConfigError

PRECISIONS = ("fp32", "fp16", "int8")
LIBRARIES = ("auto", "tensorrt", "tensorrt-rtx")
HARDWARE = ("exact", "compute_capability", "ampere_plus")


@dataclass(frozen=True)
class EngineOptions:
    """What an engine is built for and where it is kept.

    Attributes:
        minimum, optimum, maximum: height and width of the smallest, the usual and the largest image.
        precision: fp32, fp16 or int8; see `models.variants.typed_model`.
        device: number of the GPU.
        dla_core: run on that DLA core of a Jetson, the GPU doing what it cannot; None: GPU only.
        hardware: GPUs that the engine serves: the one it is built on, its compute capability, Ampere and later.
        library: tensorrt, tensorrt-rtx, or auto, see `library.choose`.
        compute_capabilities: with TensorRT for RTX, as '8.6': the GPUs that the engine serves; none: 8.0 and later.
        version_compatible: the engine serves later TensorRT releases of the same major version too.
        cache: folder; None is `ivif/engines` in the XDG cache directory.
        cache_limit_bytes: size of the folder at which the engines used longest ago go.

    Raises:
        ConfigError: sizes out of order, or no such choice.
    """

    minimum: tuple[int, int] = (32, 32)
    optimum: tuple[int, int] = (480, 640)
    maximum: tuple[int, int] = (2160, 3840)
    precision: str = "fp16"
    device: int = 0
    dla_core: int | None = None
    hardware: str = "exact"
    library: str = "auto"
    compute_capabilities: tuple[str, ...] = ()
    version_compatible: bool = False
    cache: Path | None = None
    cache_limit_bytes: int = DEFAULT_LIMIT_BYTES

    def __post_init__(self) -> None:
        for small, large in ((self.minimum, self.optimum), (self.optimum, self.maximum)):
            if not (0 < small[0] <= large[0] and 0 < small[1] <= large[1]):
                raise ConfigError(
                    f"engine sizes (height, width) must be positive and grow from minimum to maximum; "
                    f"got {self.minimum}, {self.optimum}, {self.maximum}"
                )
        for name, value, choices in (
            ("precision", self.precision, PRECISIONS),
            ("hardware", self.hardware, HARDWARE),
            ("library", self.library, LIBRARIES),
        ):
            if value not in choices:
                raise ConfigError(f"engine {name}: {value!r} is not known; choose one of {', '.join(choices)}")
        if self.dla_core is not None and (self.minimum != self.maximum or self.precision == "fp32"):
            raise ConfigError("a DLA core takes one image size (minimum = maximum) in fp16 or int8")


def build_arguments(model: Path, options: EngineOptions) -> list[str]:
    """The command line, after `ivif`, that builds this engine."""
    sizes = zip(("--min", "--opt", "--max"), (options.minimum, options.optimum, options.maximum), strict=True)
    return [
        "engines",
        "build",
        str(model),
        *(part for name, (height, width) in sizes for part in (name, f"{width}x{height}")),
        *("--precision", options.precision, "--device", str(options.device), "--hardware", options.hardware),
        *([] if options.library == "auto" else ["--library", options.library]),
        *(["--compute-capability", *options.compute_capabilities] if options.compute_capabilities else []),
        *([] if options.dla_core is None else ["--dla-core", str(options.dla_core)]),
        *(["--version-compatible"] if options.version_compatible else []),
        *([] if options.cache is None else ["--cache", str(options.cache)]),
    ]

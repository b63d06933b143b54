from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra test)")

from ivif_core import backends
from ivif_core.backends import EngineOptions
from ivif_core.backends.deferred import DeferredModel
from ivif_core.backends.tensorrt.engine_cache import EngineCache
from ivif_core.fusion import Fuser
from test.core.backends.test_backends import noise, write_model
from test.standins import install

REPOSITORY = Path(__file__).resolve().parents[3]
RELEASE = "10.3"


class Rig:
    """TensorRT's stand-in here and in child processes, a model, a cache; builds are counted by a file."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, step_seconds: float = 0.05) -> None:
        self.log, self.cache = folder / "log", folder / "cache"
        self.model = write_model(folder / "model.onnx", element=onnx.TensorProto.UINT8)
        self.options = EngineOptions(cache=self.cache)
        modules = {}
        self.trt, self.cuda = install(RELEASE, "new", modules, on_build=lambda: pytest.fail("built in this process"))
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        path = f"{REPOSITORY / 'test' / 'standins' / 'site'}{os.pathsep}{REPOSITORY}"
        for name, value in {
            "PYTHONPATH": path,
            "STANDIN_RELEASE": RELEASE,
            "STANDIN_LOG": str(self.log),
            "STANDIN_STEP_SECONDS": str(step_seconds),
        }.items():
            monkeypatch.setenv(name, value)

    def create(self, name: str = "tensorrt") -> backends.StudentModel:
        return backends.create(name, self.model, engine=self.options, wait_for_engine=False)

    @property
    def builds(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def rig(tmp_path, monkeypatch) -> Rig:
    return Rig(tmp_path, monkeypatch)


def fuse_until(backend, condition, seconds: float = 60.0) -> int:
    """Fuse as a node does until the condition holds; every single frame must be right. Returns the frames."""
    end = time.monotonic() + seconds
    frames = 0
    while not condition():
        assert time.monotonic() < end, backend.describe()
        infrared, visible = noise(frames, 40, 50), noise(frames + 1, 40, 50)
        expected = np.floor(infrared.astype(float) * 2 / 3 + visible.astype(float) / 3 + 1e-4)
        assert np.abs(backend.infer(infrared, visible, 0.5) - expected).max() <= 1
        assert backend.run_seconds > 0
        frames += 1
        time.sleep(0.01)  # a camera's pause, in which the build goes on
    return frames


@pytest.mark.parametrize("name", ["tensorrt", "auto"])
def test_fuses_at_once_and_swaps_between_two_frames(rig, name) -> None:
    with rig.create(name) as backend:
        assert isinstance(backend, DeferredModel)
        assert backend.current.name in ("openvino", "onnxruntime")
        assert "in place of tensorrt: an engine is built" in backend.describe()
        before = fuse_until(backend, lambda: backend.current.name == "tensorrt")
        assert before > 3
        assert backend.describe().startswith("tensorrt 10.3.0")
        fuse_until(backend, iter([False] * 3 + [True]).__next__)
        assert len(list(backend.infer_many([(noise(0, 40, 50), noise(1, 40, 50))] * 3, 0.5))) == 3
    assert rig.builds == 1
    assert rig.cuda.live() == {} and rig.trt.live() == {}
    with rig.create(name) as backend:  # from the cache: no fallback
        assert backend.name == "tensorrt"


def test_progress_is_described(rig) -> None:
    with rig.create() as backend:
        fuse_until(backend, lambda: "an engine is built: Building " in backend.describe())


def test_the_one_door_passes_it_on(rig) -> None:
    with Fuser(rig.model, "tensorrt", engine=rig.options, wait_for_engine=False) as fuser:
        assert isinstance(fuser.backend, DeferredModel)
        assert fuser.fuse(noise(0, 40, 50), noise(1, 40, 50, 3)).shape == (40, 50, 3)


def test_close_ends_the_build_at_once(tmp_path, monkeypatch) -> None:
    rig = Rig(tmp_path, monkeypatch, step_seconds=3000)  # a close that waited for the build would not end
    backend = rig.create()
    fuse_until(backend, lambda: rig.builds == 1)
    child, end = int(rig.log.read_text().split()[1]), time.monotonic() + 20
    os.kill(child, signal.SIGSTOP)  # as in the middle of a step in C++: no handler of SIGTERM would run
    backend.close()
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < end:  # a busy machine ends it a little later
            os.kill(child, 0)
            time.sleep(0.01)
    assert EngineCache(rig.cache).entries() == []
    assert rig.cuda.live() == {}


def test_killed_build_leaves_the_fallback_and_the_next_start_builds(tmp_path, monkeypatch, caplog) -> None:
    rig = Rig(tmp_path, monkeypatch, step_seconds=30)
    with rig.create() as backend:
        fuse_until(backend, lambda: rig.builds == 1)
        os.kill(int(rig.log.read_text().split()[1]), signal.SIGKILL)
        fuse_until(backend, lambda: "the build ended with -9" in backend.describe())
        assert "the fallback stays" in caplog.text
    monkeypatch.setenv("STANDIN_STEP_SECONDS", "0")
    with rig.create() as backend:
        fuse_until(backend, lambda: backend.current.name == "tensorrt")
    assert rig.builds == 2


def test_cache_that_cannot_be_written_is_said_before_building(rig) -> None:
    rig.cache.touch()  # a file where the folder should be
    with rig.create() as backend:
        fuse_until(backend, lambda: "choose a folder that can be written" in backend.describe())
    assert rig.builds == 0


def test_full_disk_is_said_and_the_fallback_runs(rig, monkeypatch) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with rig.create() as backend:
        fuse_until(backend, lambda: backend._child is not None)
        resource.prlimit(backend._child.pid, resource.RLIMIT_FSIZE, (100, limits[1]))
        fuse_until(backend, lambda: "could not keep it" in backend.describe())
    assert EngineCache(rig.cache).entries() == []


NODE = """
import sys, time
from ivif_core import backends
from ivif_core.backends import EngineOptions
from test.core.backends.test_backends import noise
backend = backends.create("tensorrt", sys.argv[1], engine=EngineOptions(cache=sys.argv[2]), wait_for_engine=False)
end = time.monotonic() + 60
while not backend.describe().startswith("tensorrt") and time.monotonic() < end:
    backend.infer(noise(0, 40, 50), noise(1, 40, 50), 0.5)
    time.sleep(0.01)
print(backend.describe())
backend.close()
"""


def test_four_nodes_that_start_together_build_once(tmp_path, monkeypatch) -> None:
    rig = Rig(tmp_path, monkeypatch, step_seconds=0.3)
    nodes = [
        subprocess.Popen([sys.executable, "-c", NODE, rig.model, str(rig.cache)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [node.communicate(timeout=90)[0].strip() for node in nodes] == ["tensorrt 10.3.0 (Stand-in GPU, fp16)"] * 4
    assert rig.builds == 1


def test_command_builds_once_and_prints_its_plan(rig) -> None:
    ivif = [sys.executable, "-c", "import sys; from ivif_core.cli.main import main; sys.exit(main(sys.argv[1:]))"]
    options = [rig.model, "--cache", str(rig.cache), "--max", "1280x720"]

    def run(*arguments: str) -> str:
        return subprocess.run(
            [*ivif, "engines", "build", *options, *arguments], capture_output=True, text=True, check=True
        ).stdout

    assert '"cached": false' in run("--dry-run") and rig.builds == 0
    built = run()
    assert "Building 100%" in built and "built " in built
    assert run().startswith("nothing to do") and rig.builds == 1
    wrong = subprocess.run([*ivif, "engines", "build", "--max", "huge"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "expected WIDTHxHEIGHT" in wrong.stderr

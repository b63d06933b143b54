from __future__ import annotations

import numpy as np
import pytest

from ivif_core import __version__, backends
from ivif_core.backends.onnxruntime import OnnxRuntimeRunner
from ivif_core.cli.main import main


def test_info_says_what_runs_here(brighter_model, capsys):
    assert main(["info", "--model", str(brighter_model)]) == 0
    said = capsys.readouterr().out
    assert f"ivif       {__version__}" in said
    assert f"numpy {np.__version__}" in said
    assert f"{brighter_model}" in said and "ivif.version brighter" in said
    with backends.create("auto", brighter_model) as backend:
        assert f"auto takes {backend.name}\n" in said
        assert f"{backend.name}: yes: {backend.describe()}" in said


def test_info_says_why_a_backend_is_not_there(brighter_model, capsys, monkeypatch):
    monkeypatch.setattr(OnnxRuntimeRunner, "why_unavailable", classmethod(lambda cls: "its library is gone"))
    assert main(["info", "--model", str(brighter_model)]) in (0, 1)
    assert "onnxruntime: no: its library is gone; to have it: pip install onnxruntime" in capsys.readouterr().out


def test_info_without_any_backend(brighter_model, capsys, monkeypatch):
    for name in backends.AUTO_ORDER:
        kind = backends.backend_class(name)
        monkeypatch.setattr(kind, "why_unavailable", classmethod(lambda cls: "not installed"))
    assert main(["info", "--model", str(brighter_model)]) == 1
    assert "auto takes nothing" in capsys.readouterr().out


def test_metadata_of_a_stranger_are_a_line_each(brighter_model, tmp_path, capsys):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra test)")
    model = onnx.load(str(brighter_model))
    model.metadata_props.add(key="ivif.note", value="\x1b[2J\nauto takes everything" + "x" * 100_000)
    onnx.save(model, str(tmp_path / "m.onnx"))
    main(["info", "--model", str(tmp_path / "m.onnx")])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("auto takes") for line in lines) == 1
    assert all(len(line) < 1000 and line.isprintable() for line in lines)


def test_a_model_that_is_none(tmp_path, capsys):
    (tmp_path / "m.onnx").write_bytes(b"hello")
    assert main(["info", "--model", str(tmp_path / "m.onnx")]) == 2
    assert "is not an ONNX file" in capsys.readouterr().err

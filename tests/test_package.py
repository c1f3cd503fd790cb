"""What the package holds, and what it does to its user's environment; the slow test installs and runs it."""

import importlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from setuptools import Distribution

ROOT = Path(__file__).parents[1]
PACKAGES = ("embedded", "lempo", "pipeline", "stages", "trainer")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _tracked(*names: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z", *names], cwd=ROOT, check=True, capture_output=True)
    return {name for name in os.fsdecode(listed.stdout).split("\0") if name}


def _shipped(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Path in the wheel -> path in the repository, as setuptools reads pyproject.toml."""
    monkeypatch.chdir(ROOT)
    distribution = Distribution({"script_name": "setup.py"})
    distribution.parse_config_files([str(ROOT / "pyproject.toml")])
    build = distribution.get_command_obj("build_py")
    build.ensure_finalized()
    folder = Path(build.build_lib)
    return {
        Path(built).relative_to(folder).as_posix(): os.path.relpath(source, ROOT)
        for built, source in build.get_output_mapping().items()
    }


def test_the_wheel_holds_every_file_of_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = _shipped(monkeypatch)
    code = {name for name in shipped if not name.startswith("lempo/project/")}
    assert code == _tracked(*PACKAGES) - {"embedded/dvc.lock"}
    assert all(shipped[name] == name for name in code)


def test_the_wheel_holds_what_a_project_starts_from(monkeypatch: pytest.MonkeyPatch) -> None:
    project = {
        name: source for name, source in _shipped(monkeypatch).items() if name.startswith("lempo/project/")
    }
    assert all(name == f"lempo/project/{source}" for name, source in project.items())
    needed = _tracked("prompts", "worlds", "models/captioner", "models/vlm", ".dvc/plots")
    assert set(project.values()) >= needed | {"dvc.yaml", "params.yaml", ".dvcignore", ".gitignore"}


def test_a_doc_that_an_error_names_is_in_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped, named = _shipped(monkeypatch), set()
    for file in _tracked(*(f"{package}/*.py" for package in PACKAGES)):
        text = re.sub(r'""".*?"""', "", (ROOT / file).read_text(), flags=re.DOTALL)
        text = re.sub(r"#.*", "", text)
        said = re.findall(r'"docs/[a-z-]+\.md[^"]|[^"]docs/[a-z-]+\.md', text)  # more than the name alone
        named |= {match for part in said for match in re.findall(r"docs/[a-z-]+\.md", part)}
    assert named and all(f"lempo/project/{doc}" in shipped for doc in named)


def test_no_entry_point_of_the_package_runs_in_other_programs() -> None:
    assert SETTINGS["project"]["scripts"] == {"lempo": "lempo.cli:main"}
    assert not SETTINGS["project"].keys() & {"entry-points", "gui-scripts"}


def test_the_entry_point_for_torch_is_a_distribution_of_its_own() -> None:
    cpu = tomllib.loads((ROOT / "cpu/pyproject.toml").read_text())
    (point,) = cpu["project"]["entry-points"]["torch.backends"].values()
    module, _, name = point.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    assert cpu["tool"]["setuptools"]["packages"] == [] and "./cpu" in (ROOT / "Makefile").read_text()


class Installation:
    """An environment with the wheel alone; the packages that it needs are those of the tests' environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        source = folder / "source"
        for name in _tracked():
            if (ROOT / name).is_file() and not name.startswith("tests/"):
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_bytes((ROOT / name).read_bytes())
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
        (self.site / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.pip("wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source))
        (wheel,) = folder.glob("lempo-*.whl")
        self.pip("install", "--no-deps", "--no-index", str(wheel))
        self.source = source

    @property
    def site(self) -> Path:
        (found,) = (self.folder / "env/lib").glob("python3*/site-packages")
        return found

    def pip(self, *arguments: str) -> None:
        self.run("python", "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments, cwd=self.folder)

    def run(self, *command: str, cwd: Path) -> str:
        """Run a command of the environment; what it printed."""
        environment = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")
        }
        environment |= {
            "PATH": f"{self.folder / 'env/bin'}{os.pathsep}{os.environ['PATH']}",
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    yield Installation(tmp_path_factory.mktemp("installation"))


@pytest.mark.slow
@pytest.mark.timeout(2400)  # two starts of vLLM, each stage in a process of its own
def test_the_wheel_makes_a_report_in_an_empty_folder_and_an_upgrade_runs_what_changed(
    installation: Installation, tmp_path: Path
) -> None:
    where = installation.run("python", "-c", "import lempo; print(lempo.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installation.site)
    points = "import importlib.metadata as m; print(*(p.group for p in m.distribution('lempo').entry_points))"
    assert installation.run("python", "-c", points, cwd=tmp_path).split() == ["console_scripts"]
    try:
        installation.run("python", "-c", "import torchvision", cwd=tmp_path)
    except AssertionError:  # as `make` does
        installation.pip("install", "--no-deps", "--no-build-isolation", str(installation.source / "cpu"))

    installation.run("lempo", "init", "x", cwd=tmp_path)
    project = tmp_path / "x"
    world = yaml.safe_load((project / "worlds/airplane/world.yaml").read_text())
    world["families"] = {"train": 1, "val": 1, "test": 1}
    (project / "worlds/airplane/world.yaml").write_text(yaml.safe_dump(world))
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["datasets"] = ["airplane"]
    params["tune"]["epochs"] = params["comparators"]["epochs"] = 1
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    assert "FAIL" not in installation.run("lempo", "check", cwd=project)

    assert len(_ran(installation, project)) == 9
    assert "hybrid" in (project / "report/index.html").read_text()
    assert json.loads((project / "metrics/evaluate/airplane.json").read_text())["hybrid"]["R@1"] > 0
    assert _ran(installation, project) == ["code"]
    with open(installation.site / "pipeline/report/page.py", "a") as code:
        code.write("# another version\n")
    assert _ran(installation, project) == ["code", "report"]


def _ran(installation: Installation, project: Path) -> list[str]:
    lines = installation.run("python", "-m", "dvc", "repro", cwd=project).splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("Running stage")]

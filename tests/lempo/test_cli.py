"""The command: fast help, one line for a user's mistake, no heavy imports."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.command import lempo

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "corpus",
    "pairs",
    "interpret",
    "caption",
    "embed",
    "tune",
    "evaluate",
    "report",
    "check",
    "captions",
    "benchmark",
    "cache",
    "serve",
)


def _change(folder: Path, section: str, **values: object) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def test_help_names_every_command(folder: Path) -> None:
    said = lempo("--help", cwd=folder)
    assert said.returncode == 0
    assert all(command in said.stdout for command in COMMANDS)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, lempo.cli; print([m for m in ('torch', 'open_clip', 'vllm', 'pyarrow', 'polars', 'numpy', 'pydantic') if m in sys.modules])"  # noqa: E501
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_help_is_fast(folder: Path) -> None:
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        lempo("--help", cwd=folder)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # processor time: the clock's would measure what else the machine does
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.5


def test_a_stage_runs(folder: Path) -> None:
    said = lempo("corpus", cwd=folder)
    assert said.returncode == 0, said.stderr
    assert "9 images, 9 graphs, 9 queries, 0 rejects" in said.stderr
    assert (folder / "data/corpus/parks/queries.parquet").is_file()


def _table_of(folder: Path, dataset: str) -> None:
    file = folder / f"data/pseudo_captions/{dataset}.parquet"
    file.parent.mkdir(parents=True)
    file.touch()


@pytest.mark.parametrize(
    ("damage", "arguments", "said"),
    [
        (lambda folder: (folder / "params.yaml").unlink(), ("corpus",), "no such file"),
        (
            lambda folder: _change(folder, "corpus", roots="x"),
            ("corpus",),
            "field 'corpus.roots': the key is unknown",
        ),
        (lambda folder: _change(folder, "speed", workers=0), ("corpus",), "speed.workers"),
        (lambda folder: _change(folder, "corpus", root="out"), ("corpus",), "out/parks is missing"),
        (
            lambda folder: (folder / "in/parks/triplets.json").write_text("[{]"),
            ("corpus",),
            "line 1 column 3",
        ),
        (lambda folder: None, ("tune", "lakes"), "no such dataset (got 'lakes')"),
        (lambda folder: None, ("captions", "parks", "--stage", "tune"), "Use interpret or caption"),
        (lambda folder: None, ("captions", "parks"), "there are no captions yet"),
        (lambda folder: _table_of(folder, "lakes"), ("captions", "parks"), "Use one of lakes"),
        (lambda folder: (folder / "data").write_text(""), ("corpus",), "data"),
        (lambda folder: None, ("report",), "missing"),
        (lambda folder: None, ("embed",), "images.parquet: the table is missing"),
    ],
)
def test_a_mistake_is_one_line(folder: Path, damage: object, arguments: tuple[str, ...], said: str) -> None:
    damage(folder)  # type: ignore[operator]
    done = lempo(*arguments, cwd=folder)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ") and said in line


def test_check_says_what_is_wrong(folder: Path) -> None:
    (folder / "in/parks/scene_graphs.json").write_text("{}")
    _change(folder, "llm", engine_args={"max_model_length": 512})
    done = lempo("check", cwd=folder)
    assert done.returncode == 1 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "ok   parameters: 1 dataset"
    assert lines[1].startswith("FAIL dataset parks: ") and "holds no list" in lines[1]
    failed = [line.split(":")[0] for line in lines if line.startswith("FAIL")]
    assert failed[1:] == [
        "FAIL prompt of interpret",
        "FAIL prompt of caption",
        "FAIL prompt of caption, for repairs",
        "FAIL language model",
        "FAIL vision language model",
    ]
    assert any("no such engine argument" in line and "max_model_length" in line for line in lines)
    assert lines[-1].startswith("ok   disk")


def test_check_names_pointers_and_files_that_are_not_there(folder: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    for name in ("llm", "vlm"):
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_text(pointer)
    _change(folder, "llm", model="./llm")
    _change(folder, "vlm", model="local-dir:vlm")
    graphs = folder / "in/parks/scene_graphs.json"
    graphs.write_text(graphs.read_text().replace("images/", ""))
    lines = lempo("check", cwd=folder).stdout.splitlines()
    failed = {line.split(":")[0]: line for line in lines if line.startswith("FAIL")}
    assert "9 of the first 9 graphs" in failed["FAIL dataset parks"]
    assert "images/train-red.png is there" in failed["FAIL dataset parks"]
    for name in ("FAIL language model", "FAIL vision language model"):
        assert "model.safetensors: the file is a git-LFS pointer" in failed[name]
        assert "git lfs pull" in failed[name]


def test_a_benchmark_that_is_not_there_is_one_line(folder: Path) -> None:
    (folder / "empty").mkdir()
    said = lempo("benchmark", "cirr", "empty", cwd=folder)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == (
        "error: empty/cirr/image_splits/split.rc2.val.json: the benchmark's file is missing. "
        "Put it there, or correct ROOT; docs/benchmarks.md shows the layout\n"
    )

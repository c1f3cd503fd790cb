"""The command: fast help, one line for a user's mistake, no heavy imports."""

import json
import os
import pty
import re
import resource
import shlex
import subprocess
import sys
import termios
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.core import TyperGroup

from lempo.cli import app
from tests.command import lempo

ROOT = Path(__file__).parents[2]
_STAGE_NAMES = (
    ["corpus"],
    ["pairs"],
    ["interpret"],
    ["caption"],
    ["embed"],
    ["tune@airplane"],
    ["evaluate@airplane"],
)
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
    "doctor",
    "captions",
    "sheet",
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
    assert min(seconds) < 0.3


def test_the_version_and_the_short_option_of_help(folder: Path) -> None:
    assert lempo("--version", cwd=folder).stdout == f"lempo {version('lempo')}\n"
    assert lempo("-h", cwd=folder).stdout == lempo("--help", cwd=folder).stdout
    assert "Usage: lempo tune" in lempo("tune", "-h", cwd=folder).stdout.replace(
        "python -m lempo.cli", "lempo"
    )


def _commands() -> list[Any]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return [group.commands[name] for name in sorted(group.commands)]


@pytest.mark.parametrize("command", _commands(), ids=lambda command: command.name)
def test_every_help_text_has_examples_and_each_can_be_typed(command: Any) -> None:
    title, *lines = str(command.epilog).splitlines()
    assert title == "Examples:" and lines
    typed = [shlex.split(line) for line in lines]
    own = [words[words.index(command.name) + 1 :] for words in typed if words[0] in ("lempo", "torchrun")]
    assert own
    for words in own:
        with command.make_context(command.name, list(words)):  # parses, and refuses what it does not know
            pass
    for words in typed:
        assert words[0] != "dvc" or (words[1] == "repro" and words[2:] in ([], *_STAGE_NAMES))


def test_the_help_shows_its_examples(folder: Path) -> None:
    said = lempo("tune", "--help", cwd=folder).stdout
    assert re.search(r"Examples:\s+lempo tune airplane\s+dvc repro tune@airplane", said)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("tun",), "Did you mean 'tune'?"),
        (("search", "--txt", "a"), "--text"),
        (("sheet", "park"), "Did you mean 'parks'? Use one of parks"),
        (("tune", "park"), "Did you mean 'parks'? Use one of parks"),
        (("index", "park"), "Did you mean 'parks'? Name a folder"),
        (("export", "park", "out"), "Did you mean 'parks'? Use one of parks"),
        (("captions", "park"), "Did you mean 'parks'? Use one of parks"),
        (("captions", "--stage", "captions"), "Did you mean 'caption'? Use interpret or caption"),
        (("benchmark", "fashion-iq", "."), "Did you mean 'fashioniq'? Use one of"),
    ],
)
def test_a_name_that_is_nearly_right_is_named(folder: Path, arguments: tuple[str, ...], meant: str) -> None:
    _table_of(folder, "parks")
    done = lempo(*arguments, cwd=folder)
    assert done.returncode in (1, 2) and meant in done.stderr


@pytest.mark.parametrize(
    ("section", "key", "meant"),
    [
        ("corpus", "max_rejects_share", "Did you mean 'max_reject_share'? Remove it"),
        ("tune", "prompt_tokens", "the key is unknown (got '1'). Remove it"),
        ("tune", "learningrate", "Did you mean 'learning_rate'?"),
        ("caption", "epochs", "Did you mean 'tune.epochs' or 'comparators.epochs'? Remove it"),
        ("speed", "embed_batchs", "Did you mean 'embed_batch'?"),
    ],
)
def test_a_key_that_is_nearly_right_is_named(folder: Path, section: str, key: str, meant: str) -> None:
    _change(folder, section, **{key: 1})
    done = lempo("corpus", cwd=folder)
    assert done.returncode == 1 and meant in done.stderr


@pytest.mark.parametrize("batch", ["Auto", 0, True, 1.5, None])
def test_a_batch_is_a_number_or_auto(folder: Path, batch: object) -> None:
    _change(folder, "speed", embed_batch=batch)
    done = lempo("corpus", cwd=folder)
    assert done.returncode == 1
    assert "'speed.embed_batch': it should be an integer of at least 1, or auto" in done.stderr


def test_a_dataset_that_is_nearly_a_folder_is_named(folder: Path) -> None:
    values = yaml.safe_load((folder / "params.yaml").read_text()) | {"datasets": ["park"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    assert "Did you mean 'parks'? Correct datasets or corpus.root" in lempo("corpus", cwd=folder).stderr


def test_a_shell_completes_commands_and_datasets(folder: Path) -> None:
    def completed(words: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "lempo.cli"],
            cwd=folder,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(ROOT),
                "_PYTHON _M LEMPO.CLI_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split(" ")) - 1),
            },
            capture_output=True,
            text=True,
        )
        return done.stdout.split()

    assert completed("lempo tu") == ["tune"]
    for command in ("tune", "captions", "index", "serve"):
        assert completed(f"lempo {command} pa") == ["parks"]
    assert completed("lempo captions --stage i") == ["interpret"]
    (folder / "params.yaml").write_text("[")
    assert completed("lempo tune pa") == []
    shell = f"{sys.executable} -m lempo.cli --show-completion; true"  # it asks which shell it runs in
    shown = subprocess.run(["bash", "-c", shell], cwd=folder, capture_output=True, text=True, check=True)
    assert "_completion" in shown.stdout


def _on_a_terminal(folder: Path, *arguments: str, **environment: str) -> str:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "lempo.cli", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "TERM": "xterm", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # the terminal is closed when the process has ended
            while part := os.read(ours, 65536):
                said += part
        process.wait()
    os.close(ours)
    return said.decode()


def test_colours_are_for_terminals_alone(folder: Path) -> None:
    (folder / "params.yaml").unlink()
    for arguments in (("check",), ("corpus",)):
        coloured = _on_a_terminal(folder, *arguments)
        assert re.search(r"\x1b\[(\d+;)*3\d", coloured) and "no such file" in coloured
        assert not re.search(r"\x1b\[(\d+;)*3\d", _on_a_terminal(folder, *arguments, NO_COLOR="1"))
        done = lempo(*arguments, cwd=folder)
        assert "\x1b[" not in done.stdout + done.stderr and "no such file" in done.stdout + done.stderr


_LOGS = """
import logging, time
from lempo.ending import AboveBars
from pipeline.base import progress
logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[AboveBars()])
progress.FIRST_S = 0.1
for number in progress.Progress(range(12), title="tune", unit="example"):
    time.sleep(0.1)
    if number == 9:
        logging.info("epoch 1")
"""


def test_a_log_line_does_not_tear_a_bar(folder: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", _LOGS], env=environment, stderr=theirs, check=True, timeout=120)
    os.close(theirs)
    said = os.read(ours, 65536).decode()
    os.close(ours)
    assert "tune: " in said.partition("epoch 1")[0]
    assert re.search(r"\r +\repoch 1\r\n", said), said


def test_a_check_and_a_cache_as_json(folder: Path) -> None:
    (folder / "params.yaml").rename(folder / "kept.yaml")
    done = lempo("check", "--json", cwd=folder)
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"]) == (1, False)
    assert found["findings"][0].items() >= {"name": "parameters", "ok": False}.items()
    (folder / "kept.yaml").rename(folder / "params.yaml")
    found = json.loads(lempo("cache", "--json", cwd=folder).stdout)
    assert found.items() >= {"bytes": 0, "parts": 0, "damaged": 0, "texts": [], "pruned": None}.items()


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
    assert lines[-1].startswith("ok   disk") and "ok   engine: vLLM can be imported" in lines


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
    assert any(line.startswith("ok   disk: ") for line in lines)  # the last line: it goes on after a failure


def test_a_benchmark_that_is_not_there_is_one_line(folder: Path) -> None:
    (folder / "empty").mkdir()
    said = lempo("benchmark", "cirr", "empty", cwd=folder)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == (
        "error: empty/cirr/image_splits/split.rc2.val.json: the benchmark's file is missing. "
        "Put it there, or correct ROOT; docs/benchmarks.md shows the layout\n"
    )


@pytest.mark.parametrize(("own", "used"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_of_a_stage_sleep_unless_a_person_wants_others(
    folder: Path, own: str | None, used: str
) -> None:
    """What the threads' library itself read, when the stage imported PyTorch."""
    done = subprocess.run(
        [sys.executable, "-m", "lempo.cli", "tune", "parks"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_DISPLAY_ENV": "TRUE"}
        | ({} if own is None else {"OMP_WAIT_POLICY": own}),
        capture_output=True,
        text=True,
    )
    assert (
        done.returncode == 1 and "error: params.yaml, field 'vlm.model'" in done.stderr
    )  # the model is not here
    assert re.findall(r"OMP_WAIT_POLICY *= *'?(\w+)", done.stderr) == [used]

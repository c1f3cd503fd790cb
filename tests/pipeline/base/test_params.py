"""params.yaml: what is committed is valid, and what is not valid is one clear line."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.base.errors import UserError
from pipeline.base.params import load_params

ROOT = Path(__file__).parents[3]
CASES: list[tuple[str, Any, list[str]]] = [
    ("tune.epochs", -1, ["field 'tune.epochs'", "'-1'"]),
    ("tune.learning_rate", float("inf"), ["tune.learning_rate"]),
    ("seed", 10**30, ["seed"]),
    ("datasets", "ucm", ["datasets", "list"]),
    ("tune.epoch", 3, ["field 'tune.epoch'", "unknown"]),
    ("tune.trainable", "first:2", ["field 'tune.trainable'", "'first:2'"]),
    ("method.weights", {"triplet": 1, "language": 1, "pseudo_caption": 0}, ["method.weights", "sum to 1"]),
    ("method.mixture", {"image": 0, "text": 0, "graph": 0}, ["method.mixture", "must not be 0"]),
    ("vlm.pretrained", "weights.pt", ["vlm.pretrained", "pickled"]),
    ("llm.engine", "endpoint", ["llm", "llm.endpoint"]),
    ("speed.llm", {"block_size": 32, "dtype": "bfloat16"}, ["speed.llm", "'dtype'", "llm.engine_args"]),
    ("llm.engine_args", {"seed": 3}, ["llm.engine_args", "'seed' is a parameter of its own"]),
    ("speed.ray.replicas", 0, ["field 'speed.ray.replicas'", "'0'"]),
    ("speed.ray.address", "ray://head:10001", ["field 'speed.ray.address'", "host:port", "ray://head"]),
    ("speed.ray.workers", 2, ["field 'speed.ray.workers'", "unknown"]),
    ("datasets", [], ["datasets"]),
    ("datasets", ["ucm", "ucm"], ["datasets", "twice"]),
    ("datasets", ["../ucm"], ["datasets"]),
    ("datasets", ["ucm", "all"], ["datasets", "'all' is taken"]),
    ("speed.workers", 10**30, ["field 'speed.workers'"]),
    ("tune.a\n\x1b[31m", 1, ["unknown", "a\\n\\x1b[31m"]),
    ("corpus.root", "", ["field 'corpus.root'", "at least 1 character"]),
    ("corpus.root", "a\0b", ["field 'corpus.root'", "cannot be printed"]),
    ("tune.batch_size", "64", ["field 'tune.batch_size'"]),
    ("tune.epochs", True, ["field 'tune.epochs'"]),
    ("tune.weight_decay", False, ["field 'tune.weight_decay'", "number", "'False'"]),
    ("method.weights.triplet", True, ["field 'method.weights.triplet'", "number"]),
    ("tune.learn_temperature", True, ["field 'tune'", "tune.temperature", "0.005", "within 0.01 and 1"]),
    ("comparators.temperature", 0.005, ["field 'comparators.temperature'", "0.01"]),
    ("study.trials.tune", [{"rate": 1, "temperature": 1}], ["study.trials", "1 trials for tune and 4"]),
]


def _write(path: Path, name: str, value: Any) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    *sections, leaf = name.split(".")
    place = values
    for section in sections:
        place = place[section]
    place[leaf] = value
    path.write_text(yaml.safe_dump(values))


def test_the_committed_parameters_are_valid() -> None:
    load_params(ROOT / "params.yaml")


@pytest.mark.parametrize(("name", "value", "words"), CASES)
def test_a_wrong_value_is_named(tmp_path: Path, name: str, value: Any, words: list[str]) -> None:
    path = tmp_path / "params.yaml"
    _write(path, name, value)
    with pytest.raises(UserError) as caught:
        load_params(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    assert all(word in message for word in words)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    del values["tune"]["epochs"]
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"'tune\.epochs': the key is missing"):
        load_params(path)


@pytest.mark.parametrize(
    "text", ["a: [", "\tx: 1", "just words", "", "seed: 2020-13-45", "[" * 5000, "seed: 0\nseed: 1", "a\0b"]
)
def test_a_file_that_is_no_mapping_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert "\n" not in str(caught.value)


def test_every_parameter_is_documented() -> None:
    documented = (ROOT / "docs/parameters.md").read_text()
    for section, value in yaml.safe_load((ROOT / "params.yaml").read_text()).items():
        keys = [section] if not isinstance(value, dict) else [f"{section}.{key}" for key in value]
        for key in keys:
            leaf = key.split(".")[-1]
            covered = (
                f"`{key}",
                f"`{section}.*`",
                f"`{section}.{leaf}",
                f"`{leaf}`",
                f"`{section}.{leaf}.*`",
            )
            assert any(name in documented for name in covered), key


def test_a_misspelt_key_is_called_unknown(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text().replace("  epochs:", "  epohcs:", 1))
    with pytest.raises(UserError, match=r"'tune\.epohcs': the key is unknown"):
        load_params(path)


def test_a_folder_in_place_of_the_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_params(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="cannot be read"):
        load_params(tmp_path / "pipe")


def test_a_key_that_stands_twice_is_placed(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("seed: 0\n\nseed: 1\n")
    with pytest.raises(UserError, match="'seed' stands twice at line 3, column 1"):
        load_params(tmp_path / "params.yaml")

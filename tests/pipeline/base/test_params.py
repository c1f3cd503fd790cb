"""params.yaml: what is committed is valid, and what is not valid is one clear line."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.base.errors import UserError
from pipeline.base.params import load_params

ROOT = Path(__file__).parents[3]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
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
    ("llm.engine_args", {"top_k": 5}, ["llm.engine_args", "set llm.sampling.top_k"]),
    ("llm.engine_args", {"chat_template_kwargs": {}}, ["llm.engine_args", "set llm.chat_template_kwargs"]),
    ("llm.engine_args", {"generation_config": "vllm"}, ["llm.engine_args", "no effect", "llm.sampling"]),
    ("llm.engine_args", {"reasoning_parser": "x"}, ["field 'llm'", "reasoning_parser", "llm.output to json"]),
    ("speed.llm", {"override_generation_config": {"top_k": 5}}, ["speed.llm", "no effect", "llm.sampling"]),
    ("llm.sampling", {"topk": 5}, ["field 'llm.sampling'", "'topk' is none", "top_k, min_p"]),
    ("llm.sampling", {"temperature": 5}, ["field 'llm.sampling'", "set llm.temperature"]),
    ("llm.sampling", {"min_p": 2}, ["field 'llm.sampling'", "'min_p' must be a number from 0 to 1"]),
    ("llm.sampling", ["top_k"], ["field 'llm.sampling'"]),
    ("llm.chat_template_kwargs", {"messages": []}, ["field 'llm.chat_template_kwargs'", "'messages'"]),
    ("llm.temperature", 2.5, ["field 'llm.temperature'"]),
    ("llm.temperature", 0.001, ["field 'llm.temperature'", "0.01"]),
    ("llm.repair_temperature", 0, ["field 'llm.repair_temperature'"]),
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


def _leaves(values: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every key of params.yaml, of sections and of leaves."""
    if not isinstance(values, dict):
        return [above]
    return [above, *(path for key, inner in values.items() for path in _leaves(inner, (*above, key)))]


LEAVES = _leaves(yaml.safe_load((ROOT / "params.yaml").read_text()))[1:]
YAML_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.dates()
    | st.binary(max_size=3)
    | st.sampled_from(
        ["null", "~", "1e3", "last:2", "lora:0", "last:²", "vllm", "endpoint", "ray://x", "0.5", "a\n"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=3) | st.integers() | st.sampled_from(["image", "rate"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(leaf=st.sampled_from(LEAVES), value=YAML_VALUES)
def test_any_value_is_taken_as_it_stands_or_named(tmp_path: Path, leaf: tuple[str, ...], value: Any) -> None:
    path = tmp_path / "params.yaml"
    _write(path, ".".join(leaf), value)
    try:
        params = load_params(path).model_dump()
    except UserError as error:
        field = error.problem.field
        # some rules are about a section: they name it, or a key inside of it
        assert field is not None and (field.split(".")[0] == leaf[0]), str(error)
        assert error.problem.file == str(path) and error.problem.remedy
        assert str(error).isprintable()
    else:
        for key in leaf:
            params = params[key]
        # YAML takes 1e-4 for a text, and people mean a number
        assert _plain(params) == (float(value) if isinstance(params, float) else _plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return value


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(leaf=st.sampled_from(LEAVES), name=st.text(min_size=1, max_size=8), value=st.integers() | st.text())
def test_any_unknown_key_is_named(tmp_path: Path, leaf: tuple[str, ...], name: str, value: Any) -> None:
    *section, _ = leaf
    if (*section, name) in LEAVES or "." in name or section[:2] in (["llm", "engine_args"], ["speed", "llm"]):
        return
    path = tmp_path / "params.yaml"
    _write(path, ".".join((*section, name)), value)
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert caught.value.problem.field == ".".join((*section, name))
    assert "unknown" in caught.value.problem.reason


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


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _leaves(part, f"{key}.{name}" if key else name)
    else:
        yield key, value


def _documented() -> Iterator[tuple[str, str, set[str]]]:
    """Each row of docs/parameters.md that has a default: key, default, and the stages that run again."""
    above, header = "", []
    for line in (ROOT / "docs/parameters.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("*Runs again:*"):
            above = line
        elif not line:
            header = []
        elif line.startswith("| key |"):
            header = cells
        elif line.startswith("| `") and header[:2] == ["key", "default"]:
            row = dict(zip(header, cells, strict=True))
            said = row.get("runs again", above)
            stages = set(STAGES) if said == "every stage" else set(re.findall(r"`(\w+)`", said))
            yield row["key"].strip("`"), row["default"].strip("`"), stages


def _read(stage: dict[str, Any]) -> list[str]:
    """Parameters that a stage depends on; one for each dataset depends on their names."""
    return [*stage["params"], *(["datasets"] if "matrix" in stage else [])]


def test_every_parameter_is_documented_with_its_default_and_the_stages_that_it_runs_again() -> None:
    rows = {key: (default, stages) for key, default, stages in _documented()}
    values = dict(_leaves(yaml.safe_load((ROOT / "params.yaml").read_text())))
    assert rows.keys() == values.keys()
    for key, value in values.items():
        default, stages = rows[key]
        if key.startswith("study.trials."):
            assert default == f"{len(value)} trials"
        else:
            assert type(yaml.safe_load(default)) is type(value) and yaml.safe_load(default) == value, key
        above = {key.rsplit(".", i)[0] for i in range(key.count(".") + 1)}
        read = {name for name, stage in STAGES.items() if above & set(_read(stage))}
        assert stages == read, key


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

"""What vLLM gets on which device: everywhere what is named, on CPUs also what was measured there."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.base.engine_arguments import TEXT
from pipeline.base.errors import UserError
from pipeline.base.params import load_params
from pipeline.llm import vllm_engine
from pipeline.llm.identity import model_identity
from pipeline.llm.vllm_arguments import CPU_DEFAULTS, VllmArguments, check_names, vllm_arguments
from pipeline.llm.vllm_engine import VllmEngine
from pipeline.llm.vllm_on_cpu import model_in_the_core, threads_of_the_core
from tests.pipeline.base.test_engine_arguments import OTHERS

ROOT = Path(__file__).parents[3]
ELSEWHERE = {
    "chat_template",
    "lora",
    "tokenizer",
    "tokenizer_revision",
    "hf_config_path",
}  # used here, or must name files
PARAMS = load_params(ROOT / "params.yaml")


def _arguments(speed: dict[str, Any] | None = None, **named: Any) -> VllmArguments:
    llm = PARAMS.llm.model_copy(update={"engine_args": named})
    return vllm_arguments(llm, speed or {}, 0, ROOT)


class Asked(Exception):
    """vLLM was asked to load a model with these arguments."""


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(**arguments: Any) -> None:
        raise Asked(arguments)

    monkeypatch.setattr("vllm.LLM", load)


@pytest.mark.parametrize("on_cpu", [True, False])
def test_the_engine_asks_vllm_for_the_device(
    loading: None, monkeypatch: pytest.MonkeyPatch, on_cpu: bool
) -> None:
    from vllm.platforms import current_platform

    monkeypatch.setattr(type(current_platform), "is_cpu", lambda self: on_cpu)
    monkeypatch.setattr(vllm_engine, "one_line", lambda error: error)
    with pytest.raises(Exception) as caught:
        VllmEngine(PARAMS.llm, {"max_num_seqs": 8}, 0, ROOT)
    assert isinstance(caught.value.__cause__, Asked)
    (given,) = caught.value.__cause__.args
    assert given["max_num_seqs"] == 8 and given["model"].endswith("models/captioner")
    defaults = {name: value for name, value in CPU_DEFAULTS.items() if name != "max_num_seqs"}
    found = {name: given[name] for name in defaults if name in given}
    assert found == (defaults if on_cpu else {})


NODE = [SimpleNamespace(physical_core=core // 2, numa_node=0) for core in range(8)]
FAR = SimpleNamespace(physical_core=4, numa_node=1)


@pytest.mark.parametrize(
    "named, binding, in_the_core",
    [
        ({}, None, True),
        ({"tensor_parallel_size": 1}, "nobind", True),
        ({"tensor_parallel_size": 2}, None, False),
        ({"distributed_executor_backend": "mp"}, None, False),
        ({}, "0-2", False),
    ],
)
def test_a_whole_model_runs_in_the_core_with_a_thread_for_each_processor_core_but_one(
    monkeypatch: pytest.MonkeyPatch,
    named: dict[str, Any],
    binding: str | None,
    in_the_core: bool,
) -> None:
    monkeypatch.setattr("vllm.utils.cpu_resource_utils.get_allowed_cpu_list", lambda: NODE)
    for name, value in {"VLLM_CPU_OMP_THREADS_BIND": binding, "OMP_NUM_THREADS": None}.items():
        monkeypatch.delenv(name, raising=False)
        if value:
            monkeypatch.setenv(name, value)
    engine = model_in_the_core(named)
    assert ("UniProc" in engine.get("distributed_executor_backend", "")) == in_the_core
    assert named.items() <= engine.items()
    with threads_of_the_core(engine):
        assert os.environ.get("OMP_NUM_THREADS") == ("3" if in_the_core else None)
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with threads_of_the_core(engine):
        assert os.environ["OMP_NUM_THREADS"] == "2"
    assert os.environ["OMP_NUM_THREADS"] == "2"
    monkeypatch.setattr("vllm.utils.cpu_resource_utils.get_allowed_cpu_list", lambda: [*NODE, FAR])
    assert model_in_the_core(named) == named


def test_what_is_named_wins_on_every_device() -> None:
    named = _arguments({"block_size": 64}, dtype="bfloat16", max_model_len=2048)
    for on_cpu in (True, False):
        engine = named.completed(on_cpu).engine
        assert (engine["dtype"], engine["max_model_len"], engine["block_size"]) == ("bfloat16", 2048, 64)
    share = _arguments({"gpu_memory_utilization": 0.5}).completed(on_cpu=True).engine
    assert "kv_cache_memory_bytes" not in share and share["enforce_eager"]


@pytest.mark.parametrize("name", sorted((TEXT | OTHERS) - ELSEWHERE))
def test_every_argument_that_is_taken_reaches_vllm(name: str) -> None:
    place = {"speed": {name: "x"}} if name in OTHERS else {name: "x"}
    assert _arguments(**place).completed(on_cpu=True).engine[name] == "x"


def test_the_schemas_of_the_parameters_keep_blanks_out_unless_they_say_so() -> None:
    def config(**given: Any) -> Any:
        llm = PARAMS.llm.model_copy(update={"output": "json", "engine_args": given})
        return vllm_arguments(llm, {}, 0, ROOT).engine["structured_outputs_config"]

    assert config() == {"backend": "xgrammar", "disable_any_whitespace": True}
    assert config(structured_outputs_config={"backend": "guidance"}) == config() | {"backend": "guidance"}
    loose = {"disable_any_whitespace": False}
    assert config(structured_outputs_config=loose) == config() | loose


def test_texts_are_cached_under_what_is_named_whatever_the_device(tmp_path: Path) -> None:
    identity = model_identity(PARAMS.llm, tmp_path, ROOT)
    assert identity["engine_args"] == {}
    float32 = PARAMS.llm.model_copy(update={"engine_args": {"dtype": "float32"}})
    assert model_identity(float32, tmp_path, ROOT) != identity


def test_names_are_checked_without_importing_vllm() -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pipeline.llm.vllm_arguments import check_names\n"
        "from pipeline.base.params import load_params\n"
        f"llm = load_params(Path({str(ROOT / 'params.yaml')!r})).llm\n"
        "named = {'dtype': 'float32', 'lora': 'x', 'chat_template': 'y', 'tensor_parallel_size': 2}\n"
        "check_names(llm.model_copy(update={'engine_args': named}), {'block_size': 32})\n"
        "assert not {'vllm', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=60)
    with pytest.raises(UserError, match=r"no such engine argument.*'max_sequences'"):
        check_names(PARAMS.llm, {"max_sequences": 5})


def test_the_names_read_from_the_source_are_those_that_vllm_takes() -> None:
    from vllm import EngineArgs

    every = dict.fromkeys(EngineArgs.__dataclass_fields__)
    check_names(PARAMS.llm.model_copy(update={"engine_args": every}), {})

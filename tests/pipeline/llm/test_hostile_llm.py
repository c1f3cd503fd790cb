"""The folder of a language model or an adapter is data: nothing in it runs, wherever it asks for that."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lempo.check import run_checks
from lempo.findings import show
from pipeline.base.errors import UserError
from pipeline.base.params import LlmParams, Params, load_params
from pipeline.base.paths import Paths
from pipeline.captions.settings import read_settings
from pipeline.captions.stages import STAGES
from pipeline.llm.engines import open_engine
from pipeline.llm.model_files import check_llm_files
from pipeline.llm.vllm_arguments import vllm_arguments
from tests.hostile import (
    AUTO_MODEL,
    AUTO_TOKENIZER,
    OF_LLMS,
    PICKLED_ADAPTER,
    Attack,
    change,
    folder,
    hub,
    says_yes,
    sentinel,
    to_hub,
    write_code,
    write_pickle,
)
from tests.pipeline.llm.tiny_llama import make_tiny_llama

__all__ = ["folder", "hub", "says_yes", "sentinel"]

ROOT = Path(__file__).parents[3]
PARAMS = load_params(ROOT / "params.yaml")


def _llm(model: Path, **changes: Any) -> LlmParams:
    return PARAMS.llm.model_copy(update={"model": str(model), **changes})


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("llm") / "tiny")


def _ways(params: Params, root: Path) -> list[Callable[[], object]]:
    """All ways by which a model's folder comes in."""
    ray = params.model_copy(update={"llm": params.llm.model_copy(update={"engine": "ray"})})
    return [
        lambda: read_settings(STAGES["interpret"], params, Paths(root)),
        lambda: read_settings(STAGES["caption"], params, Paths(root)),
        lambda: vllm_arguments(params.llm, {}, 0, root),
        lambda: open_engine(params, root, [{"role": "user", "content": "a row"}]),
        lambda: open_engine(ray, root),
    ]


@pytest.mark.parametrize("attack", OF_LLMS, ids=lambda attack: attack.name)
def test_a_folder_that_asks_for_code_is_refused(attack: Attack, folder: Path, sentinel: Path) -> None:
    attack.make(folder, sentinel)
    params = PARAMS.model_copy(update={"llm": _llm(folder)})
    for way in _ways(params, ROOT):
        with pytest.raises(UserError, match=attack.said):
            way()
    assert not sentinel.exists()


@pytest.mark.parametrize("argument", ["tokenizer", "hf_config_path", "speculative_config", "lora"])
@pytest.mark.parametrize("attack", OF_LLMS[:1], ids=lambda attack: attack.name)
def test_so_is_every_other_folder_that_the_arguments_name(
    argument: str, attack: Attack, sound: Path, folder: Path, sentinel: Path
) -> None:
    attack.make(folder, sentinel)
    value = {"model": str(folder)} if argument == "speculative_config" else str(folder)
    with pytest.raises(UserError, match=attack.said):
        check_llm_files(_llm(sound, engine_args={argument: value}))
    assert not sentinel.exists()


def test_a_pickled_adapter_is_refused(sound: Path, tmp_path: Path, sentinel: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"r": 4}')
    PICKLED_ADAPTER.make(adapter, sentinel)
    with pytest.raises(UserError, match=PICKLED_ADAPTER.said):
        check_llm_files(_llm(sound, engine_args={"lora": str(adapter)}))
    assert not sentinel.exists()


@pytest.mark.parametrize("rank", ['"x"', "null", "0", "[]"])
def test_an_adapters_odd_rank_is_said(rank: str, sound: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(f'{{"r": {rank}}}')
    with pytest.raises(UserError, match=r"adapter_config\.json, field 'r': the adapter's rank is no number"):
        vllm_arguments(_llm(sound, engine_args={"lora": str(tmp_path)}), {}, 0, ROOT)


@pytest.mark.parametrize("load_format", ["pt", "npcache"])
def test_vllms_formats_of_pickles_are_refused(load_format: str, folder: Path, sentinel: Path) -> None:
    write_pickle(folder / "pytorch_model.bin", sentinel)
    with pytest.raises(UserError, match=r"engine_args\.load_format.*pickled.*safetensors"):
        check_llm_files(_llm(folder, engine_args={"load_format": load_format}))


def test_pickles_beside_the_weights_are_no_hindrance(folder: Path, sentinel: Path) -> None:
    write_pickle(folder / "training_args.bin", sentinel)
    assert check_llm_files(_llm(folder)) == [folder]


@pytest.mark.parametrize("local_only", [True, False])
def test_a_model_of_the_hub_that_asks_for_code_is_refused(
    local_only: bool, folder: Path, sentinel: Path, hub: Path
) -> None:
    to_hub(folder, hub, "someone/sound")
    (found,) = check_llm_files(_llm(Path("someone/sound")), ROOT, local_only)
    assert found.parts[-2:] == ("snapshots", "0" * 40)
    OF_LLMS[0].make(folder, sentinel)
    to_hub(folder, hub, "someone/model")
    with pytest.raises(UserError, match=OF_LLMS[0].said):
        check_llm_files(_llm(Path("someone/model")), ROOT, local_only)
    assert check_llm_files(_llm(Path("someone/absent")), ROOT, local_only) == []  # vLLM says why
    assert not sentinel.exists()


def _params(**llm: Any) -> Params:
    raw = PARAMS.model_dump()
    return Params.model_validate({**raw, "llm": {**raw["llm"], **llm}})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"trust_remote_code": True}, "set llm.trust_remote_code"),
        ({"hf_overrides": {"auto_map": AUTO_MODEL}}, r"'hf_overrides.auto_map' in engine_args asks for code"),
        ({"hf_overrides": {"a": [{"trust_remote_code": 1}]}}, r"'hf_overrides.a\[0\].trust_remote_code'"),
        (
            {"speculative_config": {"model": "x", "trust_remote_code": True}},
            "speculative_config.trust_remote",
        ),
    ],
)
def test_engine_arguments_cannot_ask_for_code(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _params(engine_args=arguments)
    if "hf_overrides" in arguments:
        assert _params(engine_args=arguments, trust_remote_code=True).llm.trust_remote_code


@pytest.mark.parametrize("value", ["true", 1, "yes", None])
def test_trust_is_true_or_false(value: object) -> None:
    with pytest.raises(ValueError, match="trust_remote_code"):
        _params(trust_remote_code=value)


@pytest.mark.parametrize("trusted", [False, True])
def test_vllm_is_told_in_so_many_words(trusted: bool, sound: Path) -> None:
    arguments = vllm_arguments(_llm(sound, trust_remote_code=trusted), {}, 0, ROOT)
    assert arguments.engine["trust_remote_code"] is trusted


def _project(root: Path, model: Path, **llm: Any) -> Path:
    import yaml

    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["llm"] |= {"model": str(model), **llm}
    raw["datasets"] = []
    for name in ("prompts", "models/vlm", "worlds"):
        shutil.copytree(ROOT / name, root / name)
    raw["datasets"] = ["tennis"]
    (root / "params.yaml").write_text(yaml.safe_dump(raw))
    return root / "params.yaml"


def test_lempo_check_finds_it_and_says_where_code_is_trusted(
    folder: Path, sentinel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "project"
    file = _project(root, folder)
    assert show(run_checks(file, Paths(root)), as_json=False)
    assert "trust_remote_code" not in capsys.readouterr().out
    write_code(folder, sentinel)
    change(folder / "tokenizer_config.json", "auto_map", value=AUTO_TOKENIZER)
    assert not show(run_checks(file, Paths(root)), as_json=False)
    said = capsys.readouterr().out
    assert "FAIL language model" in said and "field 'auto_map.AutoTokenizer'" not in said
    assert "tokenizer_config.json, field 'auto_map': the field asks for code" in said
    assert "llm.trust_remote_code" in said
    file.write_text(file.read_text().replace("trust_remote_code: false", "trust_remote_code: true"))
    assert show(run_checks(file, Paths(root)), as_json=False)
    said = capsys.readouterr().out
    assert "llm.trust_remote_code is true: code that comes with it may run" in said
    assert "vlm.trust_remote_code is true: code that comes with it may run" in said
    assert not sentinel.exists()


@pytest.mark.slow
def test_the_real_vllm_runs_no_code_of_a_folder_in_any_process(
    tmp_path: Path, sentinel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped captioner with code beside it that its files ask for, past this project's own check too."""
    from transformers import AutoTokenizer

    from pipeline.llm import vllm_arguments as module
    from pipeline.llm.vllm_engine import VllmEngine
    from tests.language_toy import caption_requests

    folder = Path(shutil.copytree(ROOT / "models/captioner", tmp_path / "model"))
    write_code(folder, sentinel)
    change(folder / "config.json", "auto_map", value=AUTO_MODEL)
    change(folder / "tokenizer_config.json", "auto_map", value=AUTO_TOKENIZER)
    write_pickle(folder / "pytorch_model.bin", sentinel)
    with pytest.raises(UserError, match="the field asks for code"):
        VllmEngine(_llm(folder), {}, 0, ROOT)

    monkeypatch.setattr(module, "check_llm_files", lambda *_, **__: [folder])
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")  # the engine's core is a process of its own
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    engine = VllmEngine(_llm(folder), {"kv_cache_memory_bytes": 64_000_000}, 0, ROOT)
    try:
        asked = [request for request, _ in caption_requests(2)]
        assert all(result.text for result in engine.generate(asked))
    finally:
        engine.close()
    assert not sentinel.exists()

    AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    assert sentinel.exists()  # the attack is a real one

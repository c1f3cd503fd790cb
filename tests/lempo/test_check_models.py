"""`lempo check` on models: hub names, chat templates, weights and images that a long run would fail on."""

import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lempo import check
from lempo.hub import find_on_hub
from pipeline.base.errors import UserError
from pipeline.base.params import load_params
from pipeline.base.paths import Paths
from pipeline.llm.chat_templates import check_turns
from tests.finished import with_changes
from tests.hostile import hub, to_hub

__all__ = ["hub"]

ROOT = Path(__file__).parents[2]
PARAMS = load_params(ROOT / "params.yaml")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
find = partial(find_on_hub, revision=None, weights=(".safetensors", ".gguf"), field="llm.model")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    return folder


def test_a_model_that_is_whole_in_the_local_cache_needs_no_hub(hub: Path, model: Path) -> None:
    to_hub(model, hub, "someone/model")
    found = find("someone/model")
    assert found.folder is not None and found.folder.is_dir() and found.fetch == 0


def test_a_model_of_which_parts_are_missing_is_not_here(hub: Path, model: Path) -> None:
    parts = {"a": "model.safetensors", "b": "model-2.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    to_hub(model, hub, "someone/parts")
    with pytest.raises(UserError, match="not in the local cache"):
        find("someone/parts")
    (model / "model.safetensors.index.json").unlink()
    (model / "model.safetensors").unlink()
    to_hub(model, hub, "someone/configs")
    with pytest.raises(UserError, match="not in the local cache"):
        find("someone/configs")
    assert find("someone/configs", weights=()).folder is not None  # a tokenizer needs no weights


def test_a_name_that_is_not_here_is_wrong_while_the_hub_cannot_be_reached(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = r"field 'llm.model': the model is not in the local cache, and the hub is told to be offline"
    with pytest.raises(UserError, match=said) as caught:
        find("Qwen/Qwen2.5-7B-Instruct")
    assert "hf download Qwen/Qwen2.5-7B-Instruct" in str(caught.value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="and the hub cannot be reached"):
        find("Qwen/Qwen2.5-7B-Instruct")


class _Hub(BaseHTTPRequestHandler):
    """Answers as the hub does for two models, and says 404 of all others."""

    def do_GET(self) -> None:
        files: dict[str, Any] = {
            "/api/models/someone/large": [
                ("config.json", 9),
                ("a.safetensors", 3 * 10**9),
                ("b.safetensors", 10**9),
            ],
            "/api/models/someone/pickled": [("pytorch_model.bin", 10**9)],
        }
        found = files.get(self.path.partition("?")[0])
        siblings = [{"rfilename": name, "size": size} for name, size in found or ()]
        body = json.dumps({"id": "someone/large", "siblings": siblings, "gated": False}).encode()
        self.send_response(200 if found else 404)
        if not found:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def reachable(hub: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("reachable")
def test_what_the_hub_says_of_a_model_that_is_not_here() -> None:
    found = find("someone/large")
    assert found.folder is None and found.fetch == 4 * 10**9
    assert str(found) == "not here yet: 4.0 GB of weights will be fetched from the hub"
    with pytest.raises(UserError, match="the hub has no such model"):
        find("someone/absent")
    with pytest.raises(UserError, match=r"the hub's model holds no \.safetensors or \.gguf file"):
        find("someone/pickled")


@pytest.mark.parametrize(
    "changes",
    [
        {"vlm.model": "hf-hub:someone/clip"},
        {"vlm.model": "ViT-B-32", "vlm.pretrained": "laion2b_s34b_b79k"},
    ],
)
def test_a_vlm_of_the_hub_is_looked_for_too(changes: dict[str, Any], hub: Path) -> None:
    with pytest.raises(UserError, match=r"field 'vlm\.\w+': the model is not in the local cache"):
        check._vision_language_model(with_changes(PARAMS, changes), Paths(ROOT))


def test_every_model_that_the_parameters_name_is_looked_for(hub: Path) -> None:
    draft = {"speculative_config": {"model": "someone/draft"}}
    params = with_changes(PARAMS, {"llm.engine_args": draft})
    with pytest.raises(
        UserError, match=r"'llm\.engine_args\.speculative_config\.model'.*not in the local cache"
    ):
        check._language_model(params, Paths(ROOT))


TAKES = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" + TAKES
)
ONE_TURN = "{% if messages | length > 1 %}{{ raise_exception('one turn alone') }}{% endif %}" + TAKES
BROKEN = "{{ messages[0]['content'] + 1 }}"
TURNS: list[Any] = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "A graph."},
    {"role": "assistant", "content": "A text."},
    {"role": "user", "content": "Another graph."},
]


def _template(folder: Path, template: Any) -> Path:
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    return folder


def test_a_template_is_tried_with_a_system_turn(tmp_path: Path) -> None:
    assert check_turns(PARAMS.llm, _template(tmp_path, TAKES), TURNS) == "its chat template takes the prompts"
    said = check_turns(PARAMS.llm, _template(tmp_path, NO_SYSTEM), TURNS)
    assert said == "its chat template takes no system turn: that text goes before the first user turn"
    named = [{"name": "tool_use", "template": ONE_TURN}, {"name": "default", "template": TAKES}]
    assert check_turns(PARAMS.llm, _template(tmp_path, named), TURNS) == "its chat template takes the prompts"
    (tmp_path / "tokenizer_config.json").unlink()
    assert check_turns(PARAMS.llm, tmp_path, TURNS) == "no chat template: prompts are plain text"


@pytest.mark.parametrize(("template", "why"), [(ONE_TURN, "one turn alone"), (BROKEN, "TypeError")])
def test_a_template_that_fails_on_the_turns_is_found(tmp_path: Path, template: str, why: str) -> None:
    said = rf"tokenizer_config\.json, field 'chat_template': the chat template refuses the turns.*{why}"
    with pytest.raises(UserError, match=said):
        check_turns(PARAMS.llm, _template(tmp_path, template), TURNS)


def test_a_template_of_the_parameters_is_the_one_that_is_tried(tmp_path: Path) -> None:
    params = with_changes(PARAMS, {"llm.engine_args": {"chat_template": ONE_TURN}})
    with pytest.raises(UserError, match=r"'llm\.engine_args\.chat_template'.*one turn alone"):
        check_turns(params.llm, _template(tmp_path, TAKES), TURNS)


def test_a_vllm_that_cannot_be_imported_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vllm.py").write_text("raise OSError('libnuma.so.1: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UserError, match=r"'llm\.engine': vLLM cannot be imported.*libnuma") as caught:
        check._engine(PARAMS)
    assert "lempo doctor" in str(caught.value)


def test_images_that_are_pointers_and_splits_without_queries_are_found(folder: Path) -> None:
    params = load_params(folder / "params.yaml")
    assert "9 images and the first rows (9 of scene_graphs.json, 9 of triplets.json)" in check._dataset(
        folder / "in/parks", params
    )
    file = folder / "in/parks/triplets.json"
    queries = file.read_text()
    file.write_text(queries.replace('"val"', '"validation"'))
    with pytest.raises(UserError, match=r"triplets.json, field 'split': no query is of the split val\. "):
        check._dataset(folder / "in/parks", params)
    file.write_text(queries)
    for file in sorted((folder / "in/parks/images").iterdir())[:3]:
        file.write_text(POINTER)
    with pytest.raises(UserError, match=r"3 of 9 images cannot be used.*git-LFS pointer.*git lfs pull"):
        check._dataset(folder / "in/parks", params)


def test_more_memory_or_disk_than_the_machine_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check._memory(1.0).endswith(" GB")
    with pytest.raises(UserError, match=r"a stage takes 10000\.0 GB of memory, and the machine has"):
        check._memory(1e13)
    with pytest.raises(UserError, match=r"less than 1000000\.0 GB of disk space is free"):
        check._disk(Paths(tmp_path), 1e15)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError, match=f"{tmp_path}: the project's folder cannot be written"):
        check._disk(Paths(tmp_path), 1)


def test_an_engine_that_is_not_installed_is_found_before_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    speed = PARAMS.speed.model_copy(update={"embed_engine": "ray"})
    checks = dict(check._checks(PARAMS.model_copy(update={"speed": speed}), Paths(tmp_path)))
    assert checks["engine of embed"]() == "Ray is installed"
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"speed\.embed_engine.*Ray is not installed .*install"):
        checks["engine of embed"]()
    assert "engine of embed" not in dict(check._checks(PARAMS, Paths(tmp_path)))

"""Model folders that ask for code in random places of random files."""

import contextlib
import io
import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pipeline.base.errors import UserError
from pipeline.base.params import VlmParams, load_params
from tests.hostile import AUTO_MODEL, AUTO_TOKENIZER, MODULE, write_code, write_pickle
from tests.soak.trial import Outcome, each

PROMISE = "No file of a model folder runs, wherever its configs ask for that."
HOW = (
    "The folder of a VLM or an LLM gets one to four random changes. Fields ask for code at random depths of "
    "its JSON files. Classes are unknown, pickles have many names, templates reach for Python. open_clip, or "
    "vLLM's readers of configs and tokenizers, load it. Half of the trials run without LEmpo's own check."
)
TEST_TRIALS, SOAK_TRIALS = 12, 600
SLOW = True  # vLLM is imported

ROOT = Path(__file__).parents[2]
_FILES = (
    "config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json",
    "generation_config.json", "special_tokens_map.json", "adapter_config.json", "open_clip_config.json",
    "image_processor_config.json", "video_preprocessor_config.json", "params.json", "chat_template.json",
)  # fmt: skip
_SECTIONS = (
    "model_cfg", "text_cfg", "tokenizer_kwargs", "vision_cfg", "text_config", "vision_config", "llm_config",
    "quantization_config", "preprocess_cfg", "extra", "init_inputs",
)  # fmt: skip
_PICKLES = (
    "pytorch_model.bin", "open_clip_pytorch_model.bin", "model.pth", "model.pt", "vocab.pkl",
    "training_args.bin", "adapter_model.bin", "consolidated.00.pth", "aaa.bin", "model.gguf",
    "aaa.safetensors", "spiece.model",
)  # fmt: skip
_REACH = "{{ cycler.__init__.__globals__.os.system('touch %s') }}"


def run(trials: int, seed: int, folder: Path) -> Outcome:
    """Run the trials; see `tests/soak/trial.py`."""
    from tests.pipeline.llm.tiny_llama import make_tiny_llama
    from tests.trainer.tiny import make_vlm_folder

    sound = {"vlm": make_vlm_folder(folder / "sound-vlm"), "llm": make_tiny_llama(folder / "sound-llm")}
    loaders: dict[str, Callable[[Path], None]] = {"vlm": _load_vlm, "llm": _load_llm}
    failures, refused, count = [], 0, 0
    for trial in each(trials):
        count += 1
        chance = random.Random(f"{seed} {trial}")
        kind, checked = chance.choice(("vlm", "llm")), trial % 2 == 0
        place = folder / f"trial-{trial}"
        place.mkdir()
        sentinel = place / "it-ran"
        model = Path(shutil.copytree(sound[kind], place / "model"))
        write_code(model, sentinel)
        done = [_change(chance, model, sentinel) for _ in range(chance.randint(1, 4))]
        with ExitStack() as stack:
            if not checked:
                for name in ("pipeline.vision.source", "pipeline.llm.model_files"):
                    stack.enter_context(patch(f"{name}.check_model_files", lambda *_: None))
            stack.enter_context(_saying_yes())
            try:
                loaders[kind](model)
            except UserError:
                refused += 1
            except Exception as error:
                failures.append(f"{kind}, {done}: {type(error).__name__} {error}"[:300])
        if sentinel.exists():
            failures.append(f"{kind}, checked {checked}, {done}: code ran")
        shutil.rmtree(place)
    return Outcome(count, tuple(failures), {"folders refused": refused})


def _load_vlm(model: Path) -> None:
    from pipeline.vision.vlm import load_vlm

    load_vlm(VlmParams(model=f"local-dir:{model}", pretrained=None, precision="fp32"), "cpu")


def _load_llm(model: Path) -> None:
    """As the engines begin: vLLM's own readers, and a prompt by the model's template."""
    from pipeline.llm.ray_rows import RayRows
    from pipeline.llm.types import Request, Sampling
    from pipeline.llm.vllm_arguments import vllm_arguments

    llm = load_params(ROOT / "params.yaml").llm.model_copy(update={"model": str(model)})
    rows = RayRows(vllm_arguments(llm, {}, 0, ROOT))
    rows.row(Request("k", [{"role": "user", "content": "an airport"}], Sampling.of(0, 1, 0), 8, None))


def _change(chance: random.Random, model: Path, sentinel: Path) -> str:
    """Make one change; returns what it was."""
    kind = chance.choice(("field", "field", "field", "class", "pickle", "template", "tower"))
    if kind == "pickle":
        name = chance.choice(_PICKLES)
        write_pickle(model / name, sentinel)
        return f"a pickle {name}"
    if kind == "template":
        (model / "chat_template.jinja").write_text(_REACH % sentinel)
        return "a template"
    if kind == "tower":
        keys: list[str | int] = ["model_cfg", "text_cfg", "hf_model_name"]
        return _set(model / "open_clip_config.json", keys, str(model), chance)
    if kind == "class":
        name, key = chance.choice(
            [("config.json", "model_type"), ("config.json", "architectures"),
             ("tokenizer_config.json", "tokenizer_class"), ("processor_config.json", "processor_class")]
        )  # fmt: skip
        value: Any = ["Lm"] if key == "architectures" else chance.choice(("Tok", "evil", f"{MODULE}.Tok"))
        return _set(model / name, [key], value, chance)
    key, value = chance.choice(
        [
            ("trust_remote_code", chance.choice((True, 1, "true", "yes"))),
            ("auto_map", {**AUTO_TOKENIZER, **AUTO_MODEL}),
            ("auto_map", [f"{MODULE}.Tok", None]),
            ("auto_map", {"AutoTokenizer": [None, f"{model}--{MODULE}.Tok"], **AUTO_MODEL}),
            ("auto_map", {"AutoProcessor": f"{MODULE}.Tok", "AutoConfig": f"../model/{MODULE}.Cfg"}),
            ("custom_pipelines", {"text-generation": {"impl": f"{MODULE}.Tok", "pt": ["Lm"]}}),
        ]
    )
    depth = chance.choice((0, 0, 0, 1, 2, 3))
    keys = [chance.choice(_SECTIONS) for _ in range(depth)]
    return _set(model / chance.choice(_FILES), [*keys, key], value, chance)


def _set(file: Path, keys: list[Any], value: Any, chance: random.Random) -> str:
    """Set a field, in one of the ways that JSON allows to write it."""
    try:
        values = json.loads(file.read_bytes()) if file.is_file() else {}
    except ValueError:
        values = {}
    parent = values
    for key in keys[:-1]:
        below = parent.get(key)
        parent[key] = below if isinstance(below, dict) else {}
        parent = parent[key]
    parent[keys[-1]] = value
    text = json.dumps(values)
    if chance.random() < 0.2:
        text = text.replace(f'"{keys[-1]}"', f'"\\u{ord(keys[-1][0]):04x}{keys[-1][1:]}"')
    file.write_text(text, encoding=chance.choice(("utf-8",) * 6 + ("utf-8-sig", "utf-16")))
    return f"{file.name}: {'.'.join(map(str, keys))}={str(value)[:60]}"


@contextlib.contextmanager
def _saying_yes() -> Iterator[None]:
    """Whoever is asked on the terminal whether code may run says yes."""
    with patch.object(sys, "stdin", io.StringIO("y\n" * 100)), contextlib.redirect_stdout(io.StringIO()):
        yield

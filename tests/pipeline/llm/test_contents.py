"""Chat templates that take texts, lists of parts, or both, with an image and without one."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from pipeline.llm.chat import ChatRenderer, prompt_tokens
from pipeline.llm.pictures import Picture
from pipeline.llm.types import Request, Result, Sampling
from tests.pipeline.llm.tiny_llama import TEMPLATE as TEXTS
from tests.pipeline.llm.tiny_llava import TEMPLATE as PARTS
from tests.pipeline.llm.tiny_llava import make_tiny_llava

BOTH = (
    "{% for m in messages %}{{ m['role'] }}: {% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for part in m['content'] %}{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}"
    "{% endif %}{{ '\\n' }}{% endfor %}assistant:"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "one <image>"},
    {"role": "assistant", "content": "two"},
    {"role": "user", "content": "three"},
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoTokenizer.from_pretrained(make_tiny_llava(tmp_path_factory.mktemp("tiny")))


def _text(tokenizer: Any, template: str, with_image: bool, placeholder: str | None = "<image>") -> str:
    renderer = ChatRenderer(tokenizer, template, image_placeholder=placeholder)
    return " ".join(tokenizer.decode(renderer.token_ids(MESSAGES, with_image)).split())


def test_a_template_of_parts_loses_no_text(tokenizer: Any) -> None:
    said = "<bos>system: Be brief. user: one < image> assistant: two user: three assistant:"
    assert _text(tokenizer, PARTS, with_image=False) == said
    assert _text(tokenizer, PARTS, with_image=True) == said.replace("user: three", "user: <image> three")


@pytest.mark.parametrize("template", [TEXTS, BOTH])
def test_one_of_texts_gets_what_stands_for_an_image(tokenizer: Any, template: str) -> None:
    said = _text(tokenizer, template, with_image=True).replace("<image>three", "<image> three")
    assert said.endswith("user: one < image> assistant: two user: <image> three assistant:")
    assert "image> three" not in _text(tokenizer, template, with_image=False)


@pytest.mark.parametrize("template", [TEXTS, BOTH, PARTS])
def test_a_system_turn_that_is_not_taken_comes_before_the_first_text(tokenizer: Any, template: str) -> None:
    said = _text(tokenizer, NO_SYSTEM + template, with_image=True)
    assert "user: Be brief. one < image> assistant: two" in said and said.count("<image>") == 1


def test_a_base_model_gets_it_too(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_tiny_llava(tmp_path, chat_template=None))
    ids = ChatRenderer(tokenizer, image_placeholder="<image>").token_ids(MESSAGES, with_image=True)
    assert tokenizer.decode(ids).endswith("Input: <image>\nthree\nOutput:")


def test_without_a_place_for_an_image_the_row_fails(tokenizer: Any) -> None:
    picture = Picture(Path("a.png"), "0", 64)
    request = Request("k", MESSAGES, Sampling.of(0, 1, 0), 8, None, picture=picture)
    failed = prompt_tokens(ChatRenderer(tokenizer, TEXTS), request, 500)
    assert isinstance(failed, Result) and "no place for an image" in str(failed.error)


def test_the_tokens_before_an_image_can_be_shared(tokenizer: Any) -> None:
    renderer = ChatRenderer(tokenizer, PARTS, image_placeholder="<image>")
    ids = renderer.token_ids(MESSAGES, with_image=True)
    assert tokenizer.decode(ids[: renderer.before_image(ids)]).endswith("user: ")
    assert ids[renderer.before_image(ids)] == tokenizer.convert_tokens_to_ids("<image>")

"""Messages to the tokens of one prompt, through the model's own chat template where it has one."""

from functools import cached_property
from typing import Any

from pipeline.base.errors import one_line, parameter_error
from pipeline.llm.chat_templates import MAX_CHARACTERS, PARAMETER, REMEDY, ROW_SECONDS, within
from pipeline.llm.prompt import Message
from pipeline.llm.template_process import TemplateProcess, TooLong
from pipeline.llm.thoughts import opened_thoughts
from pipeline.llm.turns import Turns
from pipeline.llm.types import Request, Result

_NEXT = "\nInput:"  # opens the next turn of the plain template
MAX_LATE_ROWS = 3  # rows for which the template may take too much; then no other row is rendered
# where transformers renders a template, and where vLLM hands that on
_RENDERERS = ("transformers.tokenization_utils_base", "vllm.tokenizers.hf")


class ChatRenderer:
    """Renders for one tokenizer.

    A base model has no chat template: it gets the turns as text, `Input:` and `Output:` before them. It
    knows no end of a turn and would go on with further examples, so its answer stops where those of the
    prompt end (`stops`). A template that takes no system turn gets it at the head of the first user turn.
    Where the template opens the thoughts of an answer, `opening` holds the mark for it, which the answer
    itself lacks. A tokenizer that writes prompts by itself (`tokenizer_mode` mistral, deepseek_v32 ...) needs
    no template.

    Args:
        image_placeholder: stands for an image in prompts of the model; None where it takes no images.

    Raises:
        UserError: the tokenizer has no use for `chat_template`.
    """

    def __init__(
        self,
        tokenizer: Any,
        chat_template: str | None = None,
        template_arguments: dict[str, Any] | None = None,
        image_placeholder: str | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._template = chat_template
        self._arguments = template_arguments or {}
        self._given = {"add_generation_prompt": True, **self._arguments}
        self._writes = _writes_prompts(tokenizer)
        if self._writes and chat_template:
            remedy = "Remove it, or set tokenizer_mode to hf"
            reason = "the model's tokenizer writes prompts by itself, and would pass a template over"
            raise parameter_error(reason, remedy, "llm.engine_args.chat_template")
        self._plain = not (self._writes or chat_template or getattr(tokenizer, "chat_template", None))
        self._late = 0
        self.opening = ""
        self._placeholder = image_placeholder
        self._turns = Turns(self._write, image_placeholder)
        self._specials = _special_texts(tokenizer)

    def stops(self, messages: list[Message]) -> tuple[str, ...]:
        """The texts that end an answer to these messages, beside the model's own end."""
        return plain_stops(messages) if self._plain else ()

    def token_ids(self, messages: list[Message], with_image: bool = False) -> list[int]:
        """The prompt's tokens, special tokens included.

        Args:
            with_image: an image stands before the text of the last message: of its tokens there is one here,
                or few, and the engine puts the others in.

        Raises:
            Exception: whatever the template raises for messages that it refuses.
            TimeoutError, ValueError: it takes more than 10 s or 2 GB for them, makes them longer than any
                prompt, or has no place for an image.
        """
        safe = [{**message, "content": self._defused(message["content"])} for message in messages]
        if self._plain:
            if with_image:
                safe[-1]["content"] = self._turns.with_placeholder(safe[-1]["content"])
            return list(self._tokenizer(plain_text(safe))["input_ids"])
        if self._writes:
            if with_image:
                raise ValueError("a tokenizer that writes prompts by itself has no place for an image")
            written = self._tokenizer.apply_chat_template(safe, add_generation_prompt=True, **self._arguments)
            return list(written)
        text = self._bounded(safe, with_image)
        self.opening = opened_thoughts(text)
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def before_image(self, tokens: list[int]) -> int:
        """How many tokens of a prompt stand before its image; all, where that is not known."""
        if self._placeholder is None:
            return len(tokens)
        first = self._tokenizer(self._placeholder, add_special_tokens=False)["input_ids"][0]
        return len(tokens) - 1 - tokens[::-1].index(first) if first in tokens else len(tokens)

    def _bounded(self, messages: list[Message], with_image: bool) -> str:
        named = getattr(self._tokenizer, "name_or_path", "the model")
        name = f"params.yaml, field '{PARAMETER}'" if self._template else named
        if self._late >= MAX_LATE_ROWS:
            reason = f"the chat template took too much for {self._late} rows, so no other is rendered"
            raise TimeoutError(f"{name}: {reason}. {REMEDY}")
        try:
            text = self._turns.text(messages, with_image)
        except TimeoutError as error:
            self._late += 1
            raise TimeoutError(f"{name}: {error}. {REMEDY}") from None
        if len(text) > MAX_CHARACTERS:
            raise TooLong(f"the chat template makes {len(text):,} characters of one row")
        return text

    def _write(self, turns: list[Any]) -> str:
        if self._process is None:
            with within(ROW_SECONDS):
                return self._tokenizer.apply_chat_template(
                    turns, chat_template=self._template, tokenize=False, **self._given
                )
        variables = {**self._special_tokens, **self._given}
        return self._process.render(
            turns, variables, seconds=ROW_SECONDS, wait=ROW_SECONDS, characters=MAX_CHARACTERS
        )

    @cached_property
    def _process(self) -> TemplateProcess | None:
        """Where the template is rendered; None for a tokenizer that does it by code of its own."""
        own = [vars(kind).get("apply_chat_template") for kind in type(self._tokenizer).__mro__]
        if any(method.__module__ not in _RENDERERS for method in own if method is not None):
            return None
        return TemplateProcess(self._tokenizer.get_chat_template(self._template))

    @cached_property
    def _special_tokens(self) -> dict[str, str]:
        return dict(self._tokenizer.special_tokens_map)

    def _defused(self, content: str) -> str:
        """Split special tokens that stand in a text, so that no name can end a turn or open another."""
        for special in self._specials:
            if special in content:
                content = content.replace(special, special[0] + " " + special[1:])
        return content

    def answer(self, request: Request, text: str) -> str:
        """What a model wrote, with the mark of the thoughts that its prompt opened; a schema allows none."""
        return text if request.json_schema is not None else self.opening + text


def prompt_tokens(
    chat: ChatRenderer, request: Request, context: int, limited_by_memory: bool = False
) -> list[int] | Result:
    """The tokens of a prompt, or a failed result where the template refuses it or no room for text is left.

    Args:
        context: how many tokens prompt and text may have together.
        limited_by_memory: the model could take more; `context` is what the KV cache holds.
    """
    try:
        tokens = chat.token_ids(request.messages, with_image=request.picture is not None)
    except Exception as error:
        return Result(request.key, error=one_line(error))
    if len(tokens) >= context:
        return Result.too_long(request.key, len(tokens), context, limited_by_memory)
    return tokens


def plain_text(messages: list[Message]) -> str:
    """Turns as text for a model without a chat template."""
    lines = []
    for message in messages:
        prefix = {"system": "", "user": "Input: ", "assistant": "Output: "}[message["role"]]
        lines.append(prefix + message["content"] + ("\n" if message["role"] != "user" else ""))
    return "\n".join([*lines, "Output:"])


def _writes_prompts(tokenizer: Any) -> bool:
    """Whether it has code of its own for this: it needs no template to do it."""
    if getattr(tokenizer, "chat_template", None) or not hasattr(tokenizer, "apply_chat_template"):
        return False
    try:
        tokenizer.apply_chat_template([{"role": "user", "content": "a"}], add_generation_prompt=True)
    except ValueError:  # there is no template
        return False
    return True


def plain_stops(messages: list[Message]) -> tuple[str, ...]:
    """Where an answer ends that is like the examples: at the end of its line, at a blank line, or later."""
    examples = [message["content"] for message in messages if message["role"] == "assistant"]
    if examples and not any("\n" in example for example in examples):
        return (_NEXT, "\n")
    return (_NEXT,) if any("\n\n" in example for example in examples) else (_NEXT, "\n\n")


def _special_texts(tokenizer: Any) -> list[str]:
    added = getattr(tokenizer, "added_tokens_decoder", {})
    texts = {str(token) for token in added.values() if getattr(token, "special", False)}
    texts |= {str(token) for token in getattr(tokenizer, "all_special_tokens", [])}
    return sorted(
        (text for text in texts if len(text) > 1 and text.strip()), key=lambda text: (-len(text), text)
    )

"""A chat template is a program from elsewhere: it reaches nothing, and every try of it has an end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from pipeline.base.errors import UserError
from pipeline.base.params import load_params
from pipeline.llm import chat, chat_templates
from pipeline.llm.chat import MAX_LATE_ROWS, ChatRenderer, prompt_tokens
from pipeline.llm.chat_templates import try_chat_templates, within
from pipeline.llm.engines import open_engine
from pipeline.llm.template_process import TemplateProcess
from pipeline.llm.types import Request, Result, Sampling
from tests.language_toy import Toy
from tests.pipeline.llm.tiny_llama import TEMPLATE, make_tiny_llama
from tests.pipeline.llm.tiny_llava import TEMPLATE as PARTS

ROOT = Path(__file__).parents[3]
PARAMS = load_params(ROOT / "params.yaml")
ROW = [{"role": "user", "content": "an airport"}]
LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
REPEATS = "{{ 'x' * 100000000000 }}"
DOUBLES = "{% set ns = namespace(t='x') %}{% for a in range(99) %}{% set ns.t = ns.t + ns.t %}{% endfor %}"
WRITES = "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}"
PADS = "{{ '%*d' % (20000000000, 1) }}"
REACHES = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
NESTED = (  # one step of C that takes for ever
    "{% set ns = namespace(a=[1.5], b=[1.5]) %}{% for i in range(90) %}{% set ns.a = [ns.a, ns.a] %}"
    "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}"
)
RUNS = "{{ cycler.__init__.__globals__.os.system('touch %s') }}"


def _hangs_if(condition: str, template: str = TEMPLATE) -> str:
    return "{% if " + condition + " %}" + NESTED + "{% endif %}" + template


def _llm(**arguments: Any) -> Any:
    return PARAMS.llm.model_copy(update={"engine_args": arguments})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    return tmp_path / "model"


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Where each template stands that would be tried, and its text."""
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(chat_templates, "_try", lambda text, where, _: found.append((where, text)) or set())
    return found


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (LOOPS, "takes longer than 1 s"),
        (NESTED, "takes longer than 1 s"),
        (REPEATS, "takes more than 2 GB"),
        (DOUBLES, "takes more than 2 GB"),
        (PADS, "takes more than 2 GB"),
        (WRITES, r"makes 99,999,000 characters"),
        (REACHES, r"asks for what its sandbox forbids.*__class__"),
    ],
    ids=["loops", "nested", "repeats", "doubles", "pads", "writes", "reaches"],
)
def test_a_template_without_end_ends(
    template: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if template in (LOOPS, NESTED):
        monkeypatch.setattr(chat_templates, "CPU_SECONDS", 1)
    (folder / "chat_template.jinja").write_text(template)
    since = time.monotonic()
    with pytest.raises(UserError, match=rf"chat_template\.jinja: the chat template {said}.*Restore"):
        try_chat_templates(_llm(), [folder], ROW)
    assert time.monotonic() - since < 60  # 2 s, on an idle machine


@pytest.mark.parametrize(
    "condition",
    [
        "tools is defined and documents is none and add_generation_prompt",
        "messages[0].content is not string",
        "messages[-1].content[0].type == 'image'",
    ],
)
def test_one_that_hangs_only_as_the_stage_renders_it_is_found(
    condition: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_templates, "CPU_SECONDS", 1)
    (folder / "chat_template.jinja").write_text(_hangs_if(condition, PARTS))
    llm = _llm().model_copy(update={"images": True})
    with pytest.raises(UserError, match=r"chat_template\.jinja: the chat template takes longer than 1 s"):
        try_chat_templates(llm, [folder], [{"role": "system", "content": "Be brief."}, *ROW])


def test_a_prompt_is_what_the_tokenizer_writes(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_tiny_llama(tmp_path))
    told = (
        "{{ tools is defined }} {{ tools is none }} {{ documents is none }} {{ add_generation_prompt }} "
        "{{ bos_token }} {{ unk_token is defined }} {{ tokenize is defined }} {{ mood | tojson }} "
    )
    given = {"mood": {"calm": [1, 0.5, None, True]}}
    row = [{"role": "system", "content": "\u00e9\u2028\U0001f6e9 <b>"}, *ROW]
    for template in (TEMPLATE, told + TEMPLATE):
        text = tokenizer.apply_chat_template(
            row, chat_template=template, tokenize=False, add_generation_prompt=True, **given
        )
        ids = ChatRenderer(tokenizer, template, given).token_ids(row)
        assert ids == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_a_template_reaches_no_function_of_python(folder: Path, tmp_path: Path) -> None:
    sentinel = tmp_path / "it-ran"
    (folder / "chat_template.jinja").write_text(RUNS % sentinel)
    with pytest.raises(UserError, match="sandbox forbids"):
        try_chat_templates(_llm(), [folder], ROW)
    tokenizer = AutoTokenizer.from_pretrained(make_tiny_llama(tmp_path / "tiny"))
    with pytest.raises(Exception, match="unsafe"):  # nor where the rows are rendered
        ChatRenderer(tokenizer, RUNS % sentinel).token_ids(ROW)
    assert not sentinel.exists()


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("tokenizer_config.json", {"chat_template": REACHES}),
        ("tokenizer_config.json", {"chat_template": [{"name": "default", "template": REACHES}]}),
        ("chat_template.json", {"chat_template": REACHES}),
        ("processor_config.json", {"chat_template": REACHES}),
    ],
)
def test_every_place_of_a_template_is_looked_at(
    file: str, values: dict[str, Any], folder: Path, tried: list[tuple[str, str]]
) -> None:
    (folder / file).write_text(json.dumps(values))
    assert try_chat_templates(_llm(), [folder], ROW) == 1
    assert tried == [(f"{folder / file}, field 'chat_template'", REACHES)]


def test_so_are_further_templates_and_that_of_the_parameters(
    folder: Path, tried: list[tuple[str, str]]
) -> None:
    further = folder / "additional_chat_templates"
    further.mkdir()
    (further / "tools.jinja").write_text(LOOPS)
    assert try_chat_templates(_llm(chat_template=REACHES), [folder], ROW) == 2
    parameter = "params.yaml, field 'llm.engine_args.chat_template'"
    assert sorted(tried) == [(str(further / "tools.jinja"), LOOPS), (parameter, REACHES)]


def test_sound_templates_pass_also_one_that_refuses_these_messages(folder: Path) -> None:
    assert try_chat_templates(_llm(), [folder], ROW) == 0
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": {"content": "<s>"}, "chat_template": "{{ raise_exception('no') }}"})
    )
    assert try_chat_templates(_llm(), [folder], ROW) == 2
    since = time.monotonic()
    assert try_chat_templates(PARAMS.llm, [ROOT / "models/captioner"], ROW) == 1
    assert time.monotonic() - since < 20  # 1 s, on an idle machine


def test_a_variable_that_no_template_reads_is_refused(folder: Path) -> None:
    def given(**variables: Any) -> Any:
        return PARAMS.llm.model_copy(update={"chat_template_kwargs": variables})

    with pytest.raises(
        UserError, match=r"llm\.chat_template_kwargs'.*has no chat template.*'enable_thinking'"
    ):
        try_chat_templates(given(enable_thinking=False), [folder], ROW)
    reads = "{% if enable_thinking is defined %}{{ budget }}{% endif %}{% set own = 1 %}{{ own }}"
    (folder / "chat_template.jinja").write_text(TEMPLATE + reads)
    assert try_chat_templates(given(enable_thinking=False, budget=5), [folder], ROW) == 1
    said = r"reads no such variable \(got 'own'\)\. It reads bos_token, budget, enable_thinking\. Remove it"
    with pytest.raises(UserError, match=said.replace("bos_token, ", "(bos_token, )?")):
        try_chat_templates(given(own=2), [folder], ROW)


def test_more_templates_than_any_model_has_are_refused(folder: Path) -> None:
    named = [{"name": str(i), "template": f"{i}"} for i in range(21)]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    with pytest.raises(UserError, match="more than 20 chat templates"):
        try_chat_templates(_llm(), [folder], ROW)


def test_an_engine_tries_the_template_before_it_loads_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_tiny_llama(tmp_path / "tiny", REACHES)
    monkeypatch.setattr("vllm.LLM", lambda **_: pytest.fail("the model was loaded"))
    params = PARAMS.model_copy(update={"llm": PARAMS.llm.model_copy(update={"model": str(model)})})
    with pytest.raises(UserError, match="sandbox forbids"):
        open_engine(params, ROOT, ROW)


def _request(content: str) -> Request:
    return Request(content, [{"role": "user", "content": content}], Sampling.of(0, 1, 0), 8, None)


def test_a_template_that_turns_bad_at_a_later_row_costs_three_rows_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_tiny_llama(tmp_path))
    monkeypatch.setattr(chat, "ROW_SECONDS", 0.3)
    renderer = ChatRenderer(tokenizer, _hangs_if("'boat' in messages[0]['content']"))
    assert isinstance(prompt_tokens(renderer, _request("a car"), 500), list)
    since = time.monotonic()
    for number in range(20):
        late = prompt_tokens(renderer, _request(f"boat {number}"), 500)
        assert isinstance(late, Result) and late.error and not late.permanent
        assert ("longer than 0.3 s" in late.error) == (number < MAX_LATE_ROWS)
        assert "engine_args.chat_template': the chat template" in late.error and "Restore" in late.error
    assert time.monotonic() - since < 60  # 4 s, on an idle machine
    stopped = prompt_tokens(renderer, _request("a car"), 500)
    assert isinstance(stopped, Result) and "no other is rendered" in str(stopped.error)


def test_a_template_that_hangs_in_a_stage_ends_it_with_one_line_and_keeps_the_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "ROW_SECONDS", 1)
    model = make_tiny_llama(tmp_path / "model", _hangs_if("'blue car' in messages[-1]['content']"))
    renderer = ChatRenderer(AutoTokenizer.from_pretrained(model))
    toy = Toy(tmp_path / "project", llm__repairs=0, llm__max_failed_share=0)

    def answer(request: Request) -> Result:
        tokens = prompt_tokens(renderer, request, 10**6)
        return tokens if isinstance(tokens, Result) else toy.right(request)

    said = (
        rf"1 of 8 rows of free, 1 of 8 rows of toy failed.*{model}: the chat template takes longer than 1 s"
    )
    with pytest.raises(UserError, match=said):
        toy.run(answer)
    assert len(toy.run().asked) == 2


STAGE = """
import os, sys
from transformers import AutoTokenizer
from pipeline.base import interrupts
from pipeline.llm import chat
interrupts.end_by_signals()
chat.ROW_SECONDS = float(sys.argv[3])
renderer = chat.ChatRenderer(AutoTokenizer.from_pretrained(sys.argv[1]), sys.argv[2])
try:
    renderer.token_ids([{"role": "user", "content": "a car"}])
    print(renderer._process._child.pid, flush=True)
    renderer.token_ids([{"role": "user", "content": "a boat"}])
except interrupts.Interrupted as error:
    print(error, flush=True)
    os._exit(error.code)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_a_stage_whose_template_hangs_and_the_template(
    number: signal.Signals, tmp_path: Path
) -> None:
    model, template = make_tiny_llama(tmp_path), _hangs_if("'boat' in messages[0]['content']")
    seconds = "1" if number == signal.SIGKILL else "60"
    stage = subprocess.Popen(
        [sys.executable, "-c", STAGE, str(model), template, seconds],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests may run under `nohup`
    )
    assert stage.stdout is not None
    child = int(stage.stdout.readline())
    time.sleep(0.5)  # until it hangs
    stage.send_signal(number)
    said, errors = stage.communicate(timeout=8)
    if number != signal.SIGKILL:
        assert stage.returncode == 128 + number and said.count("\n") == 1 and not errors
    end = time.monotonic() + 60
    while _runs(child) and time.monotonic() < end:
        time.sleep(0.1)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_memory_for_a_later_row_is_bounded_and_the_next_row_is_rendered(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_tiny_llama(tmp_path))
    grows = "{% if 'boat' in messages[0]['content'] %}" + DOUBLES + "{% endif %}" + TEMPLATE
    renderer = ChatRenderer(tokenizer, grows)
    late = prompt_tokens(renderer, _request("a boat"), 500)
    assert isinstance(late, Result) and "takes more than 2 GB for one row" in str(late.error)
    assert isinstance(prompt_tokens(renderer, _request("a car"), 500), list)


def test_a_process_that_dies_costs_at_most_its_row() -> None:
    with TemplateProcess(
        "{% if messages[0].content == 'boat' %}" + NESTED + "{% endif %}{{ mood }}"
    ) as process:

        def text(content: str, mood: str, seconds: float = 60) -> str:
            turns = [{"role": "user", "content": content}]
            return process.render(turns, {"mood": mood}, seconds=seconds, wait=60, characters=10**7)

        assert text("car", "calm") == "calm" and text("car", "x" * 3_000_000) == "x" * 3_000_000
        assert process._child is not None
        os.kill(process._child.pid, signal.SIGKILL)
        process._child.wait()
        assert text("car", "calm") == "calm"
        threading.Timer(0.5, os.kill, (process._child.pid, signal.SIGSEGV)).start()
        with pytest.raises(TimeoutError, match="cannot be rendered: its process ended with -11"):
            text("boat", "calm")
        with pytest.raises(TimeoutError, match="takes longer than 1 s for one row"):
            text("boat", "calm", seconds=1)
        assert text("car", "calm") == "calm"


def test_a_prompt_longer_than_any_is_a_failed_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_tiny_llama(tmp_path))
    monkeypatch.setattr(chat, "MAX_CHARACTERS", 1000)
    late = prompt_tokens(ChatRenderer(tokenizer, "{{ 'x' * 2000 }}"), _request("a car"), 500)
    assert isinstance(late, Result) and "2,000 characters" in str(late.error)


def test_a_child_that_does_not_end_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "chat_template.jinja").write_text(LOOPS)
    monkeypatch.setattr(chat_templates, "_WAIT_SECONDS", 0.1)
    with pytest.raises(UserError, match="takes longer"):
        try_chat_templates(_llm(), [folder], ROW)


def test_a_block_within_its_time_leaves_no_alarm() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with within(60):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0) and signal.getsignal(signal.SIGALRM) == before
    with pytest.raises(TimeoutError), within(0.05):
        while True:
            pass

"""Targets: what a model says, and what people write for it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

import httpx
import pyarrow as pa

from pipeline.base.params import load_params
from pipeline.captions.answer import asking_for_json, caption_of
from pipeline.captions.row_cache import ENTRIES, Entry
from pipeline.corpus import checks
from pipeline.corpus.checks import Rejected
from pipeline.corpus.plain_edits import EditReader
from pipeline.faithfulness.check import Checker, vocabulary_of
from pipeline.graph.edits import apply_edits
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import POSITIONS, Group, GroupGraph
from pipeline.graph.verbalise import verbalise
from pipeline.llm.endpoint_engine import EndpointEngine
from pipeline.llm.prompt import load_prompt
from pipeline.llm.types import Request, Sampling
from pipeline.pairs.check import ModificationChecker
from pipeline.pairs.difference import Change
from pipeline.pairs.wording import STYLES, worded
from tests.fuzz.target import Target, of_file

ROOT = Path(__file__).parents[2]
_CELLS = [cell for row in POSITIONS for cell in row]
_STATUSES = (200, 200, 200, 200, 429, 500, 400, 204)
_HEADERS = (
    {},
    {"Content-Type": "application/json"},
    {"Content-Type": "text/html; charset=utf-16"},
    {"Content-Encoding": "gzip"},
    {"Content-Encoding": "br, zstd"},
    {"Retry-After": "-1"},
    {"Content-Type": "application/json; charset=\x80"},
)


def answers(folder: Path) -> Target:
    """An answer (up to the first zero byte), checked against a graph of the lines after it.

    A line is a name, or `name|attribute|attribute`, or `subject>predicate>object`, the ends as line numbers.
    """
    seeds = [
        "Two small red cars are at the top left.\0two car|red\npond|round\ntree\n0>next to>1",
        '{"caption": "A white hangar stands beside many trees; they are green."}\0hangar|white\nmany tree',
        "make the red car blue and remove the pond\0one car|red\npond",
        "<think>It is not a car.</think> “There is no car, but one tree.”\0tree\nno car",
        "the the with and of\0the\nwith\nscene\nand\none",
    ]
    return Target(_answer, [seed.encode() for seed in seeds])


def _answer(data: bytes) -> None:
    answer, _, lines = data.decode("utf-8", "replace").partition("\0")
    readings = (caption_of(answer), caption_of(answer, in_json=True))
    texts = [reading.text for reading in readings if reading.text is not None] or [""]
    assert all(caption_of(text).text == text for text in texts if text)
    graph = _graph(lines)
    checker = Checker(vocabulary_of([graph]))
    reader = EditReader({group.name for group in graph.groups})
    serialise(graph)
    for text in (*texts, verbalise(graph)):
        found = checker.check(text, graph)
        assert found.facts >= len(found.missed)
        assert found.recall is None or 0 <= found.recall <= 1
        assert found == checker.check(text, graph)
        if (edits := reader.read(text, graph)) is not None:
            apply_edits(graph, edits)
    if graph.groups:
        _modification(texts, graph)


def _modification(texts: list[str], graph: GroupGraph) -> None:
    """The same texts as modifications of the graph, and what the rules write for two of its groups."""
    changes = (Change("remove", before=graph.groups[0]), Change("add", after=graph.groups[-1]))
    checker = ModificationChecker(changes, graph, vocabulary_of([graph]))
    for text in (*texts, *(worded(changes, style) for style in STYLES)):
        found = checker.check(text)
        assert len(found.missed) <= found.facts == 2
        assert found == checker.check(text)


def _graph(lines: str) -> GroupGraph:
    groups: list[Group] = []
    relations = []
    for number, line in enumerate(lines.split("\n")[:8]):
        try:
            if line.count(">") == 2:
                subject, predicate, object_ = line.split(">")
                ends = int(subject), int(object_)
                if all(0 <= end < len(groups) for end in ends):
                    relations.append((ends[0], checks.name(predicate, "predicate"), ends[1]))
                continue
            name, *attributes = (checks.name(part, "name") for part in line.split("|"))
            quantity, _, rest = name.partition(" ")
            position = _CELLS[number] if number % 2 else None
            group = (
                Group(quantity, rest, tuple(attributes), position)
                if rest
                else Group("", name, tuple(attributes))
            )
            groups.append(group)
        except (Rejected, ValueError):
            continue
    return GroupGraph(
        None, tuple(dict.fromkeys(groups)), tuple(relations) if len(set(groups)) == len(groups) else ()
    )


def prompts(folder: Path) -> Target:
    """A prompt file, rendered for a row."""
    path = folder / "interpret.txt"
    path.write_bytes((ROOT / "prompts/interpret.txt").read_bytes())

    def read() -> None:
        messages = load_prompt(path, ("graph",)).render(graph="objects:\n- car {graph} {x}")
        assert "- car {graph} {x}" in messages[-1]["content"]
        json.dumps(asking_for_json(messages)).encode()

    return of_file(path, read, b"## system\nSay it.\n## user\n{graph}\n", b"\xef\xbb\xbf## user\r\n{graph}")


def endpoint(folder: Path) -> Target:
    """The answer of a server: a byte for the status, one for the headers, then the body."""
    params = load_params(ROOT / "params.yaml")
    llm = params.llm.model_copy(update={"engine": "endpoint", "endpoint": "http://127.0.0.1:9/v1"})
    speed = params.speed.model_copy(update={"endpoint_retries": 0, "endpoint_concurrency": 1})
    request = Request("k", [{"role": "user", "content": "x"}], Sampling.of(0, 1, 0), 60, None)
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    choice = {"index": 0, "message": {"role": "assistant", "content": "A car."}, "finish_reason": "stop"}
    sound = {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}
    bodies = [sound, {**sound, "usage": None}, {**sound, "choices": []}, {"error": {"message": "too long"}}]
    refused = {**choice, "message": {"content": None, "refusal": "no"}, "finish_reason": "content_filter"}

    def attempt(data: bytes) -> None:
        head, body = data[:2].ljust(2, b"\0"), data[2:]
        status, headers = _STATUSES[head[0] % len(_STATUSES)], _HEADERS[head[1] % len(_HEADERS)]
        with _answering(lambda: httpx.Response(200, stream=httpx.ByteStream(b'{"data": []}'))):
            engine = EndpointEngine(llm, speed)
        with _answering(lambda: httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))):
            try:
                (result,) = engine.generate([request])
            finally:
                engine.close()
        assert result.key == "k" and (result.text is None) != (result.error is None)
        if result.text is not None:
            _answer(result.text.encode() + b"\0car|red")
        entry = Entry.of(result, row_key="k", model="m", prompt_hash="p", max_tokens=60, failures=0)
        pa.Table.from_pylist([asdict(entry)], schema=ENTRIES)

    seeds = [b"\0\1" + json.dumps(body).encode() for body in (*bodies, {**sound, "choices": [refused]})]
    return Target(attempt, [*seeds, b"\4\5slow down", b"\5\2<html>", b"\0\3\x1f\x8b\x08"])


@contextmanager
def _answering(response: Callable[[], httpx.Response]) -> Iterator[None]:
    """Let every request of httpx get this response."""

    def handle(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        return response()

    async def handle_async(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        return response()

    with (
        patch.object(httpx.HTTPTransport, "handle_request", handle),
        patch.object(httpx.AsyncHTTPTransport, "handle_async_request", handle_async),
    ):
        yield

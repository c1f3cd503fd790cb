"""A project of a few rows, run once without disturbance, and copies of it for trials."""

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import yaml
from PIL import Image

from lempo.search.database import Database
from lempo.search.settings import MANIFEST, TABLES
from pipeline.base.files import remembered
from tests.pipeline.llm.tiny_llama import make_tiny_llama
from tests.soak._forks import ROOT, Forks
from tests.trainer.benchmarks.tiny import make_cirr
from tests.trainer.tiny import make_vlm_folder

COLOURS = ("red", "green", "blue", "white", "black", "grey")
THINGS = ("car", "boat", "roof", "tree")
DATASET = "toy"
OUTPUTS = ("data", "metrics", "plots", "report", "exported")
INDEX = "found"


@dataclass(frozen=True)
class Command:
    """A stage or tool, the engine it uses, and the paths that it writes."""

    arguments: tuple[str, ...]
    writes: tuple[str, ...]
    engine: str = "endpoint"

    @property
    def name(self) -> str:
        return self.arguments[0]

    def __str__(self) -> str:
        return f"{self.name}, {self.engine}" if self.name in ("interpret", "caption") else self.name


def _language(engine: str) -> list[Command]:
    return [
        Command(
            ("interpret",),
            ("data/interpretations", "metrics/interpret.json", "metrics/summary/interpret.json"),
            engine,
        ),
        Command(
            ("caption",),
            ("data/pseudo_captions", "metrics/caption.json", "metrics/summary/caption.json"),
            engine,
        ),
    ]


COMMANDS = [
    Command(("corpus",), ("data/corpus", "metrics/corpus.json", "metrics/summary/corpus.json")),
    Command(("pairs",), ("data/pairs", "metrics/pairs.json", "metrics/summary/pairs.json")),
    *_language("endpoint"),
    Command(("embed",), ("data/features", "metrics/embed.json")),
    Command(("tune", DATASET), ("data/tuned", "metrics/tune", "metrics/summary/tune", "plots/tune")),
    Command(
        ("evaluate", DATASET),
        ("data/rankings", "metrics/evaluate", "metrics/summary/evaluate", "plots/evaluate"),
    ),
    Command(("report",), ("report", "metrics/summary.json")),
    Command(("export", DATASET, "exported"), ("exported",)),
    Command(("benchmark", "cirr", "published"), ("metrics/benchmarks",)),
    Command(("index", f"in/{DATASET}/images", "--out", INDEX), (INDEX,)),
]
ON_ENGINES = [*_language("vllm"), *_language("ray")]  # a start takes many seconds


class _Answers(BaseHTTPRequestHandler):
    """An endpoint whose answer depends on the question alone."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send({"data": [{"id": "toy", "root": "toy"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        words = [w for w in asked["messages"][-1]["content"].split() if w.strip(".,") in (*COLOURS, *THINGS)]
        time.sleep(0.02)
        message = {"content": "a " + " ".join(words[:6]) + "."}
        usage = {"prompt_tokens": 9, "completion_tokens": len(words)}
        self._send({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    def _send(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:  # a killed client closes no connection
        pass


class Toy:
    """The undisturbed project in `folder/whole`, one for each engine of its language stages."""

    def __init__(self, folder: Path, own_shared_memory: bool = True) -> None:
        self.folder, self._own_shared_memory = folder, own_shared_memory
        self._server = _Server(("127.0.0.1", 0), _Answers)
        Thread(target=self._server.serve_forever, daemon=True).start()
        self._forks: dict[str, Forks] = {}
        self._whole: dict[str, Path] = {}
        self.seconds: dict[str, float] = {}
        make_vlm_folder(folder / "models/vlm")
        config = make_tiny_llama(folder / "models/llm") / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "max_position_embeddings": 8192}))

    def forks(self, engine: str) -> Forks:
        if engine not in self._forks:
            self._forks[engine] = Forks(engine, self._own_shared_memory)
        return self._forks[engine]

    def close(self) -> None:
        for forks in self._forks.values():
            forks.close()
        self._server.shutdown()

    def whole(self, command: Command) -> Path:
        """The undisturbed project of the command's engine; made when it is first asked for."""
        engine = command.engine
        if engine not in self._whole:
            folder = self.folder / f"whole-{engine}"
            if engine == "endpoint":
                self._write(folder)
                todo = COMMANDS
            else:
                shutil.copytree(self.whole(COMMANDS[0]), folder)
                self._parameters(folder, engine)
                todo = _language(engine)
            for each in todo:
                since = time.monotonic()
                code = self.forks(engine).run(*each.arguments, folder=folder)
                assert code == 0, f"{each}: exit code {code}: " + said(folder)[-3000:]
                self.seconds[str(each)] = time.monotonic() - since
            self._whole[engine] = folder
        return self._whole[engine]

    def copy(self, command: Command, folder: Path) -> Path:
        """The project before the command ran, with an empty cache."""
        ignored = shutil.ignore_patterns(".lempo", "tmp")
        shutil.copytree(self.whole(command), folder, symlinks=True, ignore=ignored, dirs_exist_ok=True)
        _log(folder).unlink(missing_ok=True)
        for name in command.writes:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return folder

    def differences(self, command: Command, folder: Path) -> list[str]:
        """Outputs that are not those of the undisturbed run, byte for byte, and temporary files."""
        whole = outputs(self.whole(command))
        ours = outputs(folder)
        found = [
            f"{name} differs"
            for name in sorted(whole.keys() | ours.keys())
            if whole.get(name) != ours.get(name)
        ]
        return found + [f"{name} is left" for name in leftovers(folder)]

    def _write(self, folder: Path) -> None:
        graphs, queries = [], []
        images = folder / "in" / DATASET / "images"
        images.mkdir(parents=True)
        random_ = random.Random(0)
        for split in ("train", "val", "test"):
            for thing in THINGS:
                for colour in COLOURS:
                    image_id = f"{split}-{thing}-{colour}"
                    pixels = bytes(random_.randrange(256) for _ in range(32 * 32 * 3))
                    Image.frombytes("RGB", (32, 32), pixels).save(images / f"{image_id}.png")
                    graphs.append(
                        {
                            "image_id": image_id,
                            "file_name": f"images/{image_id}.png",
                            "scene": "road",
                            "objects": [{"object_id": 0, "name": thing, "attributes": [colour]}],
                            "relationships": [],
                        }
                    )
                for wanted in COLOURS[1:]:
                    queries.append(
                        {
                            "pair_id": len(queries),
                            "split": split,
                            "reference": f"{split}-{thing}-red",
                            "modification": f"make the {thing} {wanted}",
                            "target": f"{split}-{thing}-{wanted}",
                            "targets": [f"{split}-{thing}-{wanted}"],
                        }
                    )
        (images.parent / "scene_graphs.json").write_text(json.dumps(graphs))
        (images.parent / "triplets.json").write_text(json.dumps(queries))
        make_cirr(folder / "published")
        shutil.copytree(ROOT / "prompts", folder / "prompts")
        (folder / "models").symlink_to(self.folder / "models")
        for card in ("captioner", "vlm"):
            (self.folder / "models" / card).mkdir(exist_ok=True)
            shutil.copy(ROOT / "models" / card / "README.md", self.folder / "models" / card)
        self._parameters(folder, "endpoint")

    def _parameters(self, folder: Path, engine: str) -> None:
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        values["datasets"] = [DATASET]
        values["corpus"]["root"] = "in"
        values["vlm"]["model"] = "local-dir:models/vlm"
        values["llm"] |= {"engine": engine, "model": "models/llm", "repairs": 0, "max_failed_share": 1}
        for stage in ("interpret", "caption"):
            values[stage]["max_tokens"] = 16
        if engine == "endpoint":
            port = self._server.server_address[1]
            values["llm"] |= {"model": "toy", "endpoint": f"http://127.0.0.1:{port}/v1"}
        values["tune"] |= {"epochs": 2, "batch_size": 16}
        values["comparators"]["epochs"] = 2
        values["report"]["queries"] = 4
        values["speed"] |= {"device": "cpu", "embed_batch": 8, "endpoint_concurrency": 4}
        values["speed"]["llm"] = {
            "max_num_seqs": 4,
            "kv_cache_memory_bytes": 32_000_000,
            "enforce_eager": True,
        }
        (folder / "params.yaml").write_text(yaml.safe_dump(values))


def _log(folder: Path) -> Path:
    return folder.with_name(folder.name + ".log")


def said(folder: Path) -> str:
    """What the commands that ran in a copy have printed."""
    return _log(folder).read_text(errors="replace") if _log(folder).exists() else ""


def outputs(folder: Path) -> dict[str, bytes]:
    """The bytes of every output, by its path, and the rows of the index.

    Figures of speed change from run to run.
    """
    files = (path for name in OUTPUTS for path in (folder / name).rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    found = {name: path.read_bytes() for name, path in named.items() if not name.startswith("metrics/speed")}
    return found | ({INDEX: _rows(folder / INDEX)} if (folder / INDEX / MANIFEST).exists() else {})


def _rows(index: Path) -> bytes:
    """The rows of an index: its files have names by chance."""
    table = remembered(index / MANIFEST)["table"]
    database = Database(index / TABLES, table)
    rows = list(database.rows("image_id", database.ids().to_pylist()))
    return repr(sorted((row["image_id"], row) for row in rows)).encode()


def leftovers(folder: Path) -> list[str]:
    """Temporary files and folders in a project, and in its own folder for temporary files."""
    left = [path for path in folder.rglob("*") if path.name.startswith(".") and path.name.endswith(".tmp")]
    temporary = [path for path in (folder / "tmp").glob("*") if path.name.startswith(("lempo-", "pymp-"))]
    return [path.relative_to(folder).as_posix() for path in (*left, *temporary)]


def processes_in(folder: Path) -> dict[int, str]:
    """The processes that work in a folder, by their numbers."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                inside = Path(os.readlink(f"/proc/{entry}/cwd")).is_relative_to(folder)
                if inside and (words := Path(f"/proc/{entry}/cmdline").read_bytes()):
                    found[int(entry)] = words.replace(b"\0", b" ").decode(errors="replace")[:150]
            except OSError:
                continue
    return found


def still_there(folder: Path, forks: Forks, killed: bool = False, seconds: float = 10.0) -> list[str]:
    """What outlives a command for longer than this: processes, shared memory, folders of runs.

    Args:
        killed: leave out the folders: a kill before the guard is up leaves one to the next run.
    """
    deadline = time.monotonic() + seconds
    while True:
        left = [f"process {pid} is left: {words}" for pid, words in processes_in(folder).items()]
        left += [f"/dev/shm/{name} is left" for name in forks.shared_memory()]
        left += [] if killed else [f"{path} is left" for path in (folder / "tmp").glob("lempo-*")]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


@contextmanager
def toy(folder: Path, own_shared_memory: bool = True) -> Iterator[Toy]:
    made = Toy(folder, own_shared_memory)
    try:
        yield made
    finally:
        made.close()

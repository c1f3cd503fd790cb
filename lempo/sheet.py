"""`lempo sheet`: queries of a dataset with the first results of a method, as one picture."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pyarrow as pa

from lempo.findings import shown_bytes
from lempo.sheet_drawing import Card, Look, Picture, Row, draw
from pipeline.base.errors import UserError, perhaps
from pipeline.base.expected import Expected
from pipeline.base.files import replacing
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.provenance import remedy
from pipeline.base.schemas import IMAGES, PAIRS, PSEUDO_CAPTIONS, RANKINGS
from pipeline.base.tables import read_some
from pipeline.report.gallery import said
from pipeline.report.recall import rankings, shown_rankings

_WAYS = ("mixed", "failures", "successes", "random")
_JPEG = ("JPEG", {"quality": 88, "subsampling": 0, "optimize": True})  # 0: colours blur no edge of a letter
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".jpg": _JPEG, ".jpeg": _JPEG, ".png": ("PNG", {"optimize": True}),
}  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """Which queries are shown, and whose results.

    Attributes:
        method: of the rankings, as `against`, whose results stand below.
        queries: how many, at most.
        results: how many of each method.
        choose: mixed, failures, successes or random. A query is a failure if the first result of `method` is
            wrong; half of mixed are. All but random are drawn evenly over the kinds of modification.
        seed: another one draws other queries.
        ids: of these queries instead, in this order.
    """

    method: str = "hybrid"
    against: str | None = None
    queries: int = 20
    results: int = 5
    choose: str = "mixed"
    seed: int = 0
    ids: tuple[str, ...] = ()

    @property
    def methods(self) -> list[str]:
        return [self.method, *([] if self.against is None else [self.against])]


def write_sheet(params: Params, paths: Paths, dataset: str, choice: Choice, look: Look, out: Path) -> None:
    """Draw test queries with their results into `out`, a JPEG or a PNG by its ending.

    Raises:
        UserError: a table or an image is missing or was made from anything else; there is no such method or
            query, or nothing to choose from; the picture cannot be drawn or written.
    """
    if out.suffix.lower() not in _FORMATS:
        endings = f"Let it end in {', '.join(_FORMATS)}"
        raise UserError("no picture is written in this format", endings, field="--out", value=out)
    if choice.choose not in _WAYS:
        mend = f"{perhaps(choice.choose, _WAYS)}Use one of {', '.join(_WAYS)}"
        raise UserError("queries are not chosen so", mend, field="--choose", value=choice.choose)
    expected = Expected(params, paths)
    table = pl.DataFrame(rankings(expected, dataset, ["query_id", "kind", "method", "rank"]))
    _refuse_unknown_methods(choice, table["method"].unique().sort().to_list())
    ranked = table.filter(method=choice.method)
    ids = _named(choice.ids, ranked, paths.rankings(dataset)) if choice.ids else drawn(choice, ranked)
    cards = _cards(expected, dataset, ids, choice)
    picture = draw(cards, _note(dataset, cards, table, choice), look)
    kind, options = _FORMATS[out.suffix.lower()]
    with replacing(out) as temporary:
        picture.save(temporary, kind, **options)
    size = shown_bytes(out.stat().st_size)
    print(f"{out}: {len(cards)} of {ranked.height:,} queries, {picture.width} x {picture.height}, {size}")


def _refuse_unknown_methods(choice: Choice, known: Sequence[str]) -> None:
    for field, name in zip(("--method", "--against"), choice.methods, strict=False):
        if name not in known:
            mend = f"{perhaps(name, known)}Use one of {', '.join(known)}"
            raise UserError("the rankings have no such method", mend, field=field, value=name)
    if choice.against == choice.method:
        raise UserError("a method stands beside itself", "Name another one", field="--against", value=name)


def _named(ids: Iterable[str], ranked: pl.DataFrame, file: Path) -> list[str]:
    known = set(ranked["query_id"])
    for query_id in ids:
        if query_id not in known:
            mend = f"{perhaps(query_id, sorted(known))}Name an id of the rankings; they are of the test split"
            raise UserError("there is no such query", mend, file=file, field="--id", value=query_id)
    return list(dict.fromkeys(ids))


def drawn(choice: Choice, ranked: pl.DataFrame) -> list[str]:
    """Query ids as `choose` says, those of one kind of modification beside each other.

    Args:
        ranked: `query_id`, `kind` and `rank` of every test query, by `choice.method`.

    Raises:
        UserError: there is none to choose from.
    """
    random = Random(choice.seed)
    if choice.choose == "random":
        every = sorted(ranked["query_id"])
        found = random.sample(every, min(choice.queries, len(every)))
    else:
        failures, successes = (
            _evenly(ranked.filter(right).select("query_id", "kind"), random)
            for right in (pl.col("rank") > 1, pl.col("rank") == 1)
        )
        half = max(
            choice.queries // 2, choice.queries - len(successes)
        )  # where one kind is rare, more others
        found = {
            "failures": failures,
            "successes": successes,
            "mixed": failures[:half] + successes[: choice.queries - min(half, len(failures))],
        }[choice.choose][: choice.queries]
    if not found:
        reason = f"{choice.method} has no {choice.choose} here"
        raise UserError(reason, "Use --choose mixed", field="--choose", value=choice.choose)
    shown = ranked.filter(pl.col("query_id").is_in(found)).sort("kind", "query_id")
    return shown["query_id"].to_list()


def _evenly(rows: pl.DataFrame, random: Random) -> list[str]:
    """All ids in random order, one of each kind after the other as long as there are any."""
    kinds = [sorted(of["query_id"]) for _, of in sorted(rows.group_by("kind"), key=lambda group: group[0])]
    for ids in (kinds, *kinds):
        random.shuffle(ids)
    return [query_id for query_id in chain.from_iterable(zip_longest(*kinds)) if query_id is not None]


def _cards(expected: Expected, dataset: str, ids: Sequence[str], choice: Choice) -> list[Card]:
    paths = expected.paths
    columns = ["query_id", "reference_id", "target_id", "target_ids", "modification", "kind"]
    queries = _by_key(
        read_some(paths.pairs(dataset), PAIRS, "query_id", ids, columns, expected.pairs(dataset)), "query_id"
    )
    columns = ["query_id", "text", "status", "error"]
    file, expect = paths.pseudo_captions(dataset), expected.pseudo_captions(dataset)
    captions = _by_key(read_some(file, PSEUDO_CAPTIONS, "query_id", ids, columns, expect), "query_id")
    columns = ["query_id", "method", "rank", "top"]
    file, expect = paths.rankings(dataset), shown_rankings(expected, dataset)
    found = pl.DataFrame(read_some(file, RANKINGS, "query_id", ids, columns, expect))
    found = found.filter(pl.col("method").is_in(choice.methods))
    found = found.with_columns(pl.col("top").list.head(choice.results))
    answers = found.rows_by_key(["query_id", "method"], named=True, unique=True)
    named = {image_id for row in answers.values() for image_id in row["top"]}
    named |= {query[name] for query in queries.values() for name in ("reference_id", "target_id")}
    file, expect = paths.images(dataset), expected.corpus(dataset)
    images = _by_key(
        read_some(file, IMAGES, "image_id", named, ["image_id", "path", "sha256"], expect), "image_id"
    )
    rows = {(query_id, method) for query_id in ids for method in choice.methods}
    if unknown := {
        *(set(ids) - queries.keys()),
        *(named - images.keys()),
        *(map(str, rows - answers.keys())),
    }:
        reason = "the rankings do not fit the queries and images of the corpus"
        mend = remedy("evaluate", dataset)
        raise UserError(reason, mend, file=paths.rankings(dataset), value=min(unknown))

    def picture(image_id: str, query: Mapping[str, Any]) -> Picture:
        image = images[image_id]
        right = image_id in (query["target_id"], *query["target_ids"])
        return Picture(paths.root / image["path"], image["sha256"], right)

    def card(query_id: str) -> Card:
        query, rows = queries[query_id], []
        for method in choice.methods:
            answer = answers[query_id, method]
            rows.append(Row(method, answer["rank"], [picture(each, query) for each in answer["top"]]))
        return Card(
            name=f"{query['kind']} · {query_id}",
            modification=query["modification"],
            caption=said(captions.get(query_id, {})),
            reference=picture(query["reference_id"], query),
            wanted=picture(query["target_id"], query),
            rows=rows,
        )

    return [card(query_id) for query_id in ids]


def _by_key(table: pa.Table, key: str) -> dict[Any, dict[str, Any]]:
    return pl.DataFrame(table).rows_by_key(key, named=True, unique=True)


def _note(dataset: str, cards: Sequence[Card], table: pl.DataFrame, choice: Choice) -> str:
    """What the picture shows, and of how many: a reader must not take chosen queries for the average."""
    count = table.filter(method=choice.method).height
    wrong = sum(card.rows[0].rank > 1 for card in cards)
    how = "chosen by hand" if choice.ids else "drawn at random" if choice.choose == "random" else "chosen"
    rates = []
    for method in choice.methods:
        share = table.filter(method=method).select((pl.col("rank") == 1).mean()).item()
        rates.append(f"{method} {100 * share:.1f}%")
    return (
        f"{len(cards)} of the {count:,} test queries of {dataset}, {how}: for {wrong} of them the first "
        f"result of {choice.method} is wrong. First result right, over all {count:,}: {', '.join(rates)}. "
        "Grey frame: the reference. Green frame: a right answer. Small text: the pseudo caption."
    )

"""`lempo sheet`: which queries it draws, and what stands where in the picture."""

import logging
import os
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from lempo.sheet import Choice, drawn, write_sheet
from lempo.sheet_drawing import GREEN, GREY, Card, Font, Layout, Look, Picture, Row, draw
from pipeline.base.errors import UserError
from tests.finished import Finished, finish

RED, BLUE, WHITE = (200, 30, 30), (40, 60, 200), (255, 255, 255)
LOOK = Look(side=60)


def _picture(folder: Path, colour: tuple[int, int, int], right: bool, size: tuple[int, int]) -> Picture:
    file = folder / f"{colour}-{size}.png"
    Image.new("RGB", size, colour).save(file)
    return Picture(file, sha256(file.read_bytes()).hexdigest(), right)


@pytest.fixture
def card(tmp_path: Path) -> Card:
    """A query whose second result is right."""
    right, wrong = (_picture(tmp_path, BLUE, right, (64, 64)) for right in (True, False))
    reference = _picture(tmp_path, RED, False, (64, 64))
    return Card(
        "add · q1", "add a pond", "A park with a pond.", reference, right, [Row("hybrid", 2, [wrong, right])]
    )


def _tops(sheet: Image.Image, layout: Layout) -> list[int]:
    """Where each card's first row of pictures begins: at the left edge stand the references' frames."""
    x = layout.margin + layout.frame // 2
    column = [sheet.getpixel((x, y)) == GREY for y in range(sheet.height)]
    starts = [y for y in range(1, sheet.height) if column[y] and not column[y - 1]]
    ends = [y for y in range(1, sheet.height) if column[y - 1] and not column[y]]
    high = layout.side + 2 * layout.frame
    return [y + layout.frame for y, end in zip(starts, ends, strict=True) if end - y == high]


def _frames(sheet: Image.Image, layout: Layout, left: int, top: int, at: tuple[int, int]) -> set[object]:
    """The colours of a picture's frame: the middle of each edge, one pixel off the picture."""
    x, y = left + at[0], top - layout.label_height + at[1]
    middle, last = layout.side // 2, layout.side
    places = ((x - 1, y + middle), (x + middle, y - 1), (x + last, y + middle), (x + middle, y + last))
    return {sheet.getpixel(place) for place in places}


def _inside(sheet: Image.Image, layout: Layout, left: int, top: int, at: tuple[int, int]) -> object:
    middle = layout.side // 2
    return sheet.getpixel((left + at[0] + middle, top - layout.label_height + at[1] + middle))


@pytest.mark.parametrize("columns", [1, 2])
def test_frames_stand_around_the_reference_and_the_right_answers(card: Card, columns: int) -> None:
    look = replace(LOOK, columns=columns)
    sheet, layout = draw([card, card, card], "A note.", look), Layout(look, rows=1, results=2)
    assert sheet.width == layout.total_width
    tops = _tops(sheet, layout)
    assert len(tops) == {1: 3, 2: 2}[columns]
    for number in range(3):
        row, column = divmod(number, columns)
        left = layout.margin + column * (layout.width + 2 * layout.margin)
        where = (sheet, layout, left, tops[row])
        assert _frames(*where, layout.asked(0)) == {GREY} and _inside(*where, layout.asked(0)) == RED
        assert _frames(*where, layout.asked(1)) == {GREEN} and _inside(*where, layout.asked(1)) == BLUE
        assert not _frames(*where, layout.result(0, 0)) & {GREEN, GREY}
        assert _inside(*where, layout.result(0, 0)) == BLUE
        assert _frames(*where, layout.result(0, 1)) == {GREEN}


def test_a_second_method_stands_below_the_first_and_the_wanted_image_below_the_reference(card: Card) -> None:
    (found,) = card.rows
    other = Row("image_only", 1, list(reversed(found.results)))
    sheet, layout = draw([replace(card, rows=[found, other])], "", LOOK), Layout(LOOK, rows=2, results=2)
    (top,) = _tops(sheet, layout)
    where = (sheet, layout, layout.margin, top)
    assert layout.asked(0)[0] == layout.asked(1)[0]
    assert [_frames(*where, layout.asked(n)) for n in (0, 1)] == [{GREY}, {GREEN}]
    assert _frames(*where, layout.result(0, 1)) == _frames(*where, layout.result(1, 0)) == {GREEN}
    assert GREEN not in _frames(*where, layout.result(0, 0)) | _frames(*where, layout.result(1, 1))


def test_a_picture_is_shown_whole_and_upright(card: Card, tmp_path: Path) -> None:
    wide = _picture(tmp_path, RED, False, (80, 20))
    turned = tmp_path / "turned.jpg"
    image, exif = Image.new("RGB", (80, 40), RED), Image.Exif()
    image.paste(BLUE, (0, 0, 40, 40))
    exif[0x0112] = 6  # the left edge is the top
    image.save(turned, exif=exif, quality=95)
    upright = Picture(turned, sha256(turned.read_bytes()).hexdigest(), False)
    sheet = draw([replace(card, reference=wide, wanted=upright)], "", LOOK)
    layout = Layout(LOOK, rows=1, results=2)
    (top,) = _tops(sheet, layout)
    left = layout.margin + layout.asked(0)[0]
    column = [sheet.getpixel((left + 30, top + y)) for y in range(60)]
    assert [y for y in range(60) if column[y] == RED] == [*range(22, 37)]
    left = layout.margin + layout.asked(1)[0]
    above, below = (sheet.getpixel((left + 30, top + y)) for y in (8, 52))
    assert above[2] > 150 > above[0] and below[0] > 150 > below[2]  # type: ignore[index]


def test_every_text_is_inside_its_card(card: Card) -> None:
    """Ink beside a card would show in the margin; lines beyond those of a text, in its height."""
    long = replace(card, modification="remove " * 200, caption="x" * 3000, name="add · " + "long-id-" * 40)
    look, layout = replace(LOOK, columns=2), Layout(replace(LOOK, columns=2), rows=1, results=2)
    sheet = draw([long, long], "", look)
    for x in (layout.margin // 2, layout.margin * 2 + layout.width, sheet.width - layout.margin // 2):
        beside = [y for y in range(sheet.height) if sheet.getpixel((x, y)) != WHITE]
        assert len(beside) <= 1  # the line between cards
    assert sheet.height < 900


def test_a_long_text_is_wrapped_and_cut_with_an_ellipsis() -> None:
    font, text = Font(None), "an airfield with three large white airplanes\nat the left"
    whole = font.wrapped(text, 16, 150, 9)
    assert " ".join(whole) == " ".join(text.split())
    cut = font.wrapped(text, 16, 150, 2)
    assert len(cut) == 2 and cut[0] == whole[0] and cut[1].endswith("…")
    letters = font.wrapped("w" * 60, 16, 150, 9)
    assert "".join(letters) == "w" * 60 and len(letters) > 3
    assert all(font.size(16).getlength(line) <= 150 for line in (*whole, *cut, *letters))


def test_letters_that_the_font_lacks_are_named(card: Card, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lempo.sheet_drawing"):
        draw([card], "A note.", LOOK)
        assert not caplog.messages
        draw([replace(card, caption="Ein Weg über дом")], "A note.", LOOK)
    (said,) = caplog.messages
    assert "no ü д м о:" in said and "--font" in said


def _ranked(ranks: dict[str, list[int]]) -> pl.DataFrame:
    rows = [
        {"query_id": f"{kind}-{number:02}", "kind": kind, "rank": rank}
        for kind, of in ranks.items()
        for number, rank in enumerate(of)
    ]
    return pl.DataFrame(rows)


MANY = _ranked({"add": [1] * 30 + [2] * 30, "move": [1] * 5 + [9] * 5, "count": [3] * 8})


def test_half_of_mixed_are_failures_and_kinds_are_drawn_evenly() -> None:
    ranks = dict(zip(MANY["query_id"], MANY["rank"], strict=True))
    ids = drawn(Choice(queries=20), MANY)
    assert len(set(ids)) == 20 and sum(ranks[each] > 1 for each in ids) == 10
    failed = Counter(each.split("-")[0] for each in ids if ranks[each] > 1)
    assert sorted(failed.values()) == [3, 3, 4]
    assert Counter(each.split("-")[0] for each in ids if ranks[each] == 1) == {"add": 5, "move": 5}
    assert ids == sorted(ids)
    few = drawn(Choice(queries=20), _ranked({"add": [1] * 30 + [4]}))
    assert len(few) == 20 and "add-30" in few
    many = drawn(Choice(queries=20), _ranked({"add": [1] + [4] * 30}))
    assert len(many) == 20 and "add-00" in many


@pytest.mark.parametrize(("choose", "right"), [("failures", {False}), ("successes", {True})])
def test_failures_and_successes(choose: str, right: set[bool]) -> None:
    ranks = dict(zip(MANY["query_id"], MANY["rank"], strict=True))
    ids = drawn(Choice(queries=12, choose=choose), MANY)
    assert len(ids) == 12 and {ranks[each] == 1 for each in ids} == right
    assert len(drawn(Choice(queries=500, choose=choose), MANY)) == {"failures": 43, "successes": 35}[choose]
    with pytest.raises(UserError, match=f"hybrid has no {choose} here.*--choose mixed"):
        drawn(Choice(choose=choose), _ranked({"add": [1 if choose == "failures" else 2]}))


@pytest.mark.parametrize("choose", ["mixed", "failures", "successes", "random"])
def test_a_seed_draws_the_same_queries_whatever_the_order_of_the_rows(choose: str) -> None:
    choice = Choice(queries=9, choose=choose)
    ids = drawn(choice, MANY)
    assert ids == drawn(choice, MANY.reverse()) == drawn(choice, MANY.sample(fraction=1, shuffle=True))
    assert ids != drawn(replace(choice, seed=1), MANY)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finish(tmp_path_factory.mktemp("finished") / "project")


def _write(project: Finished, out: Path, look: Look = LOOK, **choice: object) -> bytes:
    write_sheet(project.params, project.paths, "parks", Choice(**choice), look, out)  # type: ignore[arg-type]
    return out.read_bytes()


def test_the_sheet_shows_what_the_rankings_say(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = ("8", "6", "7")
    _write(finished, tmp_path / "new/a.png", ids=ids, method="image_only", against="hybrid")
    assert "a.png: 3 of 3 queries, " in capsys.readouterr().out
    sheet = Image.open(tmp_path / "new/a.png")
    ranked = pl.read_parquet(finished.paths.rankings("parks"))
    right = {"6": {"test-green"}, "7": {"test-blue"}, "8": {"test-green", "test-blue"}}
    layout = Layout(LOOK, rows=2, results=2)
    for query_id, top in zip(ids, _tops(sheet, layout), strict=True):
        for row, method in enumerate(("image_only", "hybrid")):
            (found,) = ranked.filter(query_id=query_id, method=method)["top"].to_list()
            assert len(found) == 2
            for place, image_id in enumerate(found):
                at = layout.result(row, place)
                framed = _frames(sheet, layout, layout.margin, top, at) == {GREEN}
                assert framed == (image_id in right[query_id])
                colour = Image.open(finished.paths.root / f"in/parks/images/{image_id}.png").getpixel((0, 0))
                assert _inside(sheet, layout, layout.margin, top, at) == colour


def test_the_same_tables_give_the_same_bytes(finished: Finished, tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        assert _write(finished, tmp_path / name) == _write(finished, tmp_path / name)
    assert _write(finished, tmp_path / "a.JPEG") == _write(finished, tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"method": "hybird"}, r"'--method'.*no such method.*Did you mean 'hybrid'\? Use one of chance"),
        ({"against": "image"}, r"'--against'.*no such method"),
        ({"against": "hybrid"}, "'--against'.*beside itself"),
        ({"choose": "failure"}, r"'--choose'.*Did you mean 'failures'\?"),
        ({"ids": ("6", "66")}, r"'--id'.*no such query \(got '66'\).*Did you mean '6'\?.*test split"),
        ({"ids": ("0",)}, "'--id'.*no such query.*test split"),
        ({"out": "a.gif"}, r"'--out'.*in this format.*\.png"),
        ({"look": Look(font=Path("params.yaml"))}, r"params.yaml: the font cannot be read"),
        ({"look": Look(font=Path("no.ttf"))}, r"no.ttf: the font cannot be read"),
    ],
)
def test_mistakes_are_named(finished: Finished, tmp_path: Path, choice: dict[str, object], said: str) -> None:
    out, look = tmp_path / str(choice.pop("out", "a.png")), choice.pop("look", LOOK)
    with pytest.raises(UserError, match=said):
        _write(finished, out, look, **choice)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_sheet_that_other_programs_refuse_is_refused(card: Card) -> None:
    with pytest.raises(UserError, match=r"too large.*x \d+ pixels.*Lower --queries"):
        draw([card] * 400, "", LOOK)


def test_an_image_that_has_changed_or_is_gone_is_named(finished: Finished, tmp_path: Path) -> None:
    copy = finished.copy(tmp_path / "project")
    file = copy.paths.root / "in/parks/images/test-red.png"
    Image.new("RGB", (40, 30), BLUE).save(file)
    with pytest.raises(UserError, match=r"test-red.png: an image of the corpus has changed"):
        _write(copy, tmp_path / "a.png")
    file.unlink()
    with pytest.raises(UserError, match=r"test-red.png: an image of the corpus can no longer be read"):
        _write(copy, tmp_path / "a.png")
    os.mkfifo(file)  # to read it would never end
    with pytest.raises(UserError, match=r"can no longer be read: .*no regular file"):
        _write(copy, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()

"""DOTA files as people publish them: every habit costs what it must and no more."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.corpus.dota import KIND
from tests.pipeline.corpus.annotated import read

FILE = "labelTxt/a.txt"
LINE = "10.0 20 40 20 40 45 10 45 small-vehicle 0"
BOX = ("small-vehicle", (10.0, 20.0, 30.0, 25.0))


@pytest.mark.parametrize(
    ("text", "expected", "counts"),
    [
        (LINE, [BOX], {}),
        ("", [], {}),
        ("\n\n", [], {}),
        ("imagesource:GoogleEarth\ngsd:0.14\n" + LINE, [BOX], {}),
        ("imagesource:GoogleEarth\r\ngsd:null\r\n" + LINE + "\r\n", [BOX], {}),
        ("\ufeff" + LINE, [BOX], {}),
        (LINE.replace(" ", ","), [BOX], {}),
        (LINE.removesuffix(" 0"), [BOX], {}),
        (LINE.replace("small-vehicle", "storage tank"), [("storage tank", BOX[1])], {}),
        (LINE[:-1] + "1", [BOX], {"difficult_boxes": 1}),
        (LINE[:-1] + "9" * 5000, [BOX], {"difficult_boxes": 1}),
        (LINE[:-1] + "2.0", [BOX], {"difficult_boxes": 1}),
        (LINE[:-1] + "0.0", [BOX], {}),
        (LINE[:-1] + "-1", [BOX], {}),
        ("-5 -5 40 -5 40 45 -5 45 ship 0", [("ship", (-5.0, -5.0, 45.0, 50.0))], {}),
        ("110 20 140 20 140 45 110 45 ship 0", [], {"boxes_left_out": 1}),
        ("10 20 40 20 40 20 10 20 ship 0", [], {"boxes_left_out": 1}),
        ("10 10 20 20 30 30 40 40 ship 0", [], {"boxes_left_out": 1}),
        ("nan 20 40 20 40 45 10 45 ship 0", [], {"boxes_left_out": 1}),
        ("inf 20 40 20 40 45 10 45 ship 0", [], {"boxes_left_out": 1}),
        ("10 20 40 20 40 45 ship 0\n" + LINE, [BOX], {"boxes_left_out": 1}),
        ("10 20 40 20 40 45 10 45 a\u202eb 0\n" + LINE, [BOX], {"boxes_left_out": 1}),
    ],
)
def test_one_line_costs_itself_at_most(
    text: str, expected: list[Any], counts: dict[str, int], tmp_path: Path
) -> None:
    result = read(KIND, tmp_path, {FILE: text})
    assert (result.boxes("a"), result.counts, result.reasons) == (expected, counts, [])
    assert list(result.found) == ["a"]


def test_corners_keep_their_order(tmp_path: Path) -> None:
    found = read(KIND, tmp_path, {FILE: "20 10 60 30 50 50 10 30 ship 0"}).found["a"].boxes
    assert found is not None and found[0].oriented
    assert found[0].outline == ((20, 10), (60, 30), (50, 50), (10, 30))


def test_the_header_becomes_columns(tmp_path: Path) -> None:
    header = "'acquisition dates':2018-06-03\nimagesource:GF-2\ngsd:0.81\n".replace(
        "'acquisition dates'", "date"
    )
    result = read(KIND, tmp_path, {FILE: header + LINE, "labelTxt/b.txt": "gsd:far\n" + LINE})
    assert result.found["a"].extras == {"date": "2018-06-03", "imagesource": "GF-2", "gsd": 0.81}
    assert result.found["b"].extras == {} and result.counts == {"extras_left_out": 1}


def test_the_published_layout(tmp_path: Path) -> None:
    files = {
        "train/labelTxt-v1.0/labelTxt/P1.txt": LINE,
        "val/labelTxt-v1.0/labelTxt/P1.txt": "",
        "README.txt": "x",
    }
    named = ("train/images/P1.png", "val/images/P1.png", "test/images/P2.png")
    result = read(KIND, tmp_path, files, named)
    assert {said.split for said in result.found.values()} == {"train", "val", "test"}
    assert result.boxes("train/images/P1") == [BOX] and result.found["val/images/P1"].boxes == []
    assert result.found["test/images/P2"].boxes is None and not result.counts


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\xff\xfe\x00", "the file is neither UTF-8 nor UTF-16"), (b"10 \xff", "the file is neither UTF-8")],
)
def test_a_file_in_another_encoding_is_a_reject(data: bytes, reason: str, tmp_path: Path) -> None:
    result = read(KIND, tmp_path, {FILE: data, "labelTxt/b.txt": LINE.encode("utf-16")})
    assert list(result.found) == ["b"] and result.reasons[0].startswith(reason)


def test_a_file_without_its_image_is_a_reject(tmp_path: Path) -> None:
    result = read(KIND, tmp_path, {"labelTxt/c.txt": LINE})
    assert result.reasons == ["there is no usable image of this name"] and not result.found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=60)
    | st.text(alphabet="01289.:-eE, \n\x00axé\u2028²", max_size=60).map(str.encode)
)
def test_any_bytes_are_read_or_rejected(data: bytes, tmp_path: Path) -> None:
    result = read(KIND, tmp_path, {FILE: LINE.encode() + b"\n" + data})
    assert len(result.found) + len(result.rejects.rows) == 1

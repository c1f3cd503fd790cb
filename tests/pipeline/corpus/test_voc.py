"""VOC files as people publish them: every habit costs what it must and no more."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.base.errors import UserError
from pipeline.corpus.voc import KIND
from tests.pipeline.corpus.annotated import POINTER, read
from tests.pipeline.corpus.test_registry import shared_archive

FILE = "annotations/a.xml"
BOX = ("car", (10.0, 20.0, 30.0, 25.0))
BNDBOX = "<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>40</xmax><ymax>45</ymax></bndbox>"
OBJECT = f"<object><name>car</name><difficult>0</difficult>{BNDBOX}</object>"


def voc(inside: str = OBJECT, filename: str = "a.png") -> str:
    return f"<annotation><folder>images</folder><filename>{filename}</filename>{inside}</annotation>"


def obj(inside: str, name: str = "car") -> str:
    return voc(f"<object><name>{name}</name>{inside}</object>")


def fair1m(*points: str) -> str:
    """As FAIR1M writes an object."""
    listed = "".join(f"<point>{point}</point>" for point in points)
    named = "<possibleresult><name>car</name></possibleresult>"
    return voc(f"<objects><object>{named}<points>{listed}</points></object></objects>")


def bndbox(*values: object) -> str:
    ends = zip(("xmin", "ymin", "xmax", "ymax"), values, strict=True)
    return obj("<bndbox>" + "".join(f"<{end}>{value}</{end}>" for end, value in ends) + "</bndbox>")


@pytest.mark.parametrize(
    ("contents", "expected", "counts"),
    [
        (voc(), [BOX], {}),
        (voc(""), [], {}),
        (voc(OBJECT * 2), [BOX, BOX], {}),
        (bndbox("1.5e1", " 20.25\n", 40, 45), [("car", (15.0, 20.25, 25.0, 24.75))], {}),
        (bndbox(40, 45, 10, 20), [BOX], {}),
        (bndbox(-5, -5, 40, 45), [("car", (-5.0, -5.0, 45.0, 50.0))], {}),
        (bndbox(90, 70, 130, 95), [("car", (90.0, 70.0, 40.0, 25.0))], {}),
        (bndbox(110, 20, 140, 45), [], {"boxes_left_out": 1}),
        (bndbox(10, 20, 10, 45), [], {"boxes_left_out": 1}),
        (bndbox("nan", 20, 10, 45), [], {"boxes_left_out": 1}),
        (bndbox("", 20, 10, 45), [], {"boxes_left_out": 1}),
        (bndbox("ten", 20, 10, 45), [], {"boxes_left_out": 1}),
        (obj(""), [], {"boxes_left_out": 1}),
        (obj(BNDBOX, name=" "), [], {"boxes_left_out": 1}),
        (obj(BNDBOX, name="x" * 200), [], {"boxes_left_out": 1}),
        (obj(BNDBOX, name="Storage_Tank-2"), [("Storage_Tank-2", BOX[1])], {}),
        (obj(f"<difficult>1</difficult><truncated>1</truncated>{BNDBOX}"), [BOX], {"difficult_boxes": 1}),
        (obj(f"<part><name>wing</name>{BNDBOX}</part>{BNDBOX}"), [BOX], {}),
        (obj("<polygon><x1>10</x1><y1>20</y1><x2>40</x2><y2>20</y2><x3>40</x3><y3>45</y3></polygon>"),
         [BOX], {}),
        (obj("<polygon><pt><x>10</x><y>20</y></pt><pt><x>40</x><y>20</y></pt><pt><x>9</x><y>45</y></pt>"
             "</polygon>"), [("car", (9.0, 20.0, 31.0, 25.0))], {}),
        (obj("<robndbox><cx>25</cx><cy>30</cy><w>30</w><h>20</h><angle>0</angle></robndbox>"),
         [("car", (10.0, 20.0, 30.0, 20.0))], {}),
        (fair1m("10.0,20.0", "40.0,20.0", "40.0,45.0", "10.0,45.0", "10.0,20.0"), [BOX], {}),
        (fair1m("10.0,20.0", "40.0", "40.0,45.0"), [], {"boxes_left_out": 1}),
        (fair1m(), [], {"boxes_left_out": 1}),
        (voc(OBJECT + "<size><width>0</width><height>0</height></size>"), [BOX], {}),
        (voc(OBJECT + "<size><width>100</width><height>80</height><depth>3</depth></size>"), [BOX], {}),
    ],
)  # fmt: skip
def test_one_object_costs_itself_at_most(
    contents: str, expected: list[Any], counts: dict[str, int], tmp_path: Path
) -> None:
    result = read(KIND, tmp_path, {FILE: contents})
    assert (result.boxes("a"), result.counts, result.reasons) == (expected, counts, [])
    assert list(result.found) == ["a"]


@pytest.mark.parametrize(
    "turned",
    [
        "<robndbox><cx>50</cx><cy>40</cy><w>40</w><h>10</h><angle>1.5707963</angle></robndbox>",
        "<bndbox><xmin>30</xmin><ymin>35</ymin><xmax>70</xmax><ymax>45</ymax></bndbox><attributes><attribute>"
        "<name>rotation</name><value>90.0</value></attribute></attributes>",
    ],
)
def test_an_oriented_box_turns_clockwise(turned: str, tmp_path: Path) -> None:
    found = read(KIND, tmp_path, {FILE: obj(turned)}).found["a"].boxes
    assert found is not None and found[0].oriented
    assert [(round(x), round(y)) for x, y in found[0].outline] == [(55, 20), (55, 60), (45, 60), (45, 20)]


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (
            voc(OBJECT + "<size><width>50</width><height>40</height></size>"),
            "the annotations are of an image of",
        ),
        ("", "the file is no XML"),
        ("<annotation>", "the file is no XML"),
        ("<annotations/>", "the root of the file is not 'annotation'"),
        ('<?xml version="1.0" encoding="no-such"?>' + voc(), "the file is in an encoding"),
        ('<?xml version="1.0" encoding="gb2312"?>' + voc(), "the file is in an encoding"),
        (POINTER, "the file is a git-LFS pointer"),
        ("<a>" * 60, "the XML is more than 50 elements deep"),
        ('<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]>' + voc("&c;"), "the XML defines entities"),
        ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + voc("&b;"), "the XML defines entities"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_reject(contents: str, reason: str, tmp_path: Path) -> None:
    result = read(KIND, tmp_path, {FILE: contents, "annotations/b.xml": voc()})
    assert list(result.found) == ["b"] and result.reasons[0].startswith(reason) and len(result.reasons) == 1
    assert result.rejects.rows[0]["file"].endswith(FILE)


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + voc().encode(),
        ('<?xml version="1.0" encoding="UTF-16"?>' + voc()).encode("utf-16"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?>' + obj(BNDBOX, "caf\xe9")).encode("latin-1"),
        voc().replace(">", ">\r\n").encode(),
    ],
)
def test_encodings_and_line_ends(data: bytes, tmp_path: Path) -> None:
    assert [box for _, box in read(KIND, tmp_path, {FILE: data}).boxes()] == [BOX[1]]


def test_the_image_is_that_of_the_file_s_own_name(tmp_path: Path) -> None:
    """What is written in the file is often left from before a person renamed both."""
    files = {FILE: voc(filename="b.png"), "annotations/x.xml": voc(filename="C:\\old\\B.PNG")}
    result = read(KIND, tmp_path, files)
    assert set(result.found) == {"a", "b"} and result.counts == {"names_disagree": 1}


def test_two_files_of_one_image_give_one(tmp_path: Path) -> None:
    result = read(KIND, tmp_path, {FILE: voc(), "annotations/other.xml": voc("")})
    assert result.boxes() == [BOX] and result.reasons[0].startswith("the image is described twice")


def test_the_published_layout_with_its_lists(tmp_path: Path) -> None:
    files = {
        "Annotations/a.xml": voc(filename="a.jpg"),
        "ImageSets/Main/train.txt": "a\r\nmissing\r\n",
        "ImageSets/Main/test.txt": "\ufeffb\n",
        "ImageSets/Main/val.txt": "a\n",
        "ImageSets/Main/trainval.txt": "a\nc\n",
        "ImageSets/Main/car_train.txt": "b -1\n",
    }
    named = ("JPEGImages/a.jpg", "JPEGImages/b.jpg", "JPEGImages/c.jpg", "JPEGImages/d.jpg")
    result = read(KIND, tmp_path, files, named)
    assert {said.image_id[-1]: said.split for said in result.found.values()} == {
        "a": "train",
        "b": "test",
        "c": "train",
    }
    assert result.counts == {"splits_disagree": 1} and result.found["JPEGImages/b"].boxes is None


def test_a_list_of_a_split_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Without it images that are to be tested would be known from training."""
    with pytest.raises(UserError, match=r"test\.txt.*neither UTF-8"):
        read(KIND, tmp_path, {FILE: voc(), "ImageSets/Main/test.txt": b"\xff\xff"})


def test_further_values_and_attributes(tmp_path: Path) -> None:
    inside = (
        "<source><database>Google Earth</database><image>flickr</image><annotation>Unspecified</annotation>"
        "</source>"
        "<segmented>0</segmented><owner><name>me</name></owner><gsd>0.5</gsd><location>Prague</location>"
        f"<object><name>car</name>{BNDBOX}<attributes><attribute><name>colour</name><value>red</value></attribute>"
        "<attribute><name>parked</name><value>True</value></attribute></attributes></object>"
    )
    said = read(KIND, tmp_path, {FILE: voc(inside)}).found["a"]
    assert said.place == "Prague" and said.boxes is not None and said.boxes[0].attributes == ("red", "parked")
    assert said.extras == {
        "location": "Prague", "gsd": 0.5, "source_database": "Google Earth", "source_image": "flickr",
    }  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(0, 400),
    cut=st.integers(0, 20),
    put=st.binary(max_size=6)
    | st.sampled_from([b"<object>", b"</name>", b"&amp;", b"1e999", b"&#0;", b"<![CDATA["]),
)
def test_any_bytes_are_read_or_rejected(at: int, cut: int, put: bytes, tmp_path: Path) -> None:
    whole = voc(OBJECT + "<size><width>100</width><height>80</height></size>").encode()
    result = read(KIND, tmp_path, {FILE: whole[:at] + put + whole[at + cut :]})
    assert len(result.found) + len(result.rejects.rows) == 1


def test_the_tennis_courts_are_read_whole() -> None:
    result = shared_archive("tennis-courts")
    assert sum(len(said.boxes or ()) for said in result.found.values()) == 554
    assert len(result.found) == 184 and not result.rejects.rows and not result.counts

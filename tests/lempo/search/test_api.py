"""The JSON API, asked as programs and as hostile pages would ask it."""

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from lempo.search.api import make_app
from lempo.search.messages import MOST_HITS, SearchRequest, chosen_weights, described, plain
from lempo.search.pictures import Pictures
from tests.lempo.search.toy_index import TERMS, ToyIndex

HOSTILE = ("<img src=x onerror=hit()>.png", "a'b\"c&amp;.png", "läge 東京 #1?.png", "..\\..\\etc.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(20):
        Image.new("RGB", (40, 30), (12 * number, 255 - 12 * number, 80)).save(folder / f"{number:02}.png")
    for name in HOSTILE:
        Image.new("RGB", (8, 8), (220, 40, 40)).save(folder / name)
    ramp = np.linspace(0, 60000, 64 * 32).astype(np.uint16).reshape(32, 64)
    Image.fromarray(ramp).save(folder / "deep.tif")
    turned = Image.new("RGB", (30, 10), (0, 0, 200))
    turned.save(folder / "turned.jpg", exif=_turned())
    (folder / "broken.png").write_bytes((folder / "00.png").read_bytes()[:60])
    return folder


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.fixture(scope="module")
def index(folder: Path) -> ToyIndex:
    return ToyIndex(folder)


@pytest.fixture(scope="module")
def client(index: ToyIndex) -> Iterator[TestClient]:
    with TestClient(make_app(index, most_bytes=200_000), base_url="http://127.0.0.1:8017") as client:
        yield client


def _error(response: Any, status: int) -> dict[str, str]:
    assert response.status_code == status, response.text
    error: dict[str, str] = response.json()["error"]
    assert error["message"] and error["reason"]
    return error


def test_a_search_by_json_gives_hits_with_shares_that_add_up(client: TestClient) -> None:
    answer = client.post("/api/search", json={"image_id": "00.png", "text": "red", "k": 5}).json()
    assert len(answer["hits"]) == 5
    assert "00.png" not in [hit["image_id"] for hit in answer["hits"]]
    for hit in answer["hits"]:
        assert sum(hit["shares"].values()) == pytest.approx(hit["score"])
        assert hit["columns"]["bounds"]["top"] == 3.0
    assert answer["pseudo_caption"] == "An aerial image with red."


def test_an_uploaded_image_is_the_reference_with_the_other_fields_as_text(
    client: TestClient, index: ToyIndex, folder: Path
) -> None:
    graph = {"objects": [], "relationships": []}
    form = {
        "text": "red", "k": "3", "where": "place = 'place 1'", "graph": json.dumps(graph),
        "weights": '{"triplet": 0.6, "language": 0.2}', "similarities": '["triplet", "language"]',
    }  # fmt: skip
    file = {"image": ("x.png", (folder / "03.png").read_bytes(), "image/png")}
    answer = client.post("/api/search", data=form, files=file).json()
    assert [hit["columns"]["place"] for hit in answer["hits"]] == ["place 1"] * 3
    assert answer["weights"] == pytest.approx({"triplet": 0.75, "language": 0.25, "pseudo_caption": 0})
    asked = index.asked[-1]
    assert asked.image == (folder / "03.png").read_bytes()
    assert (asked.graph, asked.text, asked.k) == (graph, "red", 3)


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ({}, None),
        ({"similarities": list(TERMS)}, None),
        ({"similarities": ["triplet"]}, (1, 0, 0)),
        ({"similarities": ["triplet", "language"]}, (0.625, 0.375, 0)),
        ({"weights": {"triplet": 1, "language": 1, "pseudo_caption": 0}}, (0.5, 0.5, 0)),
        ({"weights": {"triplet": 0, "language": 0}, "similarities": ["triplet", "language"]}, (0.5, 0.5, 0)),
    ],
)
def test_weights_have_sum_1_over_the_similarities_that_are_on(
    body: dict[str, Any], weights: tuple[float, ...] | None
) -> None:
    own = {"triplet": 0.5, "language": 0.3, "pseudo_caption": 0.2}
    chosen = chosen_weights(SearchRequest(**body), own)
    assert chosen == (None if weights is None else pytest.approx(dict(zip(TERMS, weights, strict=True))))


def test_the_mixture_is_passed_on_alone() -> None:
    assert chosen_weights(SearchRequest(weights={"image": 1, "graph": -0.5})) == {"image": 1, "graph": -0.5}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 422, "neither a reference nor a text"),
        ({"text": "red", "k": 0}, 422, "k"),
        ({"text": "red", "k": 10**30}, 422, "k"),
        ({"text": "red", "k": MOST_HITS + 1}, 422, "k"),
        ({"text": "r" * 2001}, 422, "text"),
        ({"text": ["red"]}, 422, "text"),
        ({"text": "red", "path": "/etc/passwd"}, 422, "path"),
        ({"text": "red", "weights": {"triplet": -7}}, 422, "weights"),
        ({"text": "red", "weights": {"other": 1}}, 422, "weights"),
        ({"text": "red", "similarities": []}, 422, "all similarities are off"),
        ({"text": "red", "where": "nonsense ("}, 422, "filter cannot be read"),
        ({"text": "red", "where": "1=1; DROP TABLE self"}, 422, "filter cannot be read"),
        ({"image_id": "no such"}, 404, "no such image"),
        ({"image_id": "../../etc/passwd"}, 404, "no such image"),
    ],
)
def test_a_search_that_cannot_be_done_says_why(
    client: TestClient, body: dict[str, Any], status: int, said: str
) -> None:
    assert said in _error(client.post("/api/search", json=body), status)["message"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"text": "a", "weights": ' + b"[" * 50_000, "application/json", 400),
        (b'{"text": NaN}', "application/json", 422),
        (b'{"text": "\\ud800"}', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"text=red", "application/x-www-form-urlencoded", 415),
        (b"text", "text/plain", 415),
        (b"", "", 415),
        (b"no boundary here", "multipart/form-data", 400),
        (b"--x\r\nbad", "multipart/form-data; boundary=x", 422),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    client: TestClient, content: bytes, kind: str, status: int
) -> None:
    _error(client.post("/api/search", content=content, headers={"content-type": kind}), status)


@pytest.mark.parametrize("data", [b"", b"no image", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"0" * 100])
def test_an_upload_that_is_no_image_is_refused_with_a_reason(client: TestClient, data: bytes) -> None:
    error = _error(client.post("/api/search", files={"image": ("x.png", data)}), 422)
    assert "image" in error["reason"] and error["remedy"]


def test_two_references_and_two_files_are_refused(client: TestClient, folder: Path) -> None:
    data = (folder / "00.png").read_bytes()
    _error(client.post("/api/search", data={"image_id": "00.png"}, files={"image": ("x", data)}), 422)
    _error(client.post("/api/search", files=[("image", ("x", data)), ("image", ("y", data))]), 400)
    _error(client.post("/api/search", data={"graph": "{", "text": "a"}, files={"image": ("x", data)}), 400)


def test_a_request_that_is_too_large_is_refused_with_and_without_its_length(client: TestClient) -> None:
    large = {"image": ("x.png", b"0" * 300_000)}
    assert "larger than" in _error(client.post("/api/search", files=large), 413)["message"]
    parts = (b"0" * 50_000 for _ in range(6))  # sent in chunks, without a Content-Length
    headers = {"content-type": "application/json"}
    _error(client.post("/api/search", content=parts, headers=headers), 413)


def test_browsing_pages_through_the_index_and_filters(client: TestClient) -> None:
    first = client.get("/api/images", params={"limit": 4}).json()
    second = client.get("/api/images", params={"limit": 4, "offset": 4}).json()
    assert first["total"] == second["total"] == 27
    assert not {row["image_id"] for row in first["images"]} & {row["image_id"] for row in second["images"]}
    filtered = client.get("/api/images", params={"where": "place = 'place 1'"}).json()
    assert filtered["total"] == 9
    shuffled = [
        client.get("/api/images", params={"sample": n, "limit": 200}).json()["images"] for n in (1, 1, 2)
    ]
    assert shuffled[0] == shuffled[1] != shuffled[2]
    for wrong in ({"limit": 10**9}, {"offset": -1}, {"where": "x ("}, {"sample": "a"}):
        _error(client.get("/api/images", params=wrong), 422)


@pytest.mark.parametrize("name", HOSTILE)
def test_any_id_of_the_index_has_a_picture_and_columns(client: TestClient, name: str) -> None:
    address = f"/api/images/{quote(name, safe='')}"
    assert client.get(address).json()["image_id"] == name
    small = client.get(f"{address}/picture", params={"size": 64})
    assert small.headers["content-type"] == "image/jpeg"
    assert small.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"{address}/picture").headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    "path",
    [
        "../../../etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2fetc%2fpasswd",
        "....//",
        "%00",
        "%ff%fe",
        "a" * 5000,
    ],
)
def test_a_path_is_no_id(client: TestClient, path: str) -> None:
    for address in (f"/api/images/{path}/picture", f"/page/{path}", f"/api/images/{path}"):
        response = client.get(address)
        assert response.status_code == 404, address
        assert b"root:" not in response.content


def test_pictures_are_as_a_person_would_see_them(client: TestClient) -> None:
    deep = client.get("/api/images/deep.tif/picture")
    assert deep.headers["content-type"] == "image/png"
    assert np.asarray(Image.open(io.BytesIO(deep.content))).max() == 255
    small = client.get("/api/images/turned.jpg/picture", params={"size": 16})
    assert Image.open(io.BytesIO(small.content)).size == (5, 16)
    assert "cannot be decoded" in _error(client.get("/api/images/broken.png/picture"), 422)["message"]
    for size in (0, -1, 10**6, "a"):
        _error(client.get("/api/images/00.png/picture", params={"size": size}), 422)


def test_a_picture_that_a_browser_has_is_not_sent_again(client: TestClient) -> None:
    address = "/api/images/00.png/picture?size=64"
    tag = client.get(address).headers["etag"]
    assert client.get(address, headers={"if-none-match": tag}).status_code == 304
    assert client.get("/api/images/00.png/picture?size=65").headers["etag"] != tag


def test_small_pictures_are_made_once_and_kept_within_bounds(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = Pictures(kept_bytes=1500)
    first = pictures.make(folder / "00.png", 64)
    assert pictures.make(folder / "00.png", 64) is first
    for number in range(1, 9):
        pictures.make(folder / f"{number:02}.png", 64)
    assert pictures.make(folder / "00.png", 64) is not first


def test_a_file_that_is_gone_is_named(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    index = ToyIndex(tmp_path)
    client = TestClient(make_app(index), base_url="http://localhost")
    (tmp_path / "a.png").unlink()
    assert "a.png" in _error(client.get("/api/images/a.png/picture"), 422)["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 400),
        ({"host": "evil.example:8017"}, 400),
        ({"host": "127.0.0.1.evil.example"}, 400),
        ({"host": "["}, 400),
        ({"host": "LOCALHOST:9"}, 200),
        ({"host": "[::1]:8017"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:8017"}, 200),
    ],
)
def test_pages_of_other_sites_get_nothing(client: TestClient, headers: dict[str, str], status: int) -> None:
    for address in ("/api/info", "/", "/api/images/00.png/picture"):
        response = client.get(address, headers=headers)
        assert response.status_code == status
        assert "access-control-allow-origin" not in response.headers


def test_any_name_is_answered_where_the_server_is_open_to_others(index: ToyIndex) -> None:
    client = TestClient(make_app(index, hosts=None), base_url="http://gpu.example:8017")
    assert client.get("/api/info").status_code == 200


def test_every_answer_has_a_strict_policy(client: TestClient) -> None:
    for address in ("/", "/docs", "/page/main.js", "/api/info", "/nothing"):
        policy = client.get(address).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy and "http" not in policy


def test_the_page_asks_no_other_host(client: TestClient) -> None:
    from lempo.search.api import PAGE

    for file in PAGE.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "//cdn" not in text and "https:" not in text and "http:" not in text, file
        assert "innerHTML" not in text and "insertAdjacentHTML" not in text
        assert client.get(f"/page/{file.name}").status_code == 200
    assert client.get("/redoc").status_code == 404


def test_the_schema_describes_both_bodies(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {
        "/api/search", "/api/info", "/api/images", "/api/images/{image_id}", "/api/images/{image_id}/picture",
    }  # fmt: skip
    content = schema["paths"]["/api/search"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    assert "image" in content["multipart/form-data"]["schema"]["properties"]


def test_pictures_do_not_wait_for_a_search_and_searches_wait_for_each_other(folder: Path) -> None:
    index = ToyIndex(folder, seconds=0.4)
    with TestClient(make_app(index), base_url="http://localhost") as client:
        done: list[str] = []

        def search() -> None:
            assert client.post("/api/search", json={"text": "red"}).status_code == 200
            done.append("search")

        threads = [threading.Thread(target=search) for _ in range(2)]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        assert client.get("/api/images/00.png/picture?size=64").status_code == 200
        assert client.get("/api/images").status_code == 200
        assert not done
        for thread in threads:
            thread.join()
        assert time.monotonic() - start > 0.8


def test_an_error_of_the_program_is_json_without_its_inside(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = ToyIndex(folder)
    monkeypatch.setattr(index, "search", lambda query: 1 / 0)
    client = TestClient(make_app(index), base_url="http://localhost", raise_server_exceptions=False)
    error = _error(client.post("/api/search", json={"text": "a"}), 500)
    assert "division" not in json.dumps(error)


def test_the_columns_for_filters_come_with_an_example(client: TestClient) -> None:
    columns = {column["name"]: column for column in client.get("/api/info").json()["columns"]}
    assert columns["place"] == {"name": "place", "type": "text", "example": "place 0"}
    assert columns["bounds.top"] == {"name": "bounds.top", "type": "number", "example": 3.0}
    assert described(["gsd", "date"], [{"gsd": None, "date": ""}, {"gsd": None, "date": "x"}]) == [
        {"name": "date", "type": "text", "example": "x"},
        {"name": "gsd", "type": None, "example": None},
    ]


def test_values_become_json() -> None:
    from datetime import datetime

    value = {"a": float("nan"), "b": datetime(2024, 1, 2), "c": [np.float32(0.5), np.int64(3)], "d": b"x"}
    assert plain(value) == {"a": None, "b": "2024-01-02T00:00:00", "c": [0.5, 3], "d": "b'x'"}

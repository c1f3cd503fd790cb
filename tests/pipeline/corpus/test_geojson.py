"""GeoJSON files in map coordinates and in pixels."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.base.errors import UserError
from pipeline.corpus import geojson
from pipeline.corpus.annotations import Georeference, ImageFile
from pipeline.corpus.geojson import KIND
from tests.pipeline.corpus.annotated import read

FILE = "map.geojson"
UTM = "EPSG:32633"
EAST, NORTH = 500_000.0, 5_538_000.0  # of the corner between the two images
BOX = ("car", (10.0, 20.0, 30.0, 25.0))
PIXELS = {"coordinates": "pixels"}


def mapped(crs: str | None = UTM, metres: float = 1.0) -> dict[str, ImageFile]:
    """Two images of 100 x 80 pixels side by side, the first from (EAST, NORTH) on to the south-east."""
    return {
        name: ImageFile(
            name,
            f"images/{name}.tif",
            100,
            80,
            Georeference((metres, 0, EAST + n * 100 * metres, 0, -metres, NORTH), crs),
        )
        for n, name in enumerate("ab")
    }


def ring(x: float, y: float, w: float, h: float) -> list[list[float]]:
    return [[x, y], [x + w, y], [x + w, y + h], [x, y + h], [x, y]]


def utm(x: float, y: float, w: float, h: float) -> list[list[float]]:
    """A ring at pixels of image a, in its CRS."""
    return [[EAST + px, NORTH - py] for px, py in ring(x, y, w, h)]


def polygon(coordinates: Any, **properties: Any) -> dict[str, Any]:
    return feature({"type": "Polygon", "coordinates": [coordinates]}, **(properties or {"class": "car"}))


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties or {"class": "car"}}


def collection(*features: Any, **members: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", **members, "features": list(features)}


def named(crs: str) -> dict[str, Any]:
    return {"crs": {"type": "name", "properties": {"name": crs}}}


def test_a_feature_lies_where_its_coordinates_say(tmp_path: Path) -> None:
    contents = collection(polygon(utm(10, 20, 30, 25)), **named("urn:ogc:def:crs:EPSG::32633"))
    result = read(KIND, tmp_path, {FILE: contents}, mapped())
    assert result.boxes("a") == [BOX] and not result.counts


def test_a_feature_on_an_edge_is_in_both_images(tmp_path: Path) -> None:
    contents = collection(polygon(utm(90, 20, 30, 25)), **named(UTM))
    result = read(KIND, tmp_path, {FILE: contents}, mapped())
    assert result.boxes("a") == [("car", (90.0, 20.0, 30.0, 25.0))]
    assert result.boxes("b") == [("car", (-10.0, 20.0, 30.0, 25.0))]


def test_without_a_crs_coordinates_are_longitude_and_latitude(tmp_path: Path) -> None:
    """15 degrees east is the middle meridian of zone 33: x = 500 km there."""
    from rasterio.warp import transform

    xs, ys = zip(*utm(10, 20, 30, 25), strict=True)
    lons, lats = transform(UTM, "OGC:CRS84", xs, ys)
    assert abs(lons[0] - 15) < 0.01 and 49 < lats[0] < 51
    contents = collection(polygon([list(point) for point in zip(lons, lats, strict=True)]))
    result = read(KIND, tmp_path, {FILE: contents}, mapped())
    (name, box), *others = result.boxes("a")
    assert not others and name == "car" and box == pytest.approx(BOX[1], abs=0.01)


def test_without_a_crs_large_coordinates_are_the_images_own(tmp_path: Path) -> None:
    result = read(KIND, tmp_path, {FILE: collection(polygon(utm(10, 20, 30, 25)))}, mapped())
    assert result.boxes("a") == [BOX]


def test_an_image_without_a_crs_shares_the_file_s(tmp_path: Path) -> None:
    contents = collection(polygon(utm(10, 20, 30, 25)), **named("EPSG:3857"))
    assert read(KIND, tmp_path, {FILE: contents}, mapped(crs=None)).boxes("a") == [BOX]


def test_a_turned_georeference(tmp_path: Path) -> None:
    """Columns go north, rows go east."""
    contents = collection(polygon(ring(1020, 1010, 25, 30)), **named(UTM))
    image = ImageFile("a", "images/a.tif", 100, 80, Georeference((0, 1, 1000, 1, 0, 1000), UTM))
    assert read(KIND, tmp_path, {FILE: contents}, {"a": image}).boxes("a") == [BOX]


@pytest.mark.parametrize(
    ("geometry", "expected", "counts"),
    [
        ({"type": "Point", "coordinates": [EAST + 50, NORTH - 40]}, [(42.0, 32.0, 16.0, 16.0)], {}),
        ({"type": "Point", "coordinates": [EAST + 50, NORTH - 40, 300.5]}, [(42.0, 32.0, 16.0, 16.0)], {}),
        ({"type": "Point", "coordinates": [EAST - 3, NORTH - 40]}, [], {"features_outside": 1}),
        ({"type": "MultiPoint", "coordinates": [[EAST + 8, NORTH - 8], [EAST + 50, NORTH - 40]]},
         [(0.0, 0.0, 16.0, 16.0), (42.0, 32.0, 16.0, 16.0)], {}),
        ({"type": "Polygon", "coordinates": [utm(10, 20, 30, 25), utm(15, 25, 2, 2)]}, [BOX[1]], {}),
        ({"type": "MultiPolygon", "coordinates": [[utm(10, 20, 30, 25)], [utm(1, 2, 3, 4)]]},
         [BOX[1], (1.0, 2.0, 3.0, 4.0)], {}),
        ({"type": "GeometryCollection", "geometries": [
            {"type": "Polygon", "coordinates": [utm(10, 20, 30, 25)]}]}, [BOX[1]], {}),
        ({"type": "LineString", "coordinates": utm(10, 20, 30, 25)}, [], {"boxes_left_out": 1}),
        ({"type": "Polygon", "coordinates": [utm(10, 20, 0, 25)]}, [], {"features_outside": 1}),
        ({"type": "Polygon", "coordinates": []}, [], {"boxes_left_out": 1}),
        ({"type": "Polygon", "coordinates": [[[1, 2], [3, "x"], [4, 5]]]}, [], {"boxes_left_out": 1}),
        ({"type": "Polygon", "coordinates": [[[1, 2], [3, 10**400], [4, 5]]]}, [], {"boxes_left_out": 1}),
        ({"type": "Point", "coordinates": [float("nan"), 1]}, [], {"boxes_left_out": 1}),
        ({"type": "Polygon", "coordinates": [ring(-1e200, -1e200, 2e200, 2e200)]}, None, {}),
        (None, [], {"boxes_left_out": 1}),
        ("Point", [], {"boxes_left_out": 1}),
    ],
)  # fmt: skip
def test_geometries(
    geometry: Any, expected: list[Any] | None, counts: dict[str, int], tmp_path: Path
) -> None:
    contents = collection(feature(geometry), **named(UTM))
    result = read(KIND, tmp_path, {FILE: contents}, mapped())
    found = [box for _, box in result.boxes("a")] if "a" in result.found else []
    assert result.counts == counts and (expected is None or found == expected)


def test_a_feature_with_a_box_alone(tmp_path: Path) -> None:
    alone = feature(None) | {"bbox": [EAST + 10, NORTH - 45, EAST + 40, NORTH - 20]}
    assert read(KIND, tmp_path, {FILE: collection(alone, **named(UTM))}, mapped()).boxes("a") == [BOX]


def test_images_within_reach_of_the_features_hold_no_others(tmp_path: Path) -> None:
    images = mapped()
    images["c"] = ImageFile("c", "images/c.tif", 100, 80, Georeference((1, 0, EAST + 900, 0, -1, NORTH), UTM))
    far = [polygon(utm(5, 5, 9, 9)), polygon(utm(205, 5, 9, 9))]
    result = read(KIND, tmp_path, {FILE: collection(*far, **named(UTM))}, images)
    assert len(result.boxes("a")) == 1 and result.found["b"].boxes == [] and "c" not in result.found


@pytest.mark.parametrize(
    "contents",
    [
        {"images/a.geojson": collection(polygon(ring(10, 20, 30, 25)))},
        {"labels/a.json": collection(polygon(ring(10, 20, 30, 25)))},
        {FILE: collection(polygon(ring(10, 20, 30, 25), image="a.png", label="car"))},
        {FILE: collection(polygon(ring(10, 20, 30, 25), image_id="a", label="car"), **PIXELS)},
        {
            FILE: collection(
                polygon(ring(10, 20, 30, 25), file_name="images/a.png", type="car"), **named("pixels")
            )
        },
    ],
)
def test_features_in_pixels(contents: dict[str, Any], tmp_path: Path) -> None:
    result = read(KIND, tmp_path, contents)
    assert result.boxes("a") == [BOX] and "b" not in result.found and not result.counts


def test_pixels_of_an_image_on_the_map(tmp_path: Path) -> None:
    contents = collection(polygon(ring(10, 20, 30, 25)), polygon(ring(200, 20, 30, 25)), **PIXELS)
    result = read(KIND, tmp_path, {"a.geojson": contents, "b.geojson": collection()}, mapped())
    assert result.boxes("a") == [BOX] and result.counts == {"boxes_left_out": 1}
    assert result.found["b"].boxes == []


def test_a_file_of_one_image_in_map_coordinates(tmp_path: Path) -> None:
    """Its features go to no other image, though they reach into it."""
    contents = collection(polygon(utm(90, 20, 30, 25)), **named(UTM))
    result = read(KIND, tmp_path, {"a.geojson": contents}, mapped())
    assert len(result.boxes("a")) == 1 and not result.found["b"].boxes


def test_on_a_map_a_property_that_names_no_image_means_something_else(tmp_path: Path) -> None:
    properties = {"class": "car", "image": "https://example.org/a-car.jpg"}
    contents = collection(polygon(utm(10, 20, 30, 25), **properties), **named(UTM))
    assert read(KIND, tmp_path, {FILE: contents}, mapped()).boxes("a") == [BOX]


@pytest.mark.parametrize("key", ["class", "name", "label", "type", "category", "Class", "class_name"])
def test_properties_that_name_the_class(key: str, tmp_path: Path) -> None:
    contents = collection(polygon(ring(10, 20, 30, 25), **{key: "car", "height": 3}))
    assert read(KIND, tmp_path, {"a.geojson": contents}).boxes("a") == [BOX]


@pytest.mark.parametrize(
    ("properties", "members", "names"),
    [
        ({"name": "car", "type": "car"}, {}, ["car"]),
        ({"name": None, "type": "car"}, {}, ["car"]),
        ({"name": "Heathrow", "type": "car"}, {"class_property": "type"}, ["car"]),
        ({"kind": "car", "name": "x"}, {"class_property": "kind"}, ["car"]),
        ({"class": 18}, {}, ["18"]),
        ({"class": 18.5}, {}, []),
        ({"class": float("nan"), "label": "car"}, {}, ["car"]),
        ({"class": " ", "label": "car", "image": float("nan")}, {}, ["car"]),
        ({"height": 3}, {}, []),
        ({"class": "a\u202eb"}, {}, []),
    ],
)
def test_which_property_holds(
    properties: dict[str, Any], members: dict[str, Any], names: list[str], tmp_path: Path
) -> None:
    contents = collection(polygon(ring(10, 20, 30, 25), **properties), **members)
    result = read(KIND, tmp_path, {"a.geojson": contents})
    assert [name for name, _ in result.boxes("a")] == names
    assert result.counts == ({} if names else {"boxes_left_out": 1})


def test_two_properties_that_can_name_the_class_are_refused_by_name(tmp_path: Path) -> None:
    contents = collection(polygon(ring(10, 20, 30, 25), name="Heathrow", type="airport"))
    with pytest.raises(UserError, match=r"'name', 'type'.*class_property") as caught:
        read(KIND, tmp_path, {"a.geojson": contents})
    assert caught.value.problem.row == 0


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (collection(polygon(ring(1, 1, 5, 5))), "no image has a georeference"),
        (collection(**named("EPSG:99999999")), None),  # nothing needs it
        ({"type": "FeatureCollection"}, "no list 'features'"),
        ({"type": "Feature", "geometry": None}, "no list 'features'"),
        ([], "holds no object"),
        ("", "the file is empty"),
        (collection(crs={"type": "link"}), "the CRS has no name"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(contents: Any, said: str | None, tmp_path: Path) -> None:
    if said is None:
        assert not read(KIND, tmp_path, {FILE: contents}).found
        return
    with pytest.raises(UserError) as caught:
        read(KIND, tmp_path, {FILE: contents})
    assert said in str(caught.value) and FILE in str(caught.value)


def test_an_unknown_crs_is_refused_by_name(tmp_path: Path) -> None:
    contents = collection(polygon(utm(10, 20, 30, 25)), **named("EPSG:99999999"))
    with pytest.raises(UserError, match="CRS is unknown") as caught:
        read(KIND, tmp_path, {FILE: contents}, mapped())
    assert FILE in str(caught.value)


def test_without_rasterio_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rasterio.warp", None)
    with pytest.raises(UserError, match=r"extra `geo`"):
        read(KIND, tmp_path, {FILE: collection(polygon(ring(15, 50, 0.1, 0.1)))}, mapped())


def test_features_in_pixels_without_an_image_are_counted(tmp_path: Path) -> None:
    result = read(KIND, tmp_path, {FILE: collection(polygon(ring(1, 1, 5, 5)), **PIXELS)})
    assert result.counts == {"boxes_left_out": 1} and not result.found


def test_many_images_and_blocks_of_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The grid finds what comparing every feature with every image finds."""
    monkeypatch.setattr(geojson, "_BLOCK", 7)
    images = {
        f"{x}-{y}": ImageFile(
            f"{x}-{y}", f"images/{x}-{y}.tif", 50 + x, 40, Georeference((1, 0, 50 * x, 0, -1, 40 * y), UTM)
        )
        for x in range(12)
        for y in range(9)
    }
    places = [(37.0 * n % 620 - 10, 23.0 * n % 400 - 50, 3.0 + 90 * (n % 17 == 0)) for n in range(150)]
    contents = collection(*(polygon(ring(x, y, side, side)) for x, y, side in places), **named(UTM))
    result = read(KIND, tmp_path, {FILE: contents}, images)
    for image_id, image in images.items():
        assert image.georeference is not None
        left, top = image.georeference.transform[2], image.georeference.transform[5]
        expected = [
            (x - left, top - y - side, side, side)
            for x, y, side in places
            if x < left + image.width and x + side > left and y < top and y + side > top - 40
        ]
        boxes: Sequence[Any] = result.boxes(image_id) if image_id in result.found else []
        assert [box for _, box in boxes] == expected, image_id


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_json_is_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    odd = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=4)
        | st.sampled_from(["a", "Point"]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["type", "coordinates", "class", "image", "name"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
    keys = ["type", "geometry", "properties", "bbox"]
    features = data.draw(
        st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(keys, odd)) | odd, max_size=3)
    )
    members = data.draw(
        st.fixed_dictionaries({}, optional=dict.fromkeys(["crs", "coordinates", "class_property"], odd))
    )
    whole = collection(polygon(utm(10, 20, 30, 25)), *features, **members)
    try:
        read(KIND, tmp_path, {FILE: json.dumps(whole)}, mapped())
    except UserError as error:
        assert FILE in str(error)

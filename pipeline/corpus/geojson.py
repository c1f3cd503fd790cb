"""Reader of GeoJSON feature collections, in map coordinates or in pixels."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.errors import UserError, reading
from pipeline.base.progress import Progress
from pipeline.boxes.box import Box
from pipeline.corpus import checks
from pipeline.corpus.annotations import Annotations, ImageFile, Kind
from pipeline.corpus.checks import Record, Rejected
from pipeline.corpus.features import Feature, parts_of
from pipeline.corpus.json_rows import read_members
from pipeline.corpus.layout import head, listing, split_of
from pipeline.corpus.map_index import MapIndex, Point, between, is_usable, to_pixels
from pipeline.corpus.reading import Reading, Row, attributes_of, check_box
from pipeline.corpus.spool import Spool
from pipeline.corpus.tables import Notes, Rejects

CLASS = ("class", "class_name", "name", "label", "type", "category")  # properties that may name a class
IMAGE = ("image", "image_id", "image_name", "file_name", "filename", "file")  # and a feature's image
LON_LAT = "OGC:CRS84"  # what a file without `crs` is in
POINT_SIDE = 16.0  # pixels of the square that stands for a point
_PIXELS = ("pixel", "pixels")
_BLOCK = 2048  # features whose coordinates are transformed together
_COLLECTION = '"FeatureCollection"'


def find(folder: Path, names: Sequence[str]) -> list[str]:
    """Files that end in `.geojson`, and JSON files that begin as a feature collection."""
    return [
        name
        for name in names
        if name.lower().endswith(".geojson")
        or (name.lower().endswith(".json") and _COLLECTION in head(folder / name))
    ]


def read(
    folder: Path, images: Mapping[str, ImageFile], notes: Notes, rejects: Rejects
) -> Iterator[Annotations]:
    """Read all GeoJSON files of a folder; see `Reader`."""
    reading = Reading(folder, images, notes, rejects)
    spool = Spool()
    try:
        maps = _Maps(images)
        described: set[str] = set()
        for file in find(folder, listing(folder)):
            _File(reading, file, maps, spool, described).load()
        described |= maps.covered()
        for image_id, image in images.items():
            found = spool.take(image_id)
            if found or image_id in described:
                reading.lookup.claim(image, "GeoJSON")
                boxes = [
                    Box(name, _pairs(outline), attributes=tuple(words)) for name, outline, words in found
                ]
                yield Annotations(image_id, boxes, split_of(image.file))
    finally:
        spool.close()
    yield from reading.rest()


KIND = Kind("GeoJSON", find, read)


class _Maps:
    """The georeferenced images by CRS, and how far the features reach on each map."""

    def __init__(self, images: Mapping[str, ImageFile]) -> None:
        by_crs: dict[str | None, list[ImageFile]] = defaultdict(list)
        for image in images.values():
            if is_usable(image) and image.georeference is not None:
                by_crs[image.georeference.crs].append(image)
        self.of = {name: MapIndex(images) for name, images in by_crs.items()}
        self._reach: dict[str | None, list[Point]] = {}

    def holding(self, name: str | None, points: Sequence[Point]) -> Iterator[ImageFile]:
        """The images of a CRS that points in it may touch."""
        finite = [point for point in points if all(abs(value) < 1e300 for value in point)]
        if finite:
            xs, ys = zip(*finite, *self._reach.get(name, ()), strict=True)
            self._reach[name] = [(min(xs), min(ys)), (max(xs), max(ys))]
        yield from self.of[name].holding(points)

    def covered(self) -> set[str]:
        """Images within the reach of all features: one of them without a feature is without objects."""
        return {
            image.image_id for name, reach in self._reach.items() for image in self.of[name].holding(reach)
        }


class _File:
    """One feature collection; the boxes of its features go to the spool by image."""

    def __init__(self, reading: Reading, file: str, maps: _Maps, spool: Spool, described: set[str]) -> None:
        self.reading, self.file, self.maps, self.spool = reading, file, maps, spool
        self.described = described
        self.path = reading.folder / file
        self.crs: str | None = None  # None: not stated
        self.in_pixels = False
        self.class_property: str | None = None
        self.image = self._own_image()

    def _own_image(self) -> ImageFile | None:
        """The image that the file is called after."""
        path = PurePosixPath(self.file)
        try:
            return self.reading.lookup.find(path.stem, str(path.parent), split_of(self.file))
        except Rejected:
            return None

    def load(self) -> None:
        self._members()
        if self.image is not None:
            self.described.add(self.image.image_id)
        features = self._features()
        while block := list(islice(features, _BLOCK)):
            self._place(block)

    def _members(self) -> None:
        """What the file says of all its features; it may stand behind them."""
        has_features = False
        for key, number, value in read_members(self.path):
            if key == "features":
                has_features |= number is None and value == []
            elif key == "crs" and value is not None:
                self.crs = self._crs(value)
            elif key == "coordinates":
                self.in_pixels |= value in _PIXELS
            elif key == "class_property" and isinstance(value, str):
                self.class_property = value
        if not has_features:
            remedy = "Write it as a FeatureCollection"
            raise UserError("the file has no list 'features'", remedy, file=self.path)

    def _crs(self, value: Any) -> str | None:
        properties = value.get("properties") if isinstance(value, dict) else None
        name = properties.get("name") if isinstance(properties, dict) else value
        if isinstance(name, str) and name.lower() in _PIXELS:
            self.in_pixels = True
            return None
        if not isinstance(name, str) or len(name) > 10_000:
            remedy = 'Write {"type": "name", "properties": {"name": "EPSG:32633"}}'
            raise UserError("the CRS has no name", remedy, file=self.path, field="crs", value=value)
        return name

    def _features(self) -> Iterator[Feature]:
        for key, number, value in Progress(read_members(self.path), unit="row", title=self.path.name):
            if key != "features" or number is None:
                continue
            row = Row(self.reading, self.file, number)
            try:
                feature = Record.checked(value)
                properties = feature.get("properties")
                properties = Record.checked({} if properties is None else properties, "properties").values
                image = self._named(properties) or self.image
                parts = parts_of(feature.get("geometry"), feature.get("bbox"))
                name = self._class(properties, number)
                words = attributes_of(properties.get("attributes"))
            except Rejected as error:
                row.count("boxes_left_out", error)
                continue
            for points, is_point in parts:
                yield Feature(number, name, words, points, is_point, image)

    def _named(self, properties: Mapping[str, Any]) -> ImageFile | None:
        for key in IMAGE:
            if (value := Record(properties).optional(key)) is None:
                continue
            try:
                name = checks.identifier(value, f"properties.{key}")
                named = self.reading.images.get(name)
                return named or self.reading.lookup.find(name, "", split_of(self.file))
            except Rejected:
                if self.in_pixels or not self.maps.of:
                    raise  # on a map the property may mean anything else
        return None

    def _class(self, properties: Mapping[str, Any], number: int) -> str:
        by_name = Record({str(key).lower(): value for key, value in properties.items()})
        wanted = CLASS if self.class_property is None else (self.class_property.lower(),)
        found = {key: value for key in wanted if (value := by_name.optional(key)) is not None}
        if not found:
            reason, keys = "no property names the class", ", ".join(wanted)
            raise Rejected(reason, f"Add one of {keys}", "properties")
        names = {key: checks.name(checks.identifier(value, key), key) for key, value in found.items()}
        if len(set(names.values())) > 1:
            raise UserError(
                f"several properties can name the class: {', '.join(map(repr, found))}",
                'Say which one beside "features", as in "class_property": "type", or remove the others',
                file=self.path,
                row=number,
                field="properties",
                value=names,
            )
        return next(iter(names.values()))

    def _place(self, block: Sequence[Feature]) -> None:
        """Put a block of features into the images that hold them."""
        on_maps: list[Feature] = []
        for feature in block:
            image = feature.image
            if image is not None and (self.in_pixels or image.georeference is None):
                self._keep(feature, image, feature.points)
            elif self.in_pixels:
                reason = "the feature is in pixels and names no image"
                remedy = f"Add its file as the property '{IMAGE[0]}', or call the file like the image"
                self._row(feature).count("boxes_left_out", Rejected(reason, remedy, "properties"))
            else:
                on_maps.append(feature)
        if on_maps and not self.maps.of:
            reason = "the features are in map coordinates, but no image has a georeference"
            remedy = (
                'Use GeoTIFFs or world files, or write "coordinates": "pixels" beside "features" and name '
                "each feature's image"
            )
            raise UserError(reason, remedy, file=self.path)
        held = [False] * len(on_maps)
        for target in self.maps.of:
            for n, (feature, points) in enumerate(zip(on_maps, self._on_map(on_maps, target), strict=True)):
                for image in self.maps.holding(target, points):
                    if feature.image in (None, image):
                        held[n] |= self._touch(feature, image, points)
        for feature, is_held in zip(on_maps, held, strict=True):
            if not is_held:
                error = Rejected("no image holds the feature", "Check the CRS of both", None, feature.name)
                self._row(feature).count("features_outside", error)

    def _on_map(self, features: Sequence[Feature], target: str | None) -> list[list[Point]]:
        """The points of features in the CRS `target`; what has none is taken to be in the features' own."""
        by_source: dict[str | None, list[int]] = defaultdict(list)
        for n, feature in enumerate(features):
            stated = self.crs or (LON_LAT if feature.fits_lon_lat else None)
            by_source[stated].append(n)
        found: list[list[Point]] = [[] for _ in features]
        for source, numbers in by_source.items():
            points = [point for n in numbers for point in features[n].points]
            if source is not None and target is not None:
                with reading(self.path, "Check the CRS of the file and of the images"):
                    points = between(source, target, points, self.path)
            rest = iter(points)
            for n in numbers:
                found[n] = list(islice(rest, len(features[n].points)))
        return found

    def _touch(self, feature: Feature, image: ImageFile, points: Sequence[Point]) -> bool:
        """Keep the feature's box if a part of it lies in the image."""
        assert image.georeference is not None
        outline = _outline(feature, to_pixels(image.georeference, points))
        try:
            check_box(Box(feature.name, outline), image)
            self._check_point(feature, outline, image)
        except Rejected:
            return False
        self.spool.add(image.image_id, [feature.name, outline, feature.words])
        return True

    def _keep(self, feature: Feature, image: ImageFile, pixels: Sequence[Point]) -> None:
        self.described.add(image.image_id)
        outline = _outline(feature, pixels)
        try:
            check_box(Box(feature.name, outline), image)
            self._check_point(feature, outline, image)
        except Rejected as error:
            self._row(feature).count("boxes_left_out", error)
        else:
            self.spool.add(image.image_id, [feature.name, outline, feature.words])

    def _check_point(self, feature: Feature, outline: Sequence[Point], image: ImageFile) -> None:
        x, y = outline[0][0] + POINT_SIDE / 2, outline[0][1] + POINT_SIDE / 2
        if feature.is_point and not (0 <= x < image.width and 0 <= y < image.height):
            raise Rejected("the point lies outside the image", "Correct it", "geometry", [x, y])

    def _row(self, feature: Feature) -> Row:
        return Row(self.reading, self.file, feature.number)


def _outline(feature: Feature, pixels: Sequence[Point]) -> tuple[Point, ...]:
    if not feature.is_point:
        return tuple(pixels)
    (x, y), side = pixels[0], POINT_SIDE
    return Box.upright("", x - side / 2, y - side / 2, side, side).outline


def _pairs(outline: Sequence[Sequence[float]]) -> tuple[Point, ...]:
    return tuple((x, y) for x, y in outline)

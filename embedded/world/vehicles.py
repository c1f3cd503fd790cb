"""Aircraft and vehicles from above."""

from math import pi

import numpy as np

from embedded.world.shapes import DARK, GLASS, STEEL, WHITE, Face, box, disc, pair, poly, turned

_FUSELAGE = poly(
    (0.5, 0), (0.46, 0.05), (0.36, 0.075), (-0.3, 0.07), (-0.5, 0.02),
    (-0.5, -0.02), (-0.3, -0.07), (0.36, -0.075), (0.46, -0.05),
)  # fmt: skip
_CAR_BODY = poly(
    (0.5, -0.17), (0.5, 0.17), (0.42, 0.25), (-0.42, 0.25), (-0.5, 0.19),
    (-0.5, -0.19), (-0.42, -0.25), (0.42, -0.25),
)  # fmt: skip
# a capsule of two discs of 16 points: right half of the second, left half of the first
_CAPSULE = [28, 29, 30, 31, 16, 17, 18, 19, 4, 5, 6, 7, 8, 9, 10, 11]

VEHICLES: dict[str, list[Face]] = {
    "airplane": [
        *pair(box(-0.02, 0.19, 0.1, 0.26), 0.62),  # engines
        *pair(poly((0.14, 0.05), (-0.12, 0.48), (-0.2, 0.48), (-0.1, 0.05)), 0.9, casts=True),
        *pair(poly((-0.34, 0.03), (-0.46, 0.19), (-0.5, 0.19), (-0.47, 0.03)), 0.86, casts=True),
        Face(_FUSELAGE, None, 1.0, casts=True),
        Face(box(-0.5, -0.014, -0.32, 0.014), None, 0.6),
        Face(poly((0.42, 0.045), (0.46, 0), (0.42, -0.045), (0.38, 0)), GLASS),
    ],
    "helicopter": [
        Face(box(-0.12, 0.14, 0.3, 0.17), DARK),
        Face(box(-0.12, -0.17, 0.3, -0.14), DARK),
        Face(poly((-0.05, 0.075), (-0.48, 0.035), (-0.48, -0.035), (-0.05, -0.075)), None, 0.85, casts=True),
        Face(box(-0.5, -0.13, -0.41, 0.13), None, 0.8, casts=True),
        Face(disc(0.23, 0.1, 0, 16, 0.74), None, 1.0, casts=True),
        Face(disc(0.09, 0.2, 0, 12), GLASS),
        *(  # the rotor
            Face(turned(box(-0.42, -0.017, 0.42, 0.017), turn) + poly((0.06, 0)), DARK, casts=True)
            for turn in (0.6, 0.6 + pi / 2)
        ),
        Face(disc(0.045, 0.06), WHITE),
    ],
    "fuel truck": [
        Face(box(-0.5, -0.21, 0.5, 0.21), DARK, casts=True),
        Face(box(0.27, -0.22, 0.5, 0.22)),
        Face(box(0.34, -0.17, 0.41, 0.17), GLASS),
        Face(np.concatenate([disc(0.2, -0.3, 0, 16), disc(0.2, 0.02, 0, 16)])[_CAPSULE], None, 0.88),
        Face(box(-0.46, -0.08, 0.18, 0.08), None, 1.12),
        Face(box(-0.17, -0.05, -0.09, 0.05), DARK),
    ],
    "car": [
        Face(_CAR_BODY, None, 0.95, casts=True),
        Face(poly((0.22, -0.2), (0.12, -0.16), (0.12, 0.16), (0.22, 0.2)), GLASS),
        Face(poly((-0.36, -0.19), (-0.28, -0.16), (-0.28, 0.16), (-0.36, 0.19)), GLASS),
        Face(box(-0.27, -0.17, 0.11, 0.17), None, 1.08),
    ],
    "bus": [
        Face(box(-0.5, -0.19, 0.5, 0.19), None, 0.85, casts=True),
        Face(box(-0.48, -0.15, 0.46, 0.15), None, 1.05),
        Face(box(0.45, -0.15, 0.49, 0.15), GLASS),
        *(Face(box(x, -0.09, x + 0.13, 0.09), STEEL) for x in (-0.34, -0.06, 0.22)),
    ],
    "truck": [
        Face(box(-0.5, -0.19, 0.2, 0.19), None, 0.92, casts=True),
        Face(box(-0.47, -0.16, 0.17, 0.16), None, 1.05),
        *(Face(box(x, -0.16, x + 0.025, 0.16), None, 0.78) for x in (-0.31, -0.15, 0.01)),
        Face(box(0.2, -0.07, 0.26, 0.07), DARK),
        Face(box(0.25, -0.18, 0.5, 0.18), None, 0.82, casts=True),
        Face(box(0.38, -0.15, 0.45, 0.15), GLASS),
    ],
    "tractor": [
        *(
            Face(box(-0.48, y - 0.1, -0.02, y + 0.1) + poly((0, out)), DARK, casts=True)
            for y, out in ((-0.2, -0.09), (0.2, 0.09))
        ),
        *(Face(box(0.22, y - 0.05, 0.46, y + 0.05), DARK) for y in (-0.2, 0.2)),
        Face(box(-0.1, -0.13, 0.5, 0.13), casts=True),
        Face(box(-0.42, -0.19, 0.02, 0.19), None, 0.88, casts=True),
        Face(box(-0.34, -0.13, -0.06, 0.13), GLASS),
        Face(box(0.3, -0.08, 0.42, 0.08), None, 0.7),
    ],
}

"""Rule: how an object lies in the image, where its box is oriented and clearly longer than wide.

The direction is that of the longer side of the outline's four corners: within `TOLERANCE` of a row of pixels
it is horizontal, of a column vertical, else diagonal. An upright box says nothing of its object's direction.
"""

import math

from pipeline.boxes.box import Box

LEAST_ASPECT = 1.5
TOLERANCE = 22.5  # degrees


def orientation_word(box: Box) -> str | None:
    """ "horizontal", "vertical", "diagonal", or nothing."""
    if not box.oriented or len(box.outline) != 4:
        return None
    a, b, c, d = box.outline
    # opposite sides together, since annotators' corners make no exact rectangles
    one = (b[0] - a[0] + c[0] - d[0], b[1] - a[1] + c[1] - d[1])
    other = (c[0] - b[0] + d[0] - a[0], c[1] - b[1] + d[1] - a[1])
    long, short = sorted((one, other), key=lambda side: math.hypot(*side), reverse=True)
    if math.hypot(*long) < LEAST_ASPECT * math.hypot(*short) or long == (0, 0):
        return None
    slope = math.degrees(math.atan2(abs(long[1]), abs(long[0])))
    if slope <= TOLERANCE:
        return "horizontal"
    return "vertical" if slope >= 90 - TOLERANCE else "diagonal"

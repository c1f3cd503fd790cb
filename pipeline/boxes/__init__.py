"""Boxes to scene graphs by rule: labelled boxes of one image in, a row of the scene graph table out."""

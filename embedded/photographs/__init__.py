"""An image-text model of photographs with boxes, trained from an open_clip folder: a recipe, not a model.

Photographs may be used for a model and still not be shipped with it, so that the project ships neither.
"""

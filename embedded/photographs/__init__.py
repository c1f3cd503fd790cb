"""An image-text model of photographs with boxes, trained from an open_clip folder: a recipe, not a model.

In: a folder of photographs with boxes, and an open_clip folder. Out: another open_clip folder. Photographs
may be used for a model and still not be given away, so that the project ships neither.
"""

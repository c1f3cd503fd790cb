"""The stand-in, apart from the product: a drawn world, and the training of the two small models in `models/`.

Nothing in the product imports it but the one line in `stages/sources.py` that names the world as a kind of
dataset. Without this folder everything but the default run still works.
"""

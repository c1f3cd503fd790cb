"""The stand-in, apart from the product: a drawn world, and the trainings of both small models in `models/`.

In: seeds and word lists. Out: the datasets of the default run (`world`), and the folders of weights that
`embedded/dvc.yaml` makes (`captioner`, `vlm`). The product imports it in one line of `stages/sources.py`,
which names the world as a kind of dataset; without this folder everything but the default run still works.
"""

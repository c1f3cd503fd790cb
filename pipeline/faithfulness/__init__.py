"""Whether a text says what a scene graph says.

In: a caption, the graph it must state, the dataset's vocabulary. Out: facts missed and facts invented.
"""

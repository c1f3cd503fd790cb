"""The vision language model: where it lies, its features of images and texts, and their caches.

In: image files and texts. Out: L2-normalised vectors, and tables of them that can be memory-mapped.
"""

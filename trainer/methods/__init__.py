"""Every method of the evaluation and of the study: the registry, and one file for each family.

In: features of queries and gallery. Out: a score for every query and image.
"""

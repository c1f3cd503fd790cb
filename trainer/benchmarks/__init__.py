"""CIRR, FashionIQ, CIRCO and PatternCom: their files read, their protocols, the methods measured by them.

In: a benchmark's folder and a model. Out: its figures, or the files that its evaluation server takes.
"""

"""CIRR, FashionIQ, CIRCO and PatternCom: reads their files and measures methods by their protocols.

In: a benchmark's folder and a model. Out: its figures, or the files that its evaluation server takes.
"""

"""Prompts and engines: vLLM in this process, on a Ray cluster, or behind an OpenAI-compatible endpoint.

In: requests (messages and sampling). Out: one result for every request, in any order.
"""

"""Engines that turn messages into text, and the identity of the model behind them."""

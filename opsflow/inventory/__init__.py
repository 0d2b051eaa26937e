"""Inventories: the machines there are, and patterns that name some of them."""

from opsflow.inventory.source import explain, load, members

__all__ = ["explain", "load", "members"]

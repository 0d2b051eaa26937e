"""Inventories: the machines there are, and patterns that name some of them."""

from opsflow.inventory.source import load

__all__ = ["load"]

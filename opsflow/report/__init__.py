"""Listeners: they turn events into what an operator sees or a program reads."""

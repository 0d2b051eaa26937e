"""The mark that makes a plugin's function a hook's implementation."""

import pluggy

hookimpl = pluggy.HookimplMarker("opsflow")
"""Marks a function of a plugin as the implementation of the hook of its name."""

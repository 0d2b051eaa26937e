"""What a template reads of other steps, found without rendering it."""

from collections.abc import Iterator

from jinja2 import nodes

from opsflow.errors import TemplateError
from opsflow.playbook.scope import OF_STEPS
from opsflow.ports import Key, Keys

_Chain = tuple[str, list[Key], list[nodes.Node]]
"""A name, the keys that are looked up below it, and what those are computed from."""


def mentions(source: str, tree: nodes.Template) -> dict[str, set[Keys]]:
    """Steps by id, each with what is read of it. The graph is drawn from them: an id must be written out.

    Raises:
        TemplateError: an id is not.
    """
    found: dict[str, set[Keys]] = {}
    for name, keys in _read(tree):
        step, *inner = keys or (None,)
        if not isinstance(step, str):
            hint = "write a step's id after `outputs` or `steps`: outputs.ID.KEY or outputs['ID'].KEY"
            raise TemplateError(f"`{source.strip()}`: {hint}")
        found.setdefault(step, set()).add((name, *inner))
    return found


def _read(node: nodes.Node) -> Iterator[tuple[str, list[Key]]]:
    method = node.node if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) else None
    inside = [child for child in node.iter_child_nodes() if child is not method]
    if chain := _chain(method or node):
        name, keys, computed = chain
        yield name, keys[:-1] if method and len(keys) > 1 else keys  # a method is of what stands before it
        inside = [*computed, *inside] if method else computed
    elif method:
        inside.append(method)
    for child in inside:
        yield from _read(child)


def _chain(node: nodes.Node) -> _Chain | None:
    """`outputs.a['b'][c]` in its parts; None: it is something else."""
    keys: list[Key] = []
    computed: list[nodes.Node] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Getattr):
            keys.insert(0, node.attr)
        elif isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str | int):
            keys.insert(0, node.arg.value)
        else:
            keys.insert(0, None)
            computed.append(node.arg)
        node = node.node
    return (node.name, keys, computed) if isinstance(node, nodes.Name) and node.name in OF_STEPS else None

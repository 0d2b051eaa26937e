"""Templates: jinja2, compiled once, rendered in a sandbox; which steps they refer to, without rendering them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.parser import Parser

from opsflow.errors import TemplateError
from opsflow.model import PART, RESERVED_NAMES, conditions, where_scoped
from opsflow.playbook.document import Documents
from opsflow.playbook.mentions import mentions
from opsflow.playbook.sandbox import FAULTS, Sandbox, SecretReference, joined, reason
from opsflow.playbook.scope import Scope, is_template
from opsflow.ports import Keys, References

_VALUE = "_opsflow_value"
"""Name under which a compiled expression leaves its value."""

_KEPT = 8192
"""Compiled templates kept: more than a project has, and a bound if every host brings its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """A template ready to run.

    Attributes:
        template: jinja's.
        expression: Whether it yields a value, not text.
        names: Variables it uses.
        needed: Those of them that it cannot do without: it has no `default` for them.
        steps: Steps whose outputs or state it uses, with what it reads of them.
    """

    template: jinja2.Template
    expression: bool
    names: frozenset[str]
    needed: frozenset[str]
    steps: Mapping[str, set[Keys]]

    def __call__(self, scope: Scope) -> Any:
        context = self.template.new_context(scope, shared=True)
        text = joined(self.template.root_render_func(context))
        return context.vars[_VALUE] if self.expression else text


class TemplateRenderer:
    """Implements `ports.Renderer`; may be used by several threads at once.

    In templates, facts come before variables, variables before functions. Functions: `secret('env:NAME')`,
    `hosts('pattern')`, `file('path')`.

    Args:
        directory: Where relative paths given to `file` begin.
        hosts: Names of the hosts of a pattern; may raise `OpsflowError`.
    """

    def __init__(self, *, directory: str, hosts: Callable[[str], Sequence[str]]) -> None:
        self._sandbox = Sandbox(directory=directory, hosts=hosts)
        self._text = lru_cache(_KEPT)(self._compile_text)
        self._expression = lru_cache(_KEPT)(self._compile_expression)
        self._documents = Documents(self._sandbox)

    def render(self, value: Any, variables: Mapping[str, Any], facts: Mapping[str, Any]) -> Any:
        """`value` with every string in it rendered, keys excepted. Raises `TemplateError`."""
        return self._scope(variables, facts).render(value)

    def document(
        self,
        text: str,
        name: str,
        variables: Mapping[str, Any],
        facts: Mapping[str, Any],
        *,
        secret: Callable[[str], str],
    ) -> str:
        """A file's text, rendered, with the values of secrets in it. Raises `TemplateError`, which names the line."""
        function = {} if "secret" in variables else {"secret": secret}
        scope = self._scope(variables, {**function, **facts}, secret=secret)
        return self._documents.render(text, name, scope)

    def condition(self, expression: str, variables: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
        """A `when` expression, where those of including playbooks are true; see `ports.Renderer`."""
        outer = conditions(variables)
        return all(self._is_true(said, seen, facts) for said, seen in [*outer, (expression, variables)])

    def _is_true(self, expression: str, variables: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
        scope = self._scope(variables, facts)
        result = scope.evaluate(expression, self._expression(expression), final=True)
        if not isinstance(result, bool):
            raise TemplateError(f"`{expression}` yields {result!r}: a condition must be true or false")
        return result

    def references(self, value: Any, variables: Mapping[str, Any]) -> References:
        """The steps whose `outputs.ID` or `steps.ID` the value mentions, through variables too.

        Raises:
            TemplateError: the syntax is wrong, or a step's id is not written out.
        """
        return self._follow([(self._text(text), variables) for text in _templates(value)])

    def free_names(self, value: Any, variables: Mapping[str, Any]) -> frozenset[str]:
        """Names that the value needs, through variables too, and that neither these nor functions give.

        Raises:
            TemplateError: the syntax is wrong.
        """
        used = self._used([(self._text(text), variables) for text in _templates(value)])
        free = (compiled.needed - seen.keys() - self._sandbox.globals.keys() for compiled, seen in used)
        return frozenset().union(*free)

    def expression_references(self, expression: str, variables: Mapping[str, Any]) -> References:
        """The same for a `when` expression."""
        return self._follow([(self._expression(expression), variables)])

    def _scope(
        self, variables: Mapping[str, Any], facts: Mapping[str, Any], *, secret: Callable[[str], Any] = SecretReference
    ) -> Scope:
        return Scope(sandbox=self._sandbox, compile_text=self._text, variables=variables, facts=facts, secret=secret)

    def _follow(self, waiting: list[tuple[_Compiled, Mapping[str, Any]]]) -> References:
        steps: dict[str, set[Keys]] = {}
        for compiled, variables in self._used(waiting):
            part = variables.get(PART, "")
            for step, keys in compiled.steps.items():
                steps.setdefault(f"{part}/{step}" if part else step, set()).update(keys)
        return {step: frozenset(keys) for step, keys in steps.items()}

    def _used(
        self, waiting: list[tuple[_Compiled, Mapping[str, Any]]]
    ) -> Iterator[tuple[_Compiled, Mapping[str, Any]]]:
        """These templates and those of the variables that they use, each with what it sees."""
        seen_in: dict[str, set[str]] = {}  # names, by the included playbook that they are names of
        while waiting:
            compiled, variables = waiting.pop()
            yield compiled, variables
            seen = seen_in.setdefault(variables.get(PART, ""), set(RESERVED_NAMES))
            new = compiled.names - seen
            seen |= new
            # In order, so that of several errors always the same one is raised.
            for name in sorted(new & variables.keys()):
                value, where = variables[name], variables
                if found := where_scoped(value):
                    value, where = found
                waiting += [(self._text(text), where) for text in _templates(value)]

    def _compile_text(self, text: str) -> _Compiled:
        with _told(text):
            tree = self._sandbox.parse(text)
            match tree.body:
                case [nodes.Output(nodes=[nodes.Expr() as value])] if not isinstance(value, nodes.TemplateData):
                    return self._compiled(text, value)
            return self._compiled(text, tree)

    def _compile_expression(self, expression: str) -> _Compiled:
        with _told(expression):
            parser = Parser(self._sandbox, expression, state="variable")
            value = parser.parse_expression()
            if not parser.stream.eos:
                parser.fail(f"{parser.stream.current.value!r} does not belong there")
            return self._compiled(expression, value)

    def _compiled(self, source: str, node: nodes.Template | nodes.Expr) -> _Compiled:
        expression = isinstance(node, nodes.Expr)
        if isinstance(node, nodes.Expr):
            node = nodes.Template([nodes.Assign(nodes.Name(_VALUE, "store"), node, lineno=1)], lineno=1)
            node.set_environment(self._sandbox)
        steps = mentions(source, node)
        names = frozenset(meta.find_undeclared_variables(node))
        needed = names - set(_optional(node))
        template = self._sandbox.from_string(node)
        return _Compiled(template=template, expression=expression, names=names, needed=needed, steps=steps)


def _optional(tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        asks = node.name in ({"default", "d"} if isinstance(node, nodes.Filter) else {"defined", "undefined"})
        if asks and isinstance(node.node, nodes.Name):
            yield node.node.name


@contextmanager
def _told(source: str) -> Iterator[None]:
    """What is wrong with a source becomes a `TemplateError`."""
    try:
        yield
    except FAULTS as error:
        raise TemplateError(f"`{source.strip()}`: {reason(error)}") from error


def _templates(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if is_template(value):
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _templates(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _templates(item)

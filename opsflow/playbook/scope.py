"""What one rendering sees: facts, then variables, which are rendered when they are first used."""

from collections.abc import Callable, Mapping
from typing import Any

import jinja2
from jinja2.sandbox import safe_range

from opsflow.errors import TemplateError
from opsflow.model import PART, where_scoped
from opsflow.params import SECRET_KEY
from opsflow.playbook.sandbox import FAULTS, TURNS, Missing, Sandbox, as_data, reason
from opsflow.tomlfile import did_you_mean

OF_STEPS = frozenset({"outputs", "steps"})
"""Facts that templates ask by a step's id."""

Evaluate = Callable[["Scope"], Any]
"""A compiled template."""


def is_template(text: str) -> bool:
    """Whether a text has anything to render in it."""
    return "{{" in text or "{%" in text


class Scope(dict[str, Any]):
    """The names of one rendering, for jinja to look into: it holds what was used, and works out the rest on demand.

    What a name cannot be worked out to becomes a `Missing`, which raises only where it is used: a template may name
    a broken variable in a branch that is not taken. A fact's value is never rendered, however it got into a variable.
    `secret` says what a reference to a secret becomes.
    """

    __slots__ = ("_active", "_compile", "_facts", "_sandbox", "_secret", "_turns", "_variables")

    def __init__(
        self,
        *,
        sandbox: Sandbox,
        compile_text: Callable[[str], Evaluate],
        variables: Mapping[str, Any],
        facts: Mapping[str, Any],
        secret: Callable[[str], Any],
    ) -> None:
        super().__init__()
        self._secret = secret
        self._turns = 0
        self._sandbox = sandbox
        self._compile = compile_text
        self._variables = variables
        self._facts = facts
        self._active: list[str] = []  # variables being rendered, outermost first

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        if name in self._facts:
            value = self._facts[name]
            if name in OF_STEPS and (part := self._variables.get(PART)):
                value = {id_.removeprefix(f"{part}/"): of for id_, of in value.items() if id_.startswith(f"{part}/")}
        elif name in self._active:
            circle = " → ".join([*self._active[self._active.index(name) :], name])
            return _broken(TemplateError(f"`{name}` refers to itself: {circle}"))
        elif name in self._variables:
            self._active.append(name)
            value = self.part_of(self._variables[name])
            self._active.pop()
        elif name in self._sandbox.globals:
            value = self._range if name == "range" else self._sandbox.globals[name]
        else:
            like = did_you_mean(name, {*self._facts, *self._variables, *self._sandbox.globals})
            value = Missing(f"{name!r} is not defined{'; ' + like if like else ''}", name=name)
        self[name] = value
        return value

    def render(self, value: Any) -> Any:
        """`value` with every text in it rendered. Raises `TemplateError`."""
        if isinstance(value, str):
            return self._text(value, final=True)
        if isinstance(value, Mapping):
            if found := where_scoped(value):
                return self._seeing(found[1]).render(found[0])
            return {key: self.render(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.render(item) for item in value]
        return value

    def evaluate(self, source: str, evaluate: Evaluate, *, final: bool) -> Any:
        """Run a compiled template. `source`: its text, for the error."""
        try:
            return as_data(evaluate(self), final=final)
        except FAULTS as error:
            where = f"variable `{self._active[-1]}`: " if self._active else ""
            raise TemplateError(f"{where}`{source.strip()}`: {reason(error)}") from error

    def _range(self, *args: int) -> range:
        """`range`, of which a rendering gets so much: a loop in a loop may go on for days."""
        found = safe_range(*args)
        self._turns += len(found)
        if self._turns > TURNS:
            raise jinja2.TemplateRuntimeError(f"more than {TURNS:,} numbers of `range`")
        return found

    def _seeing(self, variables: Mapping[str, Any]) -> "Scope":
        """The same facts with other variables: those of the playbook that includes this one."""
        return Scope(
            sandbox=self._sandbox,
            compile_text=self._compile,
            variables=variables,
            facts=self._facts,
            secret=self._secret,
        )

    def _text(self, text: str, *, final: bool) -> Any:
        return self.evaluate(text, self._compile(text), final=final) if is_template(text) else text

    def part_of(self, value: Any) -> Any:
        """The same as `render` for a variable's value: what is wrong in it matters only if that part of it is used."""
        if isinstance(value, str):
            try:
                return self._text(value, final=False)
            except TemplateError as error:
                return _broken(error)
        if isinstance(value, Mapping):
            if found := where_scoped(value):
                return self._seeing(found[1]).part_of(found[0])
            secret = value.keys() == {SECRET_KEY}
            return self._secret(value[SECRET_KEY]) if secret else {k: self.part_of(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.part_of(item) for item in value]
        return value


def _broken(error: TemplateError) -> Missing:
    return Missing(error.message, exc=lambda _: error)

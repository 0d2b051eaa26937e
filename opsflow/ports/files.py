"""What a user's files come to."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from opsflow.errors import Problem
from opsflow.model import Host

Key = str | int | None
"""One that a template looks something up by; None: it is computed."""

Keys = tuple[Key, ...]
"""What a template reads of a step: `outputs` or `steps`, then the keys, outermost first."""

References = Mapping[str, frozenset[Keys]]
"""Steps by id that templates mention, with what they read of each."""


class Inventory(Protocol):
    """The machines there are.

    Attributes:
        path: Where they come from, as given.
        digest: SHA-256 of that.
        notices: What of it is not understood, and taken as if it was not there.
    """

    path: str
    digest: str
    notices: Sequence[Problem]

    @property
    def hosts(self) -> Mapping[str, Host]:
        """All hosts by name, in file order."""

    @property
    def groups(self) -> Mapping[str, Sequence[str]]:
        """All groups with their hosts, children's included, `all` too."""

    def select(self, pattern: str) -> Sequence[Host]:
        """Hosts that a pattern names, in file order; empty if none.

        Raises:
            InputError: the pattern is malformed or names a group or host that does not exist (with "did you mean").
        """


class Renderer(Protocol):
    """Templates. `variables` may hold templates (rendered when used); `facts` are data, never rendered.

    A string that is exactly one `{{ ... }}` keeps the expression's own type; anything else becomes text.
    `secret('env:X')` yields a reference: `{"$secret": "env:X"}`.
    """

    def render(self, value: Any, variables: Mapping[str, Any], facts: Mapping[str, Any]) -> Any:
        """`value` with every string in it rendered, keys excepted. Raises `TemplateError`."""

    def document(
        self,
        text: str,
        name: str,
        variables: Mapping[str, Any],
        facts: Mapping[str, Any],
        *,
        secret: Callable[[str], str],
    ) -> str:
        """A file's text rendered as a whole: here `secret('env:X')` yields the value, by `secret`.

        A line that holds nothing but a block leaves nothing behind. `name`: what errors call the file.

        Raises:
            TemplateError: it names the line.
        """

    def condition(self, expression: str, variables: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
        """A `when` expression; false, too, where one is of the entries that include the step's playbook.

        Raises:
            TemplateError: one cannot be worked out, or does not yield a boolean.
        """

    def references(self, value: Any, variables: Mapping[str, Any]) -> References:
        """The steps whose `outputs.ID` or `steps.ID` the value mentions, through variables too.

        Raises:
            TemplateError: the syntax is wrong.
        """

    def free_names(self, value: Any, variables: Mapping[str, Any]) -> frozenset[str]:
        """Names that the value needs, through variables too, and that neither these nor functions give.

        Raises:
            TemplateError: the syntax is wrong.
        """

    def expression_references(self, expression: str, variables: Mapping[str, Any]) -> References:
        """The same for a `when` expression."""

"""Files that are templates as a whole: the same language as in playbooks, and the rules of a file."""

from collections.abc import Callable
from functools import lru_cache
from types import TracebackType

import jinja2

from opsflow.errors import TemplateError
from opsflow.playbook.sandbox import FAULTS, Sandbox, joined, reason
from opsflow.playbook.scope import Scope

_KEPT = 256
"""Compiled documents kept: each is used for all the hosts of a step."""


class Documents:
    """Renders documents. A line that holds nothing but a block (`{% if ... %}`) leaves nothing behind.

    Args:
        sandbox: What their code runs in.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._environment = sandbox.overlay(trim_blocks=True, lstrip_blocks=True)
        self._compiled: Callable[[str], jinja2.Template] = lru_cache(_KEPT)(self._environment.from_string)

    def render(self, text: str, name: str, scope: Scope) -> str:
        """The document, rendered.

        Args:
            text: It.
            name: What messages call it.
            scope: The names in it.

        Raises:
            TemplateError: it names the line.
        """
        try:
            template = self._compiled(text)
        except FAULTS as error:
            raise TemplateError(f"{name}:{getattr(error, 'lineno', 1)}: {reason(error)}") from error
        try:
            return joined(template.root_render_func(template.new_context(scope, shared=True)))
        except (*FAULTS, TemplateError) as error:
            said = error.message if isinstance(error, TemplateError) else reason(error)
            raise TemplateError(f"{name}:{_line(template, error.__traceback__)}: {said}") from error


def _line(template: jinja2.Template, trace: TracebackType | None) -> int:
    """The line of the template that its code had come to."""
    line = 1
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":  # jinja's name for what comes from no file
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line

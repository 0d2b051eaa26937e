"""Names in templates that nothing gives: how they are spelled, where not all is known that they may stand for."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opsflow.errors import Problem, TemplateError
from opsflow.model import RESERVED_NAMES, Step
from opsflow.plan.check import step_problem
from opsflow.ports import Renderer
from opsflow.tomlfile import did_you_mean

_ALIKE = 0.75
"""How like a name has to be to another one to be taken for that: it may also be given with `-e`."""


def misspelled(
    step: Step, variables: Mapping[str, Any], others: Iterable[str], renderer: Renderer
) -> Iterator[Problem]:
    """Names in a step's templates that nothing gives, and that are like one that something does.

    For what is checked before all inputs are given: others may come with `-e`, too. Each is told once.

    Args:
        step: The step.
        variables: What its templates may see.
        others: Names of inputs, which may not be given yet, and of its hosts' variables.
        renderer: Finds names.
    """
    known = {*others, *step.retry.vary, *(name for name in variables if name.isidentifier())}
    texts: dict[str, Any] = {f"with.{key}": value for key, value in step.params.items()}
    texts |= {"foreach": step.foreach, "on": step.on, "retry.vary": step.retry.vary}
    if step.when is not None:
        texts["when"] = f"{{{{ {step.when} }}}}"
    told: set[str] = set()
    for key, value in texts.items():
        try:
            free = renderer.free_names(value, variables) - known - RESERVED_NAMES - told
        except TemplateError:
            continue  # told where references are collected
        for name in sorted(free):
            if like := did_you_mean(name, known, alike=_ALIKE):
                told.add(name)
                yield step_problem(step, key, f"{name!r} is not defined", like)

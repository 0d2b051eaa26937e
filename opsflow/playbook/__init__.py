"""Playbooks: reading them, their inputs, their templates."""

from opsflow.playbook.inputs import extra_variables, input_values
from opsflow.playbook.loader import examine, load
from opsflow.playbook.template import TemplateRenderer
from opsflow.units import parse_duration

__all__ = ["TemplateRenderer", "examine", "extra_variables", "input_values", "load", "parse_duration"]

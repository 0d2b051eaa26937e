"""YAML read with the place of everything in it.

PyYAML's nodes know where they stand; what they mean is YAML 1.1's, as in Ansible.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import yaml

from opsflow.inventory.draft import Draft, Spot
from opsflow.inventory.text import Text

TAG = "tag:yaml.org,2002:"
_TEMPLATE = 'a template needs quotes: "{{ NAME }}"'
_STR = f"{TAG}str"
_MERGE = f"{TAG}merge"
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HINTS = {
    "could not find expected ':'": "a line is `NAME: VALUE`, or `- VALUE` in a list; see the line before, too",
    "mapping values are not allowed": "text with `: ` in it needs quotes; see the indentation, too",
    "found character that cannot start any token": "indent with spaces, not tabs; text that begins so needs quotes",
    "found unexpected end of stream": "a quote is not closed",
    "did not find expected key": "see the indentation, and the quotes in the lines before",
    "did not find expected ',' or": "a comma or a closing bracket is missing before this",
    "found undefined alias": "an anchor, `&NAME`, has to come before it",
    "did not find expected node content": "a value or a closing bracket is missing",
    "found another document": "an inventory is one document: take out the `---` between them",
}


class NotYaml(Exception):
    """A text is no YAML; the draft has the problem."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One pair of a mapping.

    Attributes:
        key: The key as text.
        is_text: Whether it is text in the file, too, and not a number or a word like `no`.
        node: Its value.
        place: Where the key stands. Its lines are YAML's, which have more ends than those of editors.
        text: In which it stands.
    """

    key: str
    is_text: bool
    node: yaml.Node
    place: yaml.Mark
    text: Text

    def spot(self) -> Spot:
        """Where it stands."""
        return self.text.spot_at(self.place.index)


class YamlFile:
    """A YAML file.

    Args:
        text: Its text.
        draft: Gets what is wrong and what is not understood.

    Attributes:
        root: What it says; None: nothing.

    Raises:
        NotYaml: it is none.
    """

    def __init__(self, text: Text, draft: Draft) -> None:
        self.draft = draft
        self._text = text
        self.root = self._composed()

    def spot(self, node: yaml.Node) -> Spot:
        """Where a node stands."""
        return self._text.spot_at(node.start_mark.index)

    def single(self, node: yaml.ScalarNode) -> Entry:
        """A value as if it was a key that nothing is said of."""
        nothing = yaml.ScalarNode(f"{TAG}null", "", node.start_mark, node.end_mark)
        return Entry(str(node.value), node.tag == _STR, nothing, node.start_mark, self._text)

    def note(self, node: yaml.Node, kind: str, hint: str = "") -> None:
        """Something here is not understood."""
        self.draft.notices.add(kind, self.spot(node).problem(kind, hint))

    def entries(self, node: yaml.MappingNode) -> list[Entry]:
        """The pairs of a mapping, with those that `<<` merges into it; of two with one key the later counts."""
        return list(self._entries(node, ()).values())

    def _entries(self, node: yaml.MappingNode, around: tuple[yaml.Node, ...]) -> dict[str, Entry]:
        merged: dict[str, Entry] = {}
        own: dict[str, Entry] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                for part in self._parts(value, (*around, node)):
                    merged = self._entries(part, (*around, node)) | merged
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.note(key, "a key that is no single value is not understood: this is not there", _TEMPLATE)
                continue
            name = str(key.value)
            if name in own:
                self.note(key, f"`{name}` stands twice in one mapping: the later one counts")
            own[name] = Entry(name, key.tag == _STR, value, key.start_mark, self._text)
        return merged | own

    def _parts(self, node: yaml.Node, around: tuple[yaml.Node, ...]) -> Iterator[yaml.MappingNode]:
        """The mappings that `<<` takes."""
        for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(part, yaml.MappingNode) and part not in around:
                yield part
            else:
                self.note(part, "`<<` takes a mapping that ends before it: this is not merged")

    def _composed(self) -> yaml.Node | None:
        try:
            if unprintable := yaml.reader.Reader.NON_PRINTABLE.search(self._text.text):
                spot = self._text.spot_at(unprintable.start())
                self._refuse(spot, f"not valid YAML: the character \\x{ord(unprintable[0]):02x}", "take it out")
            root: yaml.Node | None = yaml.compose(self._text.text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            if mark and error.context_mark and mark.index >= len(self._text.text.rstrip()):
                mark = error.context_mark  # nothing is to be seen at the end of a file
            said = (error.problem or error.context or "it is not clear why").removeprefix("but ")
            hint = next((hint for known, hint in _HINTS.items() if said.startswith(known)), "")
            spot = self._text.spot_at(mark.index) if mark else self._text.spot(1)
            self._refuse(spot, f"not valid YAML: {said}", hint)
        except (yaml.YAMLError, RecursionError):
            self._refuse(self._text.spot(1), "not valid YAML, or nested too deeply")
        return root

    def _refuse(self, spot: Spot, message: str, hint: str = "") -> NoReturn:
        self.draft.problems.append(spot.problem(message, hint))
        self.draft.incomplete = True
        raise NotYaml

"""A YAML file as plain values, with the line that each came from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str | int, ...]


class DocumentError(Exception):
    """The text is no YAML mapping; `line` is where, `args[0]` says why."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


@dataclass(frozen=True)
class Document:
    """Plain values and their lines, counted from 1."""

    values: dict[str, Any]
    lines: Mapping[Path, int]

    def line_of(self, path: Path) -> int:
        """Return the line of `path`, or of the nearest parent that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse(text: str) -> Document:
    """Read YAML; raises DocumentError for bad syntax, a key given twice, or anything but a mapping at the top."""
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return Document({}, {})
        if not isinstance(root, yaml.MappingNode):
            raise DocumentError("the file must be a mapping, such as `mode: shadow`", root.start_mark.line + 1)
        lines = dict(_walk(root, (), ()))
        return Document(loader.construct_document(root), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise DocumentError(f"not valid YAML: {error.problem or error.context}", mark.line + 1 if mark else 1) from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise DocumentError(f"not valid YAML: {str(error).splitlines()[0]}", 1) from None
    finally:
        loader.dispose()


def _walk(node: yaml.Node, path: Path, above: tuple[int, ...]) -> Iterator[tuple[Path, int]]:
    if id(node) in above:
        raise DocumentError("an anchor must not contain itself", node.start_mark.line + 1)
    above = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), item.start_mark.line + 1
            yield from _walk(item, (*path, index), above)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = key.value
            if not isinstance(key, yaml.ScalarNode):
                raise DocumentError("a key must be a plain word", key.start_mark.line + 1)
            if name in seen and name != "<<":
                raise DocumentError(f"{name!r} is given twice; keep one", key.start_mark.line + 1)
            seen.add(name)
            yield (*path, name), key.start_mark.line + 1
            yield from _walk(value, (*path, name), above)

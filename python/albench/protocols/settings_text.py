"""YAML of unknown origin, read within bounds: aliases are counted as what they stand for, before they are followed."""

from __future__ import annotations

from typing import Any

import yaml

from albench.errors import InputError

LONGEST_YAML = 1 << 15
"""Bytes; protocols have a few thousand."""
_MOST_VALUES = 10_000
_DEEPEST = 20
_LONGEST_NUMBER = 40  # characters


class _Loader(yaml.SafeLoader):
    """Stops in the middle of a text that is too much."""

    depth = n_values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node and what is in it."""
        self.depth += 1
        self.n_values += 1
        if self.depth > _DEEPEST or self.n_values > _MOST_VALUES:
            raise yaml.YAMLError(f"more than {_MOST_VALUES} values or {_DEEPEST} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        is_number = node is not None and node.tag.endswith((":int", ":float"))
        if is_number and isinstance(node, yaml.ScalarNode) and len(node.value) > _LONGEST_NUMBER:
            raise yaml.YAMLError(f"a number of {len(node.value)} characters")
        return node


def parse_yaml(where: str, text: str, what: str = "YAML") -> Any:
    """Return what a YAML text holds.

    Parameters
    ----------
    where
        For messages: where the text is.
    what
        For messages: what it should have been.

    Raises
    ------
    InputError
        It is longer than `LONGEST_YAML`, no YAML, or has a tag that is no plain value, a number of more than 40
        characters, or more than 10,000 values or 20 levels once every alias is replaced by what it stands for.
    """
    if len(text) > LONGEST_YAML:
        raise InputError(f"{where}: expected {what} of at most {LONGEST_YAML} characters, found {len(text)}")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count_aliases(node)
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        # PyYAML lets through what int() and datetime raise for values of the right form
        raise InputError(f"{where}: expected {what}, found {' '.join(str(error).split()):.300}") from None


def _count_aliases(root: yaml.Node) -> None:
    """Raise where there are too many values; an alias is the same node again, and merging goes through all of it."""
    level, n_values = [root], 0
    while level:
        inner: list[yaml.Node] = []
        for node in level:
            if isinstance(node, yaml.MappingNode):
                inner += [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                inner += node.value
            if n_values + len(inner) > _MOST_VALUES:
                raise yaml.YAMLError(f"more than {_MOST_VALUES} values in its aliases")
        n_values, level = n_values + len(inner), inner

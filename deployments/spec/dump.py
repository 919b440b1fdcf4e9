"""Writes `serve_config.yaml` as a person would: short leaves on one line, the rest in blocks, no anchors."""

from __future__ import annotations

from typing import Any

import yaml

WIDTH = 110
_SHORT = 90


class _Dumper(yaml.SafeDumper):
    """Never writes aliases: equal parts of two versions are to be read, and edited, each for itself."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _sequence(dumper: _Dumper, data: list[Any] | tuple[Any, ...]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=_is_short(data))


def _mapping(dumper: _Dumper, data: dict[str, Any]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=_is_short(data))


def _is_short(data: Any) -> bool:
    values = data.values() if isinstance(data, dict) else data
    nested = any(isinstance(value, dict) or _is_long_list(value) for value in values)
    return not nested and len(str(data)) < _SHORT


def _is_long_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(
        isinstance(each, dict | list | tuple) for each in value
    )


_Dumper.add_representer(list, _sequence)
_Dumper.add_representer(tuple, _sequence)
_Dumper.add_representer(dict, _mapping)


def dump(document: Any) -> str:
    """The document as YAML, its keys in their order; the same text for the same document."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True)

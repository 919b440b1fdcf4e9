"""What a person types for a model: a name with or without a version, any URI, or a folder."""

from __future__ import annotations

from pathlib import Path

from deployments.errors import RegistryError
from deployments.registry import uris
from deployments.registry.uris import LATEST, Place, Reference, Registered


def target(text: str) -> Reference:
    """The model that `text` means.

    `digits`, `digits/7` and `digits@champion` are names in the registry; a folder is written so that it
    cannot be one: `./digits` or with a longer path.

    Raises:
        RegistryError: It means none.
    """
    named = f"models:/{text}" if "/" in text or "@" in text else f"models:/{text}/{LATEST}"
    if ":" not in text and not text.startswith((".", "/", "~")):
        try:
            return uris.parse(named)
        except RegistryError:
            if not Path(text).is_dir():
                raise
            return Place(text)
    if text.startswith("~"):
        return Place(str(Path(text).expanduser()))
    return Place(text) if text in ("..", ".") else uris.parse(text)


def registered(text: str) -> Registered:
    """The same, where only a name in the registry will do.

    Raises:
        RegistryError: It is another model, or none.
    """
    found = target(text)
    if not isinstance(found, Registered):
        raise RegistryError(
            f"`{text}` is not in the registry by a name: write NAME, NAME/NUMBER or NAME@ALIAS. "
            "`penstock models list` shows what there is."
        )
    return found

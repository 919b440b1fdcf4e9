"""Signatures of artifact folders, made with the OpenSSF package `model-signing` and a key pair that nobody else keeps.

A digest says that the files are those that were registered; a signature says who made them, to somebody who does not
trust the registry. The signature lies in the folder as `model.sig`: it covers all files but itself, and the digest
covers it too.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from deployments.errors import ArtifactError, DigestMismatch

SIGNATURE = "model.sig"


def sign(folder: Path, private_key: Path) -> Path:
    """Signs the files in `folder`, before they are registered; returns the signature's path.

    Args:
        folder: An artifact folder; a signature that is there is replaced.
        private_key: An elliptic-curve private key in PEM, not encrypted.

    Raises:
        ArtifactError: The package is not installed, or the key or a file cannot be read.
    """
    signing = _module("signing")
    signature = folder / SIGNATURE
    _check_readable(private_key, "private")
    try:
        config = signing.Config().set_hashing_config(_hashing(signature))
        config.use_elliptic_key_signer(private_key=private_key).sign(folder, signature)
    except Exception as fault:  # noqa: BLE001 - cryptography and the package raise kinds of their own
        raise ArtifactError(f"cannot sign {folder} with {private_key}: {_line(fault)}") from None
    return signature


def verify_signature(folder: Path, public_key: Path) -> None:
    """Makes sure that the files in `folder` are those that the owner of `public_key`'s other half signed.

    Args:
        folder: An artifact folder with a `model.sig`.
        public_key: An elliptic-curve public key in PEM.

    Raises:
        DigestMismatch: They are not, or there is no signature.
        ArtifactError: The package is not installed, or the key cannot be read.
    """
    verifying = _module("verifying")
    signature = folder / SIGNATURE
    _check_readable(public_key, "public")
    if not signature.is_file():
        raise DigestMismatch(
            f"the model's files have no signature ({SIGNATURE}), and {public_key} is set to be asked for one "
            "(PENSTOCK_SIGNING_KEY): `penstock models register --sign KEY` makes it"
        )
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except Exception as fault:  # noqa: BLE001 - cryptography raises kinds of its own
        raise ArtifactError(
            f"{public_key} is no elliptic-curve public key: {_line(fault)}"
        ) from None
    try:
        config.set_hashing_config(_hashing(signature)).verify(folder, signature)
    except Exception as fault:  # noqa: BLE001 - as above; whatever it is, nothing was verified
        raise DigestMismatch(
            f"the signature in {signature} does not vouch for the model's files under {public_key}: {_line(fault)}"
        ) from None


def _hashing(signature: Path) -> Any:
    # Git's files count as well: what is not signed could be anything.
    config = _module("hashing").Config()
    return config.set_ignored_paths(paths=[signature], ignore_git_paths=False)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"model_signing.{name}")
    except ImportError as fault:
        raise ArtifactError(
            f"signatures need a package that is not installed ({fault}): pip install 'penstock[signing]'"
        ) from None


def _check_readable(key: Path, kind: str) -> None:
    try:
        key.read_bytes()
    except OSError as fault:
        raise ArtifactError(f"cannot read the {kind} key {key}: {fault.strerror}") from None


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:300] or type(fault).__name__

"""Whose word counts for a model's files, and what still works when the registry or the store is away."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from mlflow import MlflowClient

from deployments.artifacts.manifest import manifest_of
from deployments.errors import ArtifactError, DigestMismatch, RegistryError, StoreError
from deployments.registry.connection import Connection
from deployments.registry.tags import DIGEST
from deployments.spec.args import ModelArgs
from deployments.versions.download import Downloads
from deployments.versions.fetch import Files
from tests.artifacts.s3 import CREDENTIALS, S3Server
from tests.registry.server import MlflowServer
from tests.versions import faulty

X = {"x": np.ones((3, 2), dtype=np.float32)}


def answers(built) -> bool:
    """Whether what was built doubles, as `faulty.good` does."""
    (_, model), *_ = built.stages
    return bool((model(X)["y"] == 2).all())


def test_a_pinned_version_needs_nobody_once_it_is_cached(place) -> None:
    """Registry and files both gone, and the digest in the configuration: it starts, and never asks."""
    stored = place.register("good", faulty.good)
    digest = manifest_of(stored).digest
    assert answers(place.replica("good", digest=digest))
    place.database.unlink()
    shutil.rmtree(stored)
    shutil.rmtree(place.cache / "remembered")

    assert answers(place.replica("good", digest=digest))


def test_a_version_known_by_its_tag_starts_by_what_was_remembered(place, caplog) -> None:
    """Registry and files gone, long after it last answered: a warning, and it starts from the cache."""
    stored = place.register("good", faulty.good)
    assert answers(place.replica("good"))
    place.database.unlink()
    shutil.rmtree(stored)
    place.forget()

    with caplog.at_level(logging.WARNING):
        assert answers(place.replica("good"))
    assert "what it said before is taken for true" in caplog.text


def test_a_version_that_was_never_here_needs_the_registry(place) -> None:
    """One line that says which."""
    place.register("good", faulty.good)
    place.database.unlink()
    with pytest.raises(RegistryError, match=r"no model registry at .*registry.db"):
        place.replica("good")


def test_a_version_that_was_deleted_is_not_remembered(place) -> None:
    """The registry did answer: there is no such version."""
    place.register("good", faulty.good)
    place.replica("good")
    MlflowClient(place.uri, place.uri).delete_model_version("good", "1")
    place.forget()

    with pytest.raises(RegistryError, match="has no version 1"):
        place.replica("good")


def test_the_configurations_digest_counts_and_not_the_registrys(place, caplog) -> None:
    """Whoever can write to the registry and to the store cannot have other files loaded."""
    stored = place.register("good", faulty.good)
    digest = manifest_of(stored).digest
    (stored / "good.py").write_text("raise SystemExit('owned')")
    forged = manifest_of(stored).digest
    MlflowClient(place.uri, place.uri).set_model_version_tag("good", "1", DIGEST, forged)

    with caplog.at_level(logging.WARNING), pytest.raises(DigestMismatch, match=digest):
        place.replica("good", digest=digest)
    assert f"are {forged}; the configuration says {digest}, which counts" in caplog.text


def test_a_version_that_nobody_pinned_is_refused(place) -> None:
    """The message is the command that pins it."""
    place.register("good", faulty.good)
    client = MlflowClient(place.uri, place.uri)
    client.delete_model_version_tag("good", "1", DIGEST)

    with pytest.raises(ArtifactError, match=r"penstock models pin good/1"):
        place.replica("good")


def test_trust_none_is_for_development(place) -> None:
    """Written out it loads what nobody pinned; in production it is refused, whatever was deployed."""
    place.register("good", faulty.good)
    MlflowClient(place.uri, place.uri).delete_model_version_tag("good", "1", DIGEST)

    assert answers(place.replica("good", trust="none"))
    with pytest.raises(ArtifactError, match="this is production"):
        place.replica("good", trust="none", settings=place.settings(environment="production"))


def test_a_replica_that_starts_beside_another_does_not_ask_again(place) -> None:
    """What the registry said within the last minute counts for all replicas of the node."""
    place.register("good", faulty.good)
    place.replica("good")
    place.database.unlink()

    assert answers(place.replica("good"))


def test_files_that_changed_in_the_cache_are_fetched_anew(place) -> None:
    """They are put into quarantine, and the replica starts with the right ones."""
    stored = place.register("good", faulty.good)
    built = place.replica("good")
    assert answers(built)
    place.files.pop().close()
    (cached,) = (place.cache / "entries").glob("*/files/good.py")
    cached.parent.chmod(0o755)
    cached.chmod(0o644)
    cached.write_text("raise SystemExit('owned')")

    assert answers(place.replica("good"))
    assert len(list((place.cache / "quarantine").iterdir())) == 1
    assert manifest_of(stored).digest


def test_a_version_too_large_is_refused(place) -> None:
    """Before a byte of it is fetched, with the setting's name."""
    place.register("good", faulty.good)
    with pytest.raises(StoreError, match="PENSTOCK_ARTIFACT_MAX_BYTES"):
        place.replica("good", settings=place.settings(artifact_max_bytes=100))


def test_server_and_s3_may_both_go_once_it_is_cached(
    place, model_folder, tmp_path, monkeypatch
) -> None:
    """A real MLflow server with its artifacts on S3, a model that was registered and pinned, and then neither."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with S3Server() as s3:
        s3.put("lake", {"nothing": b""})
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", s3.endpoint)
        server = MlflowServer(
            f"sqlite:///{tmp_path}/server.db", "s3://lake/models", tmp_path / "server.log"
        ).start()
        try:
            from deployments.registry import uris
            from deployments.registry.client import Registry
            from deployments.versions.register import register

            registry = Registry(Connection(server.url), s3_endpoint_url=s3.endpoint)
            register(
                registry, manifest_of, uris.parse(str(model_folder)), "trees", artifacts=tmp_path
            )
            settings = place.settings().model_copy(
                update={"tracking_uri": server.url, "s3_endpoint_url": s3.endpoint}
            )
            first = Files(settings)
            fetched = first.folder_of(ModelArgs(name="trees", version="1"))
            assert manifest_of(fetched) == manifest_of(model_folder)
            first.close()
        finally:
            server.stop()
    place.forget()

    again = Files(settings)
    try:
        assert again.folder_of(ModelArgs(name="trees", version="1")) == fetched
    finally:
        again.close()


def test_what_a_killed_look_left_is_deleted_by_the_next(place) -> None:
    """And what a process that lives is looking at stays."""
    stored = place.register("good", faulty.good)
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    place.cache.mkdir(parents=True)
    left = place.cache / f"look-{int(ended.stdout)}-abc"
    mine = place.cache / f"look-{os.getpid()}-abc"
    left.mkdir()
    mine.mkdir()

    with Downloads(place.settings()).fresh(str(stored)) as folder:
        assert manifest_of(folder) == manifest_of(stored)
    assert not left.exists()
    assert list(place.cache.glob("look-*")) == [mine]

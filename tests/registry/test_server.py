"""The registry client against a real MLflow server over HTTP, which keeps the artifacts itself."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import mlflow
import pytest
from mlflow import MlflowClient

from deployments.artifacts.manifest import Manifest, manifest_of
from deployments.errors import RegistryError, StoreError
from deployments.registry import tags
from deployments.registry.client import Registry
from deployments.registry.connection import Connection
from deployments.registry.entering import Entering, Origin
from deployments.settings import Settings
from deployments.versions.download import Downloads
from tests.registry.server import MlflowServer


@dataclass(frozen=True)
class Shop:
    """A server with one model, logged in a run and registered as `trees` version 1, by MLflow alone."""

    url: str
    client: MlflowClient
    run_id: str
    model_id: str
    digest: str

    def registry(self, cache: Path | None = None) -> Registry:
        downloads = Downloads(Settings(PENSTOCK_TRACKING_URI=self.url, cache=cache))
        return Registry(self.url, downloads.manifest_of if cache else None)


@pytest.fixture(scope="module")
def shop(mlflow_server: MlflowServer, model_folder: Path) -> Shop:
    client = MlflowClient(mlflow_server.url, mlflow_server.url)
    experiment = client.create_experiment("trees")
    run = client.create_run(experiment)
    logged = client.create_logged_model(experiment, name="forest", source_run_id=run.info.run_id)
    client.log_model_artifacts(logged.model_id, str(model_folder))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_artifacts(run.info.run_id, str(model_folder), "old/style")
    client.create_registered_model("trees")
    client.create_model_version(
        "trees", f"models:/{logged.model_id}", run.info.run_id, model_id=logged.model_id
    )
    client.set_registered_model_alias("trees", "champion", "1")
    digest = manifest_of(model_folder).digest
    return Shop(mlflow_server.url, client, run.info.run_id, logged.model_id, digest)


@pytest.mark.parametrize(
    "uri", ["models:/trees@champion", "models:/trees/1", "models:/trees/latest"]
)
def test_a_registered_version_is_read_over_http(shop: Shop, uri: str) -> None:
    """Its flavours and signature come from the server's artifacts; not pinned means no digest."""
    found = shop.registry().resolve(uri)

    assert (found.name, found.version, found.registered) == ("trees", "1", True)
    assert found.source.startswith("mlflow-artifacts:/")
    assert found.flavors == ("python_function", "sklearn")
    assert found.signature is not None
    assert [spec.name for spec in found.signature.inputs] == ["height", "width", "age"]
    assert (found.digest, found.manifest) == (None, None)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("models:/{model_id}", None),
        ("runs:/{run_id}/forest", "forest"),
        ("runs:/{run_id}/old/style", "style"),
    ],
)
def test_what_is_not_registered_is_known_by_its_digest(
    shop: Shop, tmp_path: Path, form: str, name: str | None
) -> None:
    """A logged model by its id, or by its name in its run, or the folder in a run that MLflow 2 had."""
    uri = form.format(model_id=shop.model_id, run_id=shop.run_id)
    found = shop.registry(tmp_path).resolve(uri)

    assert found.digest == shop.digest
    assert found.version == shop.digest.removeprefix("sha256:")[:12]
    assert found.manifest is not None
    assert Manifest.parse(found.manifest).digest == shop.digest
    assert not found.registered
    assert found.name == (name or "artifacts")


def test_a_folder_of_this_machine_is_a_model_too(
    shop: Shop, model_folder: Path, tmp_path: Path
) -> None:
    """By its path or as a `file:` URI; the name is made of the folder's."""
    for uri in (str(model_folder), model_folder.as_uri()):
        found = shop.registry(tmp_path).resolve(uri)

        assert (found.name, found.digest) == ("tall-trees", shop.digest)


def test_where_only_registered_versions_will_do_others_are_refused(shop: Shop) -> None:
    """Without a way to compute digests there is no version to call them by."""
    with pytest.raises(RegistryError, match=r"is not a registered version.* register it"):
        shop.registry().resolve(f"models:/{shop.model_id}")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "models:/shrubs/1",
            r"^The model registry http://.* has no model `shrubs`\. Registered are: .*trees",
        ),
        (
            "models:/trees@chmpion",
            r"has no alias `chmpion` in .*; it has: champion \(version 1\)\.",
        ),
        ("models:/trees/7", r"has no version 7 in .*; its newest is 1\."),
        ("models:/m-0", r"has no logged model m-0\."),
        ("runs:/0/model", r"has no run 0\."),
        ("./nowhere", r"There is no folder nowhere; correct the path"),
    ],
)
def test_what_is_not_there_is_named(shop: Shop, tmp_path: Path, uri: str, message: str) -> None:
    """Over HTTP as with a database: which registry, which name, and what is there instead."""
    with pytest.raises(RegistryError, match=message):
        shop.registry(tmp_path).resolve(uri)


def test_a_run_without_that_model_names_the_place(shop: Shop, tmp_path: Path) -> None:
    """MLflow lists nothing there, and says so through the store."""
    with pytest.raises(StoreError, match=r"/nothing is no model that can be read: "):
        shop.registry(tmp_path).resolve(f"runs:/{shop.run_id}/nothing")


def test_a_digest_is_recorded_and_read_back(shop: Shop, model_folder: Path) -> None:
    """Two tags, which any script could have set."""
    entering, manifest = Entering(Connection(shop.url)), manifest_of(model_folder)
    version = entering.create_version(
        "pinned", Origin(f"models:/{shop.model_id}", None, shop.model_id), manifest, {"by": "me"}
    )
    found = shop.registry().resolve(f"models:/pinned/{version}")
    assert (found.digest, found.manifest) == (manifest.digest, manifest.text)
    assert found.tags["by"] == "me"

    other = Manifest({**manifest.files, "MLmodel": "0" * 64})
    entering.set_digest("pinned", version, other)
    assert shop.registry().resolve("models:/pinned/latest").digest == other.digest

    shop.client.set_model_version_tag("pinned", version, tags.DIGEST, "sha256:whatever")
    with pytest.raises(
        RegistryError, match=r"`pinned` version 1: the tag penstock\.digest is .*--force"
    ):
        shop.registry().resolve("models:/pinned/1")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            "file:///nowhere/model",
            r"a folder on the machine that registered it, and not on this one\. Mount",
        ),
        ("mlruns/0/model", r"a folder on the machine that registered it"),
        ("file:///etc", r"is no model: it has no MLmodel file"),
        ("http://elsewhere.invalid/model", r"is on elsewhere\.invalid, another server than itself"),
        (
            "mlflow-artifacts://elsewhere.invalid/1",
            r"which would be sent the registry's credentials",
        ),
        ("data:text/plain,hello", r"which nothing here can fetch\. Known are: .*s3"),
        ("models:/loop/1", r"from one name to the next"),
    ],
)
def test_what_a_registry_says_of_places_is_not_trusted(shop: Shop, source: str, says: str) -> None:
    """A server that was taken over could have us read other folders, or send its password elsewhere.

    A real server refuses most of these at registration, so the answer is put in the client's place.
    """
    connection = Connection(shop.url)
    registry = Registry(connection)
    record = SimpleNamespace(name="loop", version="1", tags={})
    connection.client = SimpleNamespace(
        get_model_version=lambda *_: record, get_model_version_download_uri=lambda *_: source
    )

    with pytest.raises(RegistryError, match=says):
        registry.resolve("models:/loop/1")


def test_files_that_the_server_lost_are_named(
    mlflow_server: MlflowServer, shop: Shop, model_folder: Path
) -> None:
    """The registry knows the version; its artifact store does not any more."""
    entering = Entering(Connection(shop.url))
    origin = entering.upload(model_folder, "lost", Path("unused"))
    entering.create_version("lost", origin, manifest_of(model_folder), {})
    place = shop.registry().resolve("models:/lost/1").source
    shutil.rmtree(mlflow_server.artifacts / urlsplit(place).path.lstrip("/"))

    with pytest.raises(StoreError, match=r"no model that can be read: .*register the model anew"):
        shop.registry().resolve("models:/lost/1")


def test_an_upload_is_the_folder_byte_for_byte(
    shop: Shop, model_folder: Path, tmp_path: Path
) -> None:
    """So a digest of the folder is one of what MLflow then serves, to others as well."""
    origin = Entering(Connection(shop.url)).upload(model_folder, "uploaded", Path("unused"))
    place = shop.client.get_logged_model(origin.source.removeprefix("models:/")).artifact_location
    copy = mlflow.artifacts.download_artifacts(
        artifact_uri=place, dst_path=str(tmp_path), tracking_uri=shop.url
    )

    assert manifest_of(Path(copy)).digest == shop.digest

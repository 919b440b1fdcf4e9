"""As in production: a server over HTTP with its entries in PostgreSQL, and artifacts on S3; and PostgreSQL alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from deployments.artifacts.manifest import manifest_of
from deployments.errors import RegistryError
from deployments.registry.catalogue import entries
from deployments.registry.client import Registry
from deployments.registry.connection import Connection
from deployments.registry.entering import Entering
from tests.artifacts.s3 import CREDENTIALS, S3Server
from tests.commands.penstock import penstock
from tests.registry.server import MlflowServer


@dataclass(frozen=True)
class Production:
    """The server, and the object store beside it."""

    server: MlflowServer
    s3: S3Server


@pytest.fixture(scope="module")
def production(mlflow_server: MlflowServer) -> Iterator[Production]:
    with S3Server() as s3:
        s3.client.create_bucket(Bucket="artifacts")
        yield Production(mlflow_server, s3)


@pytest.fixture(autouse=True)
def _environment(production: Production, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "")  # so that it is restored: a command sets it
    monkeypatch.delenv("MLFLOW_S3_ENDPOINT_URL")
    monkeypatch.setenv("PENSTOCK_S3_ENDPOINT_URL", production.s3.endpoint)
    monkeypatch.setenv("PENSTOCK_TRACKING_URI", production.server.url)
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))


def test_an_experiment_that_keeps_its_artifacts_on_s3(
    production: Production, monkeypatch: pytest.MonkeyPatch, model_folder: Path, tmp_path: Path
) -> None:
    """Registered, fetched and verified; the server knows where, and the files go past it."""
    digest = manifest_of(model_folder).digest
    client = MlflowClient(production.server.url, production.server.url)
    client.create_experiment("pines", "s3://artifacts/all")
    made = penstock(
        monkeypatch, "models", "register", str(model_folder), "--name", "pines", "--alias", "best"
    )
    assert made.code == 0, made.err

    shown = penstock(monkeypatch, "models", "show", "pines@best", "--json").json
    assert shown["source"].startswith("s3://artifacts/all/")
    assert (shown["digest"], shown["flavors"]) == (digest, ["python_function", "sklearn"])
    done = penstock(monkeypatch, "models", "fetch", "pines@best", "--to", str(tmp_path / "copy"))
    assert done.code == 0, done.err
    assert manifest_of(tmp_path / "copy").digest == digest
    stored = production.s3.client.list_objects_v2(Bucket="artifacts")["Contents"]
    key = next(entry["Key"] for entry in stored if entry["Key"].endswith("model.skops"))
    production.s3.client.put_object(Bucket="artifacts", Key=key, Body=b"another model")
    refused = penstock(monkeypatch, "models", "verify", "pines@best")
    assert refused.code == 1
    assert "changed: model.skops" in refused.err


def test_straight_from_s3(
    production: Production, monkeypatch: pytest.MonkeyPatch, model_folder: Path
) -> None:
    """A model in a bucket, registered where it lies; boto3 reads it, and without a registry as well."""
    files = {f"mine/Tall Trees/{path}": path for path in manifest_of(model_folder).files}
    production.s3.put(
        "others", {key: (model_folder / path).read_bytes() for key, path in files.items()}
    )
    uri, digest = "s3://others/mine/Tall Trees", manifest_of(model_folder).digest

    shown = penstock(monkeypatch, "models", "show", uri, "--json").json
    assert (shown["name"], shown["digest"], shown["flavors"]) == (
        *("tall-trees", digest),
        ["python_function", "sklearn"],
    )
    made = penstock(monkeypatch, "models", "register", uri, "--name", "foreign", "--json")
    assert (made.json["version"], made.json["digest"], made.json["source"]) == ("1", digest, uri)
    assert penstock(monkeypatch, "models", "verify", "foreign").code == 0


def test_the_database_itself_is_a_registry(
    production: Production, model_folder: Path, tmp_path: Path
) -> None:
    """MLflow can be pointed at PostgreSQL without a server; entries are the same, artifacts go to a folder."""
    connection = Connection(production.server.database)
    entering = Entering(connection)
    origin = entering.upload(model_folder, "direct", tmp_path / "artifacts")
    entering.create_version("direct", origin, manifest_of(model_folder), {})
    entering.set_alias("direct", "best", "1")

    found = Registry(connection).resolve("models:/direct@best")
    assert found.digest == manifest_of(model_folder).digest
    assert Path(found.source.removeprefix("file://")).is_relative_to(tmp_path)
    by_server = entries(Connection(production.server.url), "direct")
    assert [(e.version, e.aliases) for e in by_server] == [("1", ("best",))]
    # Over HTTP the same folder is another machine's word, believed because the folder is here too ...
    over_http = Registry(production.server.url)
    assert over_http.resolve("models:/direct@best").digest == found.digest
    shutil.rmtree(tmp_path / "artifacts")
    # ... and not when it is not.
    with pytest.raises(RegistryError, match="a folder on the machine that registered it"):
        over_http.resolve("models:/direct@best")


def test_a_wrong_password_is_not_shown(production: Production) -> None:
    """What the driver says is passed on; what was typed is not."""
    wrong = production.server.database.replace("postgres:@", "nobody:hunter2@", 1)
    assert "hunter2" in wrong

    with pytest.raises(RegistryError, match=r"nobody:\*\*\*@.* refuses: .*nobody") as caught:
        Connection(wrong)
    assert "hunter2" not in caught.value.message


def test_names_with_quotes_are_found(production: Production, model_folder: Path) -> None:
    """A name goes into MLflow's filter language; one quote must not end it."""
    client = MlflowClient(production.server.url, production.server.url)
    client.create_registered_model("it's")

    with pytest.raises(RegistryError, match=r"`it's` has no version latest"):
        Registry(production.server.url).resolve("models:/it's/latest")
    assert entries(Connection(production.server.url), "it's") == []

"""`penstock models`: what each command does to a real registry, what it prints, and what it refuses."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from deployments.artifacts.manifest import manifest_of
from tests.commands.conftest import Call, Trees
from tests.registry.standin import closed


def test_list_shows_every_version(call: Call, trees: Trees) -> None:
    """Newest first, with aliases, flavours and whether it is pinned; columns for `awk`, objects for programs."""
    trees.add_version()
    trees.client.set_registered_model_alias(trees.name, "champion", "1")
    assert call("pin", f"{trees.name}/2").code == 0
    done = call("list", trees.name)

    head, newest, oldest = done.out.splitlines()
    assert head.split() == ["NAME", "VERSION", "ALIASES", "PINNED", "FLAVORS", "CREATED"]
    assert newest.split()[:4] == [trees.name, "2", "-", "yes"]
    assert re.split(r"\s{2,}", oldest)[:5] == [
        *(trees.name, "1", "champion", "no", "python_function, sklearn")
    ]
    listed = call("list", trees.name, "--json").json
    assert [(e["version"], e["aliases"], e["flavors"]) for e in listed] == [
        ("2", [], ["python_function", "sklearn"]),
        ("1", ["champion"], ["python_function", "sklearn"]),
    ]
    assert {trees.name} < {e["name"] for e in call("list", "--json").json} | {""}


def test_a_listing_survives_files_that_are_gone(call: Call, trees: Trees) -> None:
    """One broken version must not hide the others."""
    (trees.stored / "MLmodel").unlink()

    assert "(files out of reach)" in call("list", trees.name).out
    assert call("list", trees.name, "--json").json[0]["flavors"] is None


def test_show_tells_all_of_a_version(call: Call, trees: Trees, model_folder: Path) -> None:
    """Signature, tags, aliases and digest; with `--files` the SHA-256 of each."""
    trees.client.set_registered_model_alias(trees.name, "champion", "1")
    trees.client.set_model_version_tag(trees.name, "1", "colour", "green\x1b[31m")
    before = call("show", trees.name)
    assert re.search(r"^digest +not pinned$", before.out, re.MULTILINE)

    call("pin", trees.name)
    done = call("show", f"{trees.name}@champion", "--files")
    facts = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in done.out.splitlines())
    manifest = manifest_of(model_folder)
    assert facts["digest"] == manifest.digest
    assert (facts["aliases"], facts["input height"]) == ("champion", "double")
    assert facts["tag colour"] == "green�[31m"
    assert facts[manifest.files["MLmodel"]] == "MLmodel"
    shown = call("show", f"models:/{trees.name}/1", "--files", "--json").json
    assert shown["files"] == manifest.files
    assert [spec["name"] for spec in shown["signature"]["inputs"]] == ["height", "width", "age"]


def test_show_of_what_is_not_registered(call: Call, trees: Trees, model_folder: Path) -> None:
    """A folder and a logged model are shown as well, under the digest of their files."""
    for uri in (str(model_folder), f"models:/{trees.model_id}"):
        shown = call("show", uri, "--json").json

        assert shown["digest"] == manifest_of(model_folder).digest
        assert (shown["registered"], shown["aliases"]) == (False, [])


def test_register_uploads_a_folder(call: Call, trees: Trees, model_folder: Path) -> None:
    """As the next version, pinned to the folder's digest, with its alias and tags."""
    digest = manifest_of(model_folder).digest
    tags = ("--tag", "by=me", "--tag", "note=a=b")
    done = call("register", str(model_folder), "--name", trees.name, "--alias", "new", *tags)

    assert done.out == (
        f"Registered {model_folder} as {trees.name} version 2, alias new.\nPinned to {digest}.\n"
    )
    recorded = trees.tags("2")
    assert (recorded["penstock.digest"], recorded["by"], recorded["note"]) == (digest, "me", "a=b")
    assert call("verify", f"{trees.name}@new").code == 0


@pytest.mark.parametrize("form", ["models:/{}", "runs:/{}/old/style", "runs:/{}/forest"])
def test_register_leaves_what_is_stored_where_it_is(
    call: Call, trees: Trees, model_folder: Path, form: str
) -> None:
    """A logged model, or one in a run; only the registry's entry is new."""
    run = trees.client.create_run(trees.client.get_experiment_by_name(trees.name).experiment_id)
    if "old" in form:
        trees.client.log_artifacts(run.info.run_id, str(model_folder), "old/style")
    if "forest" in form:
        logged = trees.client.create_logged_model(
            run.info.experiment_id, name="forest", source_run_id=run.info.run_id
        )
        trees.client.log_model_artifacts(logged.model_id, str(model_folder))
    uri = form.format(trees.model_id if form.startswith("models") else run.info.run_id)
    done = call("register", uri, "--name", f"{trees.name}-again", "--json")

    assert done.json["version"] == "1", done.err
    assert done.json["digest"] == manifest_of(model_folder).digest
    assert call("verify", f"{trees.name}-again/1").code == 0


def test_pin_records_once(call: Call, trees: Trees, model_folder: Path) -> None:
    """The digest that anyone can compute; a second time it only says so."""
    digest = manifest_of(model_folder).digest

    assert call("pin", trees.name).out == f"Pinned {trees.name} version 1 to {digest}.\n"
    assert trees.tags()["penstock.digest"] == digest
    again = call("pin", f"{trees.name}/1")
    assert again.out == f"{trees.name} version 1 was pinned already to {digest}.\n"


def test_pin_refuses_changed_files(call: Call, trees: Trees) -> None:
    """It shows both digests and names the files; `--force` records what is there now."""
    call("pin", trees.name)
    before = trees.tags()["penstock.digest"]
    (trees.stored / "model.skops").write_bytes(b"another model")
    (trees.stored / "more").write_bytes(b"")

    done = call("pin", trees.name)
    assert done.code == 1
    said = rf"^penstock: `{trees.name}` version 1 is pinned to {before}, but its files now have sha256:\w{{64}}: "
    assert re.match(said, done.err)
    assert "not registered: more; changed: model.skops" in done.err
    assert trees.tags()["penstock.digest"] == before
    forced = call("pin", trees.name, "--force")
    assert forced.out.endswith(f"; it was {before}.\n")
    assert trees.tags()["penstock.digest"] != before
    assert call("verify", trees.name).code == 0


def test_pin_mends_a_garbled_digest(call: Call, trees: Trees) -> None:
    """As the message of every other command says."""
    trees.client.set_model_version_tag(trees.name, "1", "penstock.digest", "sha256:0")
    refused = call("show", trees.name)
    assert refused.code == 1
    assert f"`penstock models pin {trees.name}/1 --force`" in refused.err

    assert call("pin", f"{trees.name}/1", "--force").code == 0
    assert call("show", trees.name).code == 0


def test_pin_all_goes_on_after_a_refusal(call: Call, trees: Trees) -> None:
    """Every version of the model is tried; the exit code tells that one was refused."""
    trees.add_version()
    trees.client.set_model_version_tag(trees.name, "2", "penstock.digest", "sha256:" + "0" * 64)
    done = call("pin", trees.name, "--all")

    assert done.code == 1
    assert f"`{trees.name}` version 2 is pinned to sha256:000" in done.err
    assert done.out.startswith(f"Pinned {trees.name} version 1 to sha256:")


def test_promote_moves_an_alias(call: Call, trees: Trees) -> None:
    """It says from where; a version that nobody pinned takes a word more."""
    trees.add_version()
    refused = call("promote", trees.name, "1", "--alias", "champion")
    assert refused.code == 1
    assert f"`penstock models pin {trees.name}/1` first" in refused.err
    assert call("promote", trees.name, "1", "--alias", "champion", "--unpinned").out == (
        f"{trees.name}@champion is now version 1; there was none.\n"
    )

    call("pin", trees.name)
    done = call("promote", trees.name, "2", "--alias", "champion", "--json")
    assert done.json == {"name": trees.name, "alias": "champion", "version": "2", "before": "1"}
    assert trees.client.get_model_version_by_alias(trees.name, "champion").version == "2"
    again = call("promote", trees.name, "latest", "--alias", "champion")
    assert again.out == f"{trees.name}@champion is version 2 already.\n"


def test_fetch_brings_the_files(
    call: Call, trees: Trees, model_folder: Path, tmp_path: Path
) -> None:
    """Into the cache, whose folder it prints, or all at once into a new folder."""
    call("pin", trees.name)
    cached = call("fetch", f"{trees.name}/1")
    assert manifest_of(Path(cached.out.strip())).digest == manifest_of(model_folder).digest
    assert Path(cached.out.strip()).is_relative_to(tmp_path / "home" / "cache")

    mine = tmp_path / "my models" / "trees"
    done = call("fetch", trees.name, "--to", str(mine), "--json")
    assert done.json["folder"] == str(mine)
    assert manifest_of(mine) == manifest_of(model_folder)
    (mine / "MLmodel").write_text("a copy is its owner's to change")
    again = call("fetch", trees.name, "--to", str(mine))
    assert again.code == 1
    assert again.err == f"penstock: {mine} is there already, and not empty: name a new folder.\n"


def test_fetch_says_that_nobody_vouches(call: Call, trees: Trees, tmp_path: Path) -> None:
    """On stderr: the folder on stdout is for whoever called it."""
    done = call("fetch", trees.name, "--to", str(tmp_path / "copy"))

    assert done.code == 0
    assert done.out == f"{tmp_path / 'copy'}\n"
    assert "version 1 is not pinned: nothing says which files it should have" in done.err


def test_fetch_refuses_what_was_changed(call: Call, trees: Trees, tmp_path: Path) -> None:
    """Nothing appears under the name that was asked for."""
    call("pin", trees.name)
    (trees.stored / "model.skops").write_bytes(b"another model")
    done = call("fetch", trees.name, "--to", str(tmp_path / "copy"))

    assert done.code == 1
    assert "changed: model.skops" in done.err
    assert not (tmp_path / "copy").exists()


def test_verify_names_each_file_that_differs(call: Call, trees: Trees) -> None:
    """The store is looked at anew, whatever the cache holds; for a program the verdict is on stdout too."""
    call("pin", trees.name)
    call("fetch", trees.name)
    good = call("verify", f"{trees.name}/1")
    assert (good.code, good.err) == (0, "")
    assert good.out.startswith(f"{trees.name}/1 is what it should be, by sha256:")

    (trees.stored / "model.skops").write_bytes(b"another model")
    (trees.stored / "conda.yaml").unlink()
    (trees.stored / "extra.py").write_text("import os")
    done = call("verify", f"{trees.name}/1", "--json")
    assert done.code == 1
    assert done.json["verified"] is False
    assert done.json["code"] == "digest_mismatch"
    for said in ("missing: conda.yaml", "not registered: extra.py", "changed: model.skops"):
        assert said in done.err
        assert said in done.json["error"]


def test_verify_of_a_folder_takes_a_digest_and_no_registry(
    call: Call, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It works where no registry is; against another digest both are named."""
    monkeypatch.setenv("PENSTOCK_TRACKING_URI", "http://127.0.0.1:1")
    digest = manifest_of(model_folder).digest
    assert call("verify", str(model_folder), "--digest", digest).code == 0

    done = call("verify", str(model_folder), "--digest", "sha256:" + "0" * 64)
    assert done.code == 1
    assert digest in done.err
    assert "sha256:000" in done.err


def test_verify_needs_something_to_hold_files_against(
    call: Call, trees: Trees, model_folder: Path
) -> None:
    """A version that is not pinned is an error; a folder without a digest is a wrong call."""
    unpinned = call("verify", trees.name)
    assert unpinned.code == 1
    assert f"run `penstock models pin {trees.name}/1`" in unpinned.err
    assert call("verify", str(model_folder)).code == 2


def test_a_signed_folder_is_verified_by_its_key(
    call: Call, trees: Trees, model_folder: Path, tmp_path: Path
) -> None:
    """`register --sign` puts the signature into the folder; another key does not open it."""
    pytest.importorskip("model_signing.signing", exc_type=ImportError)
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric import ec

    for name in ("mine", "other"):
        key = ec.generate_private_key(ec.SECP256R1())
        (tmp_path / name).write_bytes(
            key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
        )
        (tmp_path / f"{name}.pub").write_bytes(
            key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
        )
    folder = shutil.copytree(model_folder, tmp_path / "signed")
    sign = ("--sign", str(tmp_path / "mine"))
    assert call("register", str(folder), "--name", trees.name, *sign).code == 0

    model = f"{trees.name}/2"
    assert call("verify", model, "--signature", str(tmp_path / "mine.pub")).code == 0
    refused = call("verify", model, "--signature", str(tmp_path / "other.pub"))
    assert refused.code == 1
    assert "does not vouch" in refused.err


def test_register_makes_a_local_registry(
    call: Call, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first model of a newcomer: there is no registry yet, and nothing else of MLflow's is left lying about."""
    monkeypatch.delenv("PENSTOCK_TRACKING_URI")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    none = call("list")
    assert none.code == 1
    assert "There is no model registry at sqlite:///" in none.err

    done = call("register", str(model_folder), "--name", "trees")
    assert done.code == 0, done.err
    assert call("verify", "trees").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_registry_that_is_down_is_one_line(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its address and without its password, whichever command."""
    with closed() as address:
        monkeypatch.setenv("PENSTOCK_TRACKING_URI", f"http://me:hunter2@{address}")
        for arguments in (
            ("list",),
            ("show", "trees"),
            ("pin", "trees"),
            ("promote", "trees", "1", "--alias", "champion"),
            ("fetch", "trees", "--json"),
        ):
            done = call(*arguments)

            assert (done.code, done.out) == (1, "")
            assert done.err.startswith(
                f"penstock: The model registry http://me:***@{address} does not"
            )
            assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("list", "nothing"), 1, "has no model `nothing`. Registered are: "),
        (("show", "nothing@champion"), 1, "has no model `nothing`"),
        (("pin", "./nothing"), 1, "is not in the registry by a name: write NAME"),
        (("register", "models:/a/1", "--name", "b"), 1, "`a` is registered already"),
        (("register", "./nothing", "--name", "b"), 1, "There is no folder nothing"),
        (("register", "/", "--name", "b"), 1, "/ is not a model: its MLmodel file cannot be read"),
        (("register", "/", "--name", "a/b"), 1, "`a/b` cannot be a model's name"),
        (("register", "/", "--name", "b", "--alias", "v1"), 1, "`v1` cannot be an alias"),
        (("register", "/", "--name", "b", "--tag", "novalue"), 2, "KEY=VALUE"),
        (
            ("register", "s3://b/m", "--name", "b", "--sign", "k"),
            1,
            "Only a folder of this machine",
        ),
        (("promote", "nothing", "first", "--alias", "champion"), 2, "a number, or latest"),
        (("promote", "nothing", "1", "--alias", "latest"), 1, "`latest` cannot be an alias"),
        (("pin",), 2, "--all"),
        (("verify", "nothing", "--digest", "sha256:0"), 2, "64 hex digits"),
        (("fetch", "nothing", "--to", "/etc"), 1, "/etc is there already, and not empty"),
    ],
)
def test_a_mistake_is_said(call: Call, arguments: tuple[str, ...], code: int, says: str) -> None:
    """1 for what is wrong with the world, 2 for a wrong call; never a traceback."""
    done = call(*arguments)

    assert (done.code, done.out) == (code, "")
    assert says in " ".join(done.err.replace("│", " ").split())
    assert "Traceback" not in done.err

"""From a configuration to Ray Serve's: the committed pair agrees, and no application is lost or shared wrongly."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.commands.config import rendered
from deployments.errors import SpecError
from deployments.inference.mlmodel import Signature, TensorSpec
from deployments.inference.table import read_table
from deployments.registry.version import ModelVersion
from deployments.spec.args import VersionArgs
from deployments.spec.model import Spec
from deployments.spec.render import render
from tests.conftest import ROOT, ExampleRegistry

DIGEST = "sha256:" + 64 * "0"
ENDPOINT: dict[str, Any] = {
    "variants": {"only": {"model": "models:/digits/1"}},
    "traffic": {"split": {"only": 100}},
    "stages": {"preprocess": {"use": "images", "params": {"size": [8, 8]}}},
}


def resolve(uri: str) -> ModelVersion:
    """Stands in for a registry: rendering asks it for nothing but numbers, a signature and a digest."""
    name, version = uri.removeprefix("models:/").split("/")
    signature = Signature(inputs=(TensorSpec("image", "float32", (-1, 8, 8)),), outputs=())
    return ModelVersion(name, version, "file:///nowhere", signature=signature, digest=DIGEST)


def document(**endpoints: dict[str, Any]) -> dict[str, Any]:
    return render(Spec.model_validate({"endpoints": endpoints}), resolve)


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    endpoint = copy.deepcopy(ENDPOINT)
    change(endpoint)
    return endpoint


def applications(config: dict[str, Any]) -> dict[str, Any]:
    named = {application["name"]: application for application in config["applications"]}
    assert len(named) == len(config["applications"]), "two applications have one name"
    return named


def routes(config: dict[str, Any]) -> dict[tuple[str, str], str]:
    table = read_table(config["applications"][0]["deployments"][0]["user_config"])
    return {
        (name, each): variant.application
        for name, route in table.endpoints.items()
        for each, variant in route.variants.items()
    }


def test_the_committed_pair_agrees(
    example_registry: ExampleRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`serve_config.yaml` is what `configs/local.yaml` renders to against the example models, to the letter."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PENSTOCK_TRACKING_URI", example_registry.tracking_uri)
    assert (ROOT / "serve_config.yaml").read_text() == rendered(Path("configs/local.yaml"))


def test_the_same_input_renders_to_the_same_text() -> None:
    """No times and no random names: a second rendering shows no difference in a review."""
    assert document(digits=ENDPOINT) == document(digits=ENDPOINT)


def test_endpoints_that_ask_for_the_same_share_an_application() -> None:
    """One version in one form is in memory once, however many endpoints name it."""
    config = document(one=ENDPOINT, two=ENDPOINT)
    assert list(applications(config)) == ["edge", "digits-v1"]
    assert set(routes(config).values()) == {"digits-v1"}


def test_a_version_in_two_forms_is_two_applications() -> None:
    """The same version placed `together` for another endpoint has an application of its own, and is routed to."""
    together = changed(lambda one: one["stages"].update(placement="together"))
    config = document(one=ENDPOINT, two=together)
    found = applications(config)
    assert len(found) == 3
    at = routes(config)
    assert found[at["one", "only"]]["args"]["placement"] == "separate"
    assert found[at["two", "only"]]["args"]["placement"] == "together"


def test_variants_of_one_version_with_other_resources_each_have_their_own() -> None:
    """Three variants of version 1 on 0, half and one GPU: three applications, none of them overwritten."""

    def more(one: dict[str, Any]) -> None:
        for name, gpus in (("none", 0), ("half", 0.5), ("whole", 1)):
            one["variants"][name] = {"model": "models:/digits/1", "resources": {"num_gpus": gpus}}
        del one["variants"]["only"]
        one["traffic"]["split"] = {"none": 50, "half": 25, "whole": 25}

    config = document(digits=changed(more))
    found, at = applications(config), routes(config)
    gpus = {}
    for (_, variant), application in at.items():
        (model,) = (d for d in found[application]["deployments"] if d["name"] == "Model")
        gpus[variant] = model["ray_actor_options"]["num_gpus"]
    assert gpus == {"none": 0, "half": 0.5, "whole": 1}


def test_a_stage_that_does_nothing_has_no_deployment() -> None:
    """Without preprocessing and postprocessing a batch makes one hop."""
    bare = changed(lambda one: one.pop("stages"))
    (_edge, version) = document(bare=bare)["applications"]
    assert [each["name"] for each in version["deployments"]] == ["Model"]


def test_parameters_that_do_not_fit_their_stage_are_refused() -> None:
    """Images without a size cannot be made, and the refusal says of what."""
    endpoint = changed(lambda one: one["stages"]["preprocess"].update(params={}))
    with pytest.raises(SpecError, match=r"the images stage cannot be made of params \{\}"):
        document(digits=endpoint)


def test_a_stage_that_reads_answers_cannot_preprocess() -> None:
    """`classes` before the model is refused when rendered, not with a traceback."""
    endpoint = changed(lambda one: one["stages"].update(preprocess={"use": "classes"}))
    with pytest.raises(SpecError, match="the classes stage is none for preprocessing"):
        document(digits=endpoint)


def args(change: Callable[[dict[str, Any]], object] = lambda endpoint: None, **spec: Any) -> Any:
    """The arguments that a replica of the one version gets."""
    config = render(
        Spec.model_validate({"endpoints": {"digits": changed(change)}, **spec}), resolve
    )
    return applications(config)["digits-v1"]["args"]


def test_a_version_is_held_to_its_digest() -> None:
    """It stands in the file; `pin: version` leaves it to the registry's tag."""
    assert args()["model"] == {"name": "digits", "version": "1", "digest": DIGEST}
    assert args(pin="version")["model"] == {"name": "digits", "version": "1"}


def test_trust_none_is_written_out_and_never_in_production() -> None:
    """The message says what to do instead."""
    endpoint = changed(lambda e: e["variants"]["only"].update(trust="none"))
    spec = Spec.model_validate({"endpoints": {"digits": endpoint}})

    config = render(spec, resolve)
    assert applications(config)["digits-v1"]["args"]["model"]["trust"] == "none"
    with pytest.raises(SpecError, match=r"production.*penstock models pin digits/1"):
        render(spec, resolve, production=True)


def test_a_version_that_nobody_pinned_is_refused() -> None:
    """With the command that pins it."""

    def unpinned(uri: str) -> ModelVersion:
        return dataclasses.replace(resolve(uri), digest=None)

    with pytest.raises(SpecError, match="penstock models pin digits/1"):
        render(Spec.model_validate({"endpoints": {"digits": ENDPOINT}}), unpinned)


def test_files_without_a_registry_are_named_by_their_digest() -> None:
    """Where they are and what they are stands in the file, even with `pin: version`."""

    def unregistered(uri: str) -> ModelVersion:
        return dataclasses.replace(
            resolve("models:/digits/1"), version="0123456789ab", source="s3://b/p", registered=False
        )

    spec = Spec.model_validate({"endpoints": {"digits": ENDPOINT}, "pin": "version"})
    config = render(spec, unregistered)
    assert applications(config)["digits-v0123456789ab"]["args"]["model"] == {
        "name": "digits",
        "version": "0123456789ab",
        "digest": DIGEST,
        "source": "s3://b/p",
    }


def test_what_is_said_about_loading_reaches_the_replica() -> None:
    """The variant's own word before the endpoint's; what is at its default is left out."""
    loader = {"precision": "bfloat16", "compile": True}
    given = args(lambda e: e.update(loader=loader, load_timeout="2m"), flavors=["pytorch"])
    own = args(
        lambda e: (e.update(loader=loader), e["variants"]["only"].update(loader={"flavor": "onnx"}))
    )

    assert given["loader"] == loader
    assert (given["flavors"], given["load_timeout"]) == (["pytorch"], 120.0)
    assert own["loader"] == {"flavor": "onnx"}
    assert "loader" not in args()
    assert VersionArgs.model_validate(given).loader.options(("pytorch",)).precision == "bfloat16"


@pytest.mark.parametrize("deadline", ["2s", "1m"])
def test_a_stuck_batch_is_given_up_after_ten_deadlines(deadline: str) -> None:
    """But not within a minute: a first call may compile."""
    given = VersionArgs.model_validate(args(lambda e: e.update(deadline=deadline)))
    assert given.stuck_after == {"2s": 60, "1m": 600}[deadline]

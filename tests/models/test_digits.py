"""The digit models: what a newcomer's first run trains, registers and says."""

from __future__ import annotations

import re

import numpy as np
import pytest

from deployments.artifacts.manifest import manifest_of
from deployments.inference.loaders import load
from deployments.inference.mlmodel import Signature, TensorSpec
from deployments.registry.client import Registry
from deployments.registry.version import local_path

ALIASES = [("champion", "1", 0.95), ("challenger", "2", 0.98)]


def test_the_test_images_are_always_the_same_360(script):
    """The split is fixed and stratified: each digit makes up a tenth of the test images, give or take one."""
    load_split = script("digits").load_split
    once, again = load_split(), load_split()

    assert once.test_images.shape == (360, 8, 8)
    assert once.train_images.shape == (1437, 8, 8)
    assert np.array_equal(once.test_images, again.test_images)
    assert set(np.bincount(once.test_labels)) <= {35, 36, 37}
    assert (once.test_images.min(), once.test_images.max()) == (0, 16)


@pytest.mark.parametrize(("alias", "version", "required"), ALIASES)
def test_each_alias_names_a_version_as_good_as_it_was_registered(
    example_registry, script, alias, version, required
):
    """The registered accuracy is what the served artifact reaches on the 360 test images."""
    registry = Registry(example_registry.tracking_uri)
    split = script("digits").load_split()

    found = registry.resolve(f"models:/digits@{alias}")
    model = load(local_path(found.source), device="cpu", threads=1)
    images = split.test_images.astype(np.float32) / 16
    reached = (model({"image": images})["logits"].argmax(axis=1) == split.test_labels).mean()

    assert found.version == version
    assert float(found.tags["test_accuracy"]) == pytest.approx(reached, abs=1e-4)
    assert reached >= required


def test_the_signature_names_its_tensors(example_registry):
    """Images in, logits out, with any number of rows."""
    found = Registry(example_registry.tracking_uri).resolve("models:/digits@champion")

    assert found.signature == Signature(
        inputs=(TensorSpec("image", "float32", (-1, 8, 8)),),
        outputs=(TensorSpec("logits", "float32", (-1, 10)),),
    )


@pytest.mark.parametrize("alias", ["champion", "challenger"])
def test_each_version_is_pinned_to_its_files(example_registry, alias):
    """The script computes the digest with hashlib alone, and to the same that replicas verify."""
    registry = Registry(example_registry.tracking_uri)
    found = registry.resolve(f"models:/digits@{alias}")
    manifest = manifest_of(local_path(found.source))

    assert (found.digest, found.manifest) == (manifest.digest, manifest.text)


def test_accuracy_is_a_metric_of_the_logged_model(example_registry):
    """MLflow's own pages show the accuracy too, on the run that trained the model."""
    from mlflow import MlflowClient

    client = MlflowClient(example_registry.tracking_uri)
    version = client.get_model_version_by_alias("digits", "champion")
    metrics = client.get_run(version.run_id).data.metrics

    assert metrics["test_accuracy"] == pytest.approx(float(version.tags["test_accuracy"]), abs=1e-4)


def test_a_run_says_three_lines_and_nothing_else(example_registry):
    """None of MLflow's notices and none of torch's warnings reach the terminal."""
    lines = example_registry.said.stdout.splitlines()

    assert example_registry.said.stderr == ""
    assert len(lines) == 3
    assert re.search(r"MLP: 9\d\.\d% right .* version 1, alias champion", lines[1])
    assert re.search(r"CNN: 9\d\.\d% right .* version 2, alias challenger", lines[2])


def test_run_again_it_does_nothing_and_says_so(example_registry):
    """A second run trains nothing, registers nothing and succeeds."""
    again = example_registry.run()

    assert again.returncode == 0, again.stderr
    assert again.stdout == (
        "digits is registered already (champion is version 1, challenger is version 2); "
        "--force trains anew.\n"
    )
    assert Registry(example_registry.tracking_uri).resolve("models:/digits/latest").version == "2"


def test_a_model_that_is_not_good_enough_ends_the_script(script):
    """Below the required accuracy the script stops with one line and exit code 1."""
    digits = script("digits")
    candidate = digits.CANDIDATES[0]
    digits.judge(candidate, candidate.required)

    with pytest.raises(
        SystemExit, match=r"The MLP names 94\.9% of the test digits rightly; at least 95%"
    ):
        digits.judge(candidate, 0.949)

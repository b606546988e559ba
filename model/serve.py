"""Models on Ray Serve, for where one machine is outgrown.

    pip install -r requirements-ray.txt
    python -m model.serve --replicas 2                    on the machine or the cluster that computes
    HEADLIGHT_BACKEND=http://127.0.0.1:8000 streamlit run app.py      on the one that draws

Each replica opens what it is asked for. Requests are whole in themselves: what a replica that died had computed,
another computes again. Equal runs go to the replica that has them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from typing import Any

from model.answers import Answers


def application(replicas: int = 1, gpus: float = 0.0, threads: int | None = None) -> Any:
    """The Ray Serve application: `replicas` processes, each with this many GPUs and CPU threads."""
    from ray import serve
    from starlette.requests import Request
    from starlette.responses import Response

    @serve.deployment(
        name="headlight",
        num_replicas=replicas,
        max_ongoing_requests=8,
        health_check_period_s=2,
        health_check_timeout_s=10,
        ray_actor_options={"num_cpus": 0, "num_gpus": gpus},
    )
    class Headlight:
        def __init__(self) -> None:
            if threads:
                import torch

                torch.set_num_threads(threads)
            self.answers = Answers()

        @serve.multiplexed(max_num_models_per_replica=200)  # type: ignore[untyped-decorator, unused-ignore]
        async def run(self, key: str) -> str:
            """Tells Ray Serve which runs this replica has, so that it is asked for them again."""
            return key

        async def __call__(self, request: Request) -> Response:
            key = serve.get_multiplexed_model_id()
            if key:
                await self.run(key)
            body = await request.body()
            status, reply = await asyncio.get_running_loop().run_in_executor(None, self.answers.answer, body)
            return Response(reply, status, media_type="application/octet-stream", headers={"replica": str(os.getpid())})

    return Headlight.bind()  # type: ignore[attr-defined, unused-ignore]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--gpus", type=float, default=0.0, help="for each replica")
    parser.add_argument("--threads", type=int, help="CPU threads of each replica")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args()
    from ray import serve

    serve.start(http_options={"host": args.host, "port": args.port})
    serve.run(application(args.replicas, args.gpus, args.threads), name="headlight")
    print(f"HEADLIGHT_BACKEND=http://{args.host}:{args.port} streamlit run app.py", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()

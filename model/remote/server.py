"""Models on Ray Serve, for where one machine is outgrown.

    pip install -r requirements-ray.txt
    python -m model.remote.server --replicas 2                                on the machine that computes
    HEADLIGHT_BACKEND=http://127.0.0.1:8000 streamlit run app.py      on the one that draws

On a cluster (`ray start --head` on one machine, `ray start --address=HEAD:6379` on the others) the same command puts
the models there, and the app can also reach them as a client of the cluster: HEADLIGHT_BACKEND=ray://HEAD:10001.

A request goes to the shorter queue of two replicas picked by chance, so a slow one gets less to do; what belongs to a
run that was computed goes to the replica that has it. Requests are whole in themselves: what a replica that died had
computed, another computes again. Equal requests are computed once by a replica.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from model.memory import allocator
from model.remote.request_handler import RequestHandler
from model.remote.transport import APP, Reply

ONGOING = 8  # requests that a replica works on at once; the others wait for whichever replica is free first
# A cluster's other machines need no copy of the code: it is sent to them.
ENVIRONMENT = {
    "working_dir": str(Path(__file__).parents[2]),
    "excludes": ["/tests", "/viz", "/static", "/.git", "/.ci", "/.venv", "/runs"],
    "env_vars": {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60"},  # a busy machine needs more than the usual 5
}


def application(
    replicas: int = 1,
    gpus: float = 0.0,
    threads: int | None = None,
    answers: Callable[[], RequestHandler] = RequestHandler,
) -> Any:
    """The Ray Serve application.

    Args:
        replicas: how many processes; gpus, threads: of each.
        answers: makes what a replica answers with.
    """
    from ray import serve
    from starlette.requests import Request
    from starlette.responses import Response

    @serve.deployment(
        name="headlight",
        num_replicas=replicas,
        max_ongoing_requests=ONGOING,
        health_check_period_s=2,
        health_check_timeout_s=10,
        ray_actor_options={"num_cpus": 0, "num_gpus": gpus},
    )
    class Headlight:
        async def __init__(self) -> None:  # type: ignore[misc, unused-ignore]
            allocator.settle()
            if threads:
                import torch

                torch.set_num_threads(threads)
            self.answers = answers()
            self.threads = ThreadPoolExecutor(ONGOING)
            self.name: str = serve.get_replica_context().replica_id.unique_id
            await self.known_as(self.name)

        @serve.multiplexed(max_num_models_per_replica=1)  # type: ignore[untyped-decorator, unused-ignore]
        async def known_as(self, name: str) -> str:
            """Tells Ray Serve this replica's name, so that what belongs to a run comes to the replica that has it."""
            return name

        async def ask(self, body: bytes) -> Reply:
            """For clients of the cluster."""
            status, reply = await asyncio.get_running_loop().run_in_executor(self.threads, self.answers.answer, body)
            return status, reply, self.name

        async def __call__(self, request: Request) -> Response:
            """For HTTP."""
            status, reply, name = await self.ask(await request.body())
            return Response(reply, status, media_type="application/octet-stream", headers={"replica": name})

    return Headlight.bind()  # type: ignore[attr-defined, unused-ignore]


def share(replicas: int, gpus: int) -> float:
    """How many GPUs each replica gets where so many are there: one at most, and as many replicas on one as needed."""
    return 1 / math.ceil(replicas / gpus) if gpus else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--gpus", type=float, help="of each replica; if not given, an equal share of those there are")
    parser.add_argument("--device", default="auto", help="of each replica: cuda, 'cuda, bfloat16', cpu, ...")
    parser.add_argument("--threads", type=int, help="CPU threads of each replica; Ray gives it one if not given")
    parser.add_argument("--host", default="127.0.0.1", help="that HTTP listens on; 0.0.0.0 for other machines")
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args()
    import ray
    from ray import serve

    ray.init(namespace="serve", runtime_env=ENVIRONMENT)
    gpus = share(args.replicas, int(ray.cluster_resources().get("GPU", 0))) if args.gpus is None else args.gpus
    serve.start(proxy_location="EveryNode", http_options={"host": args.host, "port": args.port})
    serve.run(application(args.replicas, gpus, args.threads, partial(RequestHandler, args.device)), name=APP)
    print(f"HEADLIGHT_BACKEND=http://{args.host}:{args.port} streamlit run app.py", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()

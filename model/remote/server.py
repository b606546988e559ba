"""The server: models on Ray Serve, in one or more replicas on one or more machines.

    pip install -r requirements-ray.txt
    python -m model.remote.server --replicas 2                                on the machine that computes
    HEADLIGHT_BACKEND=http://127.0.0.1:8000 streamlit run app.py              on the one that draws

On a cluster (`ray start --head` on one machine, `ray start --address=HEAD:6379` on the others) the same command
deploys the models there, and the app can also be a client of the cluster: HEADLIGHT_BACKEND=ray://HEAD:10001.

A request goes to the shorter queue of two randomly chosen replicas, so a slow replica gets fewer; a request for a run
that was computed goes to the replica that has it. Requests are self-contained: a run that a dead replica had computed
is computed again by another. A replica computes equal requests once.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.memory import allocator
from model.remote.access import (
    SECRET_HEADER,
    SECRET_VARIABLE,
    follow_token_mode,
    is_loopback,
    is_wrong_token,
    token_sentence,
)
from model.remote.messages import MAX_REQUEST_BYTES, STATUS_TOO_LARGE
from model.remote.request_handler import TOO_LARGE, RequestHandler
from model.remote.transport import SERVE_APP, Reply
from model.settings.reading import SettingsError, read
from model.settings.settings import ALONE, Settings, install

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_ONGOING_REQUESTS = 8  # per replica; further requests wait for the replica that is free first
# Ray copies the code to the other machines of a cluster.
RUNTIME_ENV = {
    "working_dir": str(Path(__file__).parents[2]),
    "excludes": ["/tests", "/viz", "/static", "/.git", "/.ci", "/.venv", "/runs"],
    "env_vars": {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60"},  # the default of 5 is too short on a busy machine
}


def application(
    replicas: int = 1,
    gpus: float = 0.0,
    threads: int | None = None,
    make_handler: Callable[[], RequestHandler] = RequestHandler,
    allowed: Settings = ALONE,
) -> Any:
    """The Ray Serve application, bound and ready for `serve.run`.

    Args:
        replicas: number of processes.
        gpus: GPUs of each replica, also a fraction.
        threads: CPU threads of each replica; None for Ray's default, which is one.
        make_handler: makes the handler of a replica's requests.
        allowed: the settings that hold in each replica, whatever the environment of its machine says.
    """
    from ray import serve
    from starlette.responses import Response

    @serve.deployment(
        name="headlight",
        num_replicas=replicas,
        max_ongoing_requests=MAX_ONGOING_REQUESTS,
        health_check_period_s=2,
        health_check_timeout_s=10,
        ray_actor_options={"num_cpus": 0, "num_gpus": gpus},
    )
    class Headlight:
        async def __init__(self) -> None:  # type: ignore[misc, unused-ignore]
            allocator.retain_freed_memory()
            install(allowed)
            if threads:
                import torch

                torch.set_num_threads(threads)
            self.handler = make_handler()
            self.executor = ThreadPoolExecutor(MAX_ONGOING_REQUESTS)
            self.name: str = serve.get_replica_context().replica_id.unique_id
            await self.register_replica(self.name)

        @serve.multiplexed(max_num_models_per_replica=1)  # type: ignore[untyped-decorator, unused-ignore]
        async def register_replica(self, name: str) -> str:
            """Registers this replica as a "model" of its own name, so that Ray Serve can route requests to it."""
            return name

        async def ask(self, body: bytes, secret: str = "") -> Reply:
            """Respond to a Ray client; the method's name is `SERVE_METHOD`."""
            answer = asyncio.get_running_loop().run_in_executor(self.executor, self.handler.handle, body, secret)
            return (*await answer, self.name)

        async def __call__(self, request: Request) -> Response:
            """Respond to an HTTP request; the body of one without the secret, or of one too large, is not kept."""
            secret = request.headers.get(SECRET_HEADER, "")
            body = await bounded_body(request) if self.handler.allows(secret) else b""
            if body is None:
                return Response(TOO_LARGE, STATUS_TOO_LARGE)
            status, reply, name = await self.ask(body, secret)
            return Response(reply, status, media_type="application/octet-stream", headers={"replica": name})

    return Headlight.bind()  # type: ignore[attr-defined, unused-ignore]


async def bounded_body(request: Request) -> bytes | None:
    """The body of an HTTP request; None where it is larger than a message may be."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_REQUEST_BYTES:
            return None
    return bytes(body)


def gpus_per_replica(replicas: int, gpus: int) -> float:
    """The GPUs of each replica on a cluster with so many: one at most, or an equal fraction of a shared one."""
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
    secret = os.environ.get(SECRET_VARIABLE, "")
    if not secret and not is_loopback(args.host):
        parser.error(
            f"{args.host} is reached from other computers. Set {SECRET_VARIABLE} to a long word that nobody guesses, "
            f"here and where the app runs; without one only 127.0.0.1 is served."
        )
    try:
        allowed = read(shared=not is_loopback(args.host))
    except SettingsError as error:
        parser.error(str(error))
    follow_token_mode()
    import ray
    from ray import serve

    try:
        ray.init(namespace="serve", runtime_env=RUNTIME_ENV)
    except Exception as error:  # Ray wraps its error of a wrong token in others
        if not is_wrong_token(error):
            raise
        parser.exit(2, f"{token_sentence('The Ray cluster')}\n")
    gpus = (
        gpus_per_replica(args.replicas, int(ray.cluster_resources().get("GPU", 0))) if args.gpus is None else args.gpus
    )
    serve.start(proxy_location="EveryNode", http_options={"host": args.host, "port": args.port})
    make_handler = partial(RequestHandler, args.device, secret)
    serve.run(application(args.replicas, gpus, args.threads, make_handler, allowed), name=SERVE_APP)
    print(f"HEADLIGHT_BACKEND=http://{args.host}:{args.port} streamlit run app.py", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()

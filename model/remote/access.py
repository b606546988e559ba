"""Who may ask a server for models: the shared secret, and the token mode of Ray."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Any

SECRET_VARIABLE = "HEADLIGHT_SECRET"  # in the environment of the server and of the app
SECRET_HEADER = "x-headlight-secret"  # of HTTP
# Of Ray: https://docs.ray.io/en/latest/ray-security/token-auth.html
MODE_VARIABLE, TOKEN_VARIABLE, TOKEN_PATH_VARIABLE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


def is_loopback(host: str) -> bool:
    """Whether a host is this computer alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def follow_token_mode() -> None:
    """Switch Ray's token mode on where there is a token and nothing says otherwise; before Ray is imported.

    `ray start --head` does so, and a driver or client that is given the cluster's address does not: it would be turned
    away as if it had no token.
    """
    if MODE_VARIABLE not in os.environ and _has_token():
        os.environ[MODE_VARIABLE] = "token"


def _has_token() -> bool:
    if os.environ.get(TOKEN_VARIABLE):
        return True
    try:
        file = Path(os.environ.get(TOKEN_PATH_VARIABLE) or Path.home() / ".ray" / "auth_token")
        return bool(file.read_text(encoding="utf-8").strip())
    except (OSError, RuntimeError, ValueError):  # RuntimeError: there is no home folder
        return False


def is_wrong_token(error: BaseException | None) -> bool:
    """Whether an error, or one that it comes from, says that a cluster of Ray does not know this computer's token."""
    while error is not None:
        if type(error).__name__ == "AuthenticationError" or "InvalidAuthToken" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def client_is_turned_away(address: str) -> bool:
    """Whether the client's door of a cluster turns this computer's token away; Ray's client would try for minutes.

    Args:
        address: host and port.
    """
    import grpc
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated import ray_client_pb2, ray_client_pb2_grpc

    messages: Any = ray_client_pb2  # whose names are made when it is imported

    channel = init_grpc_channel(address)
    try:
        request = messages.ClusterInfoRequest(type=messages.ClusterInfoType.PING)
        ray_client_pb2_grpc.RayletDriverStub(channel).ClusterInfo(
            request, timeout=5, metadata=[("client_id", "headlight")]
        )
    except grpc.RpcError as error:
        return error.code() == grpc.StatusCode.UNAUTHENTICATED
    finally:
        channel.close()
    return False


def token_sentence(cluster: str) -> str:
    """What to do where a cluster turns this computer away. cluster: its name, as the sentence begins"""
    return (
        f"{cluster} asks for a token, and this computer has none or another one. Copy the file ~/.ray/auth_token of "
        f"the head here, or set {TOKEN_VARIABLE}, and set {MODE_VARIABLE}=token."
    )

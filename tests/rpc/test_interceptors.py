"""An application of plain gRPC does the same with the interceptors as without, in both stacks."""

import asyncio
from typing import Any

import grpc.aio

from rescind import rpc

from . import shop
from .sides import Sides


def test_a_synchronous_application_sees_the_same_with_interceptors(sides: Sides) -> None:
    with shop.serving() as port, shop.channel_to(port) as channel:
        bare = shop.everything(channel)
    with (
        shop.serving([rpc.server_interceptor(sides.server.runtime)]) as port,
        shop.channel_to(port, rpc.client_interceptors(sides.client.runtime)) as channel,
    ):
        watched = shop.everything(channel)
    assert watched == bare


def test_an_asynchronous_application_sees_the_same_with_interceptors(sides: Sides) -> None:
    async def main(*, is_watched: bool) -> list[Any]:
        on_server = [rpc.aio_server_interceptor(sides.server.runtime)] if is_watched else []
        on_client = rpc.aio_client_interceptors(sides.client.runtime) if is_watched else []
        async with (
            shop.aio_serving(on_server) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=on_client) as channel,
        ):
            return await shop.aio_everything(channel)

    bare = asyncio.run(main(is_watched=False))
    watched = asyncio.run(main(is_watched=True))
    assert watched == bare

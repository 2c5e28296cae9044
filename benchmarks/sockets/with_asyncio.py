from __future__ import annotations

import asyncio

from . import serving

globals().update(serving.python("with_asyncio"))


async def _answer(reader, writer):
    writer.write(await reader.readexactly(serving.SIZE))
    await writer.drain()
    writer.close()


def serve(model, say):
    async def main():
        server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=4096)
        say(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())

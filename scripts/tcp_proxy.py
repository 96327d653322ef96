#!/usr/bin/env python3
"""Forwards loopback TCP connections, and breaks them when told: the cable that a fault test pulls.

usage: scripts/tcp_proxy.py NAME:LISTEN_PORT:TARGET_PORT ...

Reads one command a line from standard input and answers each with "ok":
  cut NAME      ends all connections and refuses new ones
  freeze NAME   keeps connections and takes new ones, but passes nothing on
  reset NAME    ends all connections, once
  open NAME     passes everything on again
It ends with its standard input. Standard library only.
"""
import asyncio
import os
import socket
import struct
import sys

CHUNK = 1 << 16
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Link:
    """One listening port and what goes through it."""

    def __init__(self, port, target):
        self.port, self.target = port, target
        self.server = None
        self.writers = set()
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def listen(self):
        if self.server is None:
            self.server = await asyncio.start_server(self.take, "127.0.0.1", self.port, backlog=512)

    async def refuse(self):
        if self.server is not None:
            self.server.close()
            self.server = None

    def reset(self):
        for writer in list(self.writers):
            # Without the option the peers would see an orderly end.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            writer.transport.abort()

    async def take(self, reader, writer):
        self.writers.add(writer)
        far_writer = None
        try:
            await self.is_open.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            self.writers.add(far_writer)
            await asyncio.gather(self.pass_on(reader, far_writer), self.pass_on(far_reader, writer))
        except OSError:
            pass  # Either side is gone; so is the other, below.
        finally:
            for end in (writer, far_writer):
                if end is not None:
                    self.writers.discard(end)
                    end.transport.abort()

    async def pass_on(self, reader, writer):
        while data := await reader.read(CHUNK):
            await self.is_open.wait()
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def obey(self, command):
        if command == "cut":
            await self.refuse()
            self.reset()
        elif command == "freeze":
            self.is_open.clear()
        elif command == "reset":
            self.reset()
        elif command == "open":
            self.is_open.set()
            await self.listen()
        else:
            raise ValueError(command)


async def main():
    links = {}
    for argument in sys.argv[1:]:
        name, port, target = argument.split(":")
        links[name] = Link(int(port), int(target))
        await links[name].listen()
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    print("ok", flush=True)
    while line := await commands.readline():
        command, name = line.decode().split()
        await links[name].obey(command)
        print("ok", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        sys.exit(0 if len(sys.argv) > 1 else 2)
    asyncio.run(main())
    os._exit(0)  # The connections that are left are not waited for.

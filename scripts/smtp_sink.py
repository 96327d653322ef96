#!/usr/bin/env python3
"""A small SMTP server for tests on loopback: every message becomes one .eml file in a folder, and goes no further.

usage: scripts/smtp_sink.py PORT FOLDER [--delay SECONDS] [--tempfail PERCENT] [--refuse PERCENT] [--seed N]

A file begins with the lines X-Envelope-From and X-Envelope-To. It is on the disk, under its name, before "250" is said:
an accepted message is never lost by killing this server, but one that was not acknowledged may be there.
--delay waits before that 250, --tempfail answers so many messages 451, --refuse so many recipients 550.

Standard library only.
"""
import argparse
import asyncio
import itertools
import os
import pathlib
import random
import time

LINE_LIMIT = 1 << 20
IDLE_LIMIT = 300  # Seconds without a command.


class Store:
    """The folder of mails."""

    def __init__(self, folder):
        self.folder, self.numbers = folder, itertools.count(1)
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, sender, recipients, data):
        name = f"{time.time_ns()}-{os.getpid()}-{next(self.numbers)}"
        unfinished = self.folder / f"{name}.tmp"
        with unfinished.open("wb") as file:
            file.write(f"X-Envelope-From: {sender}\r\nX-Envelope-To: {', '.join(recipients)}\r\n".encode())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self.folder / f"{name}.eml")


class Session:
    """One client's connection."""

    def __init__(self, reader, writer, store, options, rng):
        self.reader, self.writer, self.store, self.options, self.rng = reader, writer, store, options, rng
        self.sender, self.recipients = "", []

    async def say(self, text):
        self.writer.write(f"{text}\r\n".encode())
        await self.writer.drain()

    async def run(self):
        await self.say("220 sink ESMTP")
        while line := await asyncio.wait_for(self.reader.readline(), IDLE_LIMIT):
            text = line.decode("utf-8", "replace").strip()
            verb = text[:4].upper()
            if verb == "QUIT":
                await self.say("221 bye")
                return
            await self.answer(verb, text)

    async def answer(self, verb, text):
        if verb == "EHLO":
            await self.say("250-sink\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-PIPELINING\r\n250 SIZE 10485760")
        elif verb in ("HELO", "NOOP"):
            await self.say("250 ok")
        elif verb == "RSET":
            self.sender, self.recipients = "", []
            await self.say("250 ok")
        elif verb == "MAIL":
            self.sender, self.recipients = address_of(text), []
            await self.say("250 ok")
        elif verb == "RCPT":
            if self.happens(self.options.refuse):
                await self.say("550 5.1.1 no such mailbox")
            else:
                self.recipients.append(address_of(text))
                await self.say("250 ok")
        elif verb == "DATA":
            await self.take_message()
        else:
            await self.say("500 5.5.2 unknown command")

    async def take_message(self):
        if not self.recipients:
            await self.say("503 5.5.1 no recipient")
            return
        await self.say("354 go ahead")
        data = bytearray()
        while (line := await self.reader.readline()) not in (b".\r\n", b".\n"):
            if not line:
                raise ConnectionResetError
            data += line[1:] if line.startswith(b"..") else line
        await asyncio.sleep(self.options.delay)
        if self.happens(self.options.tempfail):
            await self.say("451 4.3.0 try again later")
            return
        self.store.add(self.sender, self.recipients, bytes(data))
        await self.say("250 2.0.0 stored")

    def happens(self, percent):
        return self.rng.uniform(0, 100) < percent


def address_of(command):
    """What stands between < and > in MAIL FROM:<...> or RCPT TO:<...>."""
    return command.partition("<")[2].partition(">")[0]


async def serve(options):
    store, rng = Store(options.folder), random.Random(options.seed)

    async def client(reader, writer):
        try:
            await Session(reader, writer, store, options, rng).run()
        except (OSError, asyncio.TimeoutError, ValueError):
            pass  # The client is gone, or sent a line beyond all limits.
        finally:
            writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", options.port, limit=LINE_LIMIT, backlog=256)
    async with server:
        await server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("--tempfail", type=float, default=0)
    parser.add_argument("--refuse", type=float, default=0)
    parser.add_argument("--seed", type=int)
    try:
        asyncio.run(serve(parser.parse_args()))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Puts load on the built programs and shows what clients feel meanwhile: a storm of logins, ten thousand idle connections,
SIGHUP and SIGTERM to the gateway. A separate gateway stands before the embedded program's identity-svc.

usage: scripts/load_test.py [--bin FOLDER] [storm|idle|reload|stop ...]

FOLDER has `gatehouse` and `gateway` (default: target/release). Prints a line for each figure with its target, and
"N passed, N failed" at the end; exit status 1 when a target is missed. Standard library only; loopback only.
"""
import argparse
import asyncio
import json
import os
import pathlib
import random
import re
import resource
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PASSWORD = "Quartz-Lamp-9"
# What the gateway shows to identity-svc, so that it is believed.
INTERNAL_SECRET = secrets.token_urlsafe(32)
IDLE = 10_000
CLIENTS = 32
results = []


def check(what, value, relation, limit, unit=""):
    good = value <= limit if relation == "<=" else value >= limit
    results.append(good)
    print(f"{what:<64} {value:>9.2f} {unit:<3} ({relation} {limit}) {'ok' if good else 'MISSED'}", flush=True)


def free_ports(count):
    """Loopback ports below the range from which the kernel takes clients' ports."""
    held = []
    while len(held) < count:
        listener = socket.socket()
        try:
            listener.bind(("127.0.0.1", random.randrange(20000, 32000)))
            held.append(listener)
        except OSError:
            listener.close()
    ports = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return ports


class Client:
    """One keep-alive connection. `ask` gives status and body; status 0: no answer to a request that was sent."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, path, body, headers=""):
        data = json.dumps(body).encode()
        head = f"POST /api/auth/{path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(data)}\r\n\r\n"
        try:
            self.writer.write(head.encode() + data)
            answer = await self.reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"(?i)content-length: (\d+)", answer)[1])
            text = await self.reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self.writer.close()
            self.writer = None
            return 0, b"", False
        is_last = re.search(rb"(?i)\r\nconnection: close", answer) is not None
        if is_last:
            self.writer.close()
            self.writer = None
        return int(answer[9:12]), text, is_last


class Stack:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.data = tempfile.mkdtemp(prefix="gatehouse-load-")
        self.embedded, self.identity, self.port, self.admin = free_ports(4)
        self.processes = []

    def start(self, name, **settings):
        log = open(os.path.join(self.data, name + ".log"), "ab")
        process = subprocess.Popen([self.folder / name], env=settings, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    async def begin(self):
        self.start("gatehouse", GATEHOUSE_DATA_DIR=self.data, GATEHOUSE_GATEWAY_LISTEN=f"127.0.0.1:{self.embedded}",
                   GATEHOUSE_IDENTITY_LISTEN=f"127.0.0.1:{self.identity}", GATEHOUSE_LOG="warn",
                   GATEHOUSE_INTERNAL_SECRET=INTERNAL_SECRET, GATEHOUSE_IDENTITY_LOGIN_FAILURES="0",
                   GATEHOUSE_IDENTITY_ACCESS_TOKEN_SECONDS="3600")
        self.gateway = self.start_gateway()
        client = await self.client()
        status, text, _ = await client.ask("registration/", {"username": "load", "email": "load@example.org",
                                                             "password1": PASSWORD, "password2": PASSWORD})
        assert status == 201, (status, text)
        self.token = json.loads(text)["access"]

    def start_gateway(self):
        return self.start("gateway", GATEHOUSE_GATEWAY_LISTEN=f"127.0.0.1:{self.port}", GATEHOUSE_LOG="warn",
                          GATEHOUSE_GATEWAY_ADMIN_LISTEN=f"127.0.0.1:{self.admin}", GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE="0",
                          GATEHOUSE_GATEWAY_IDENTITY_URL=f"http://127.0.0.1:{self.identity}",
                          GATEHOUSE_INTERNAL_SECRET=INTERNAL_SECRET)

    async def client(self, limit=20):
        """A connection to a gateway that is ready."""
        until = time.monotonic() + limit
        while True:
            try:
                client = Client(self.port)
                await client.open()
                status, _, _ = await client.ask("token/verify/", {"token": "x"})
                if status == 401:
                    return client
            except OSError:
                pass
            assert time.monotonic() < until, "the programs do not answer: " + self.data
            await asyncio.sleep(0.05)

    def end(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                process.wait(40)
        shutil.rmtree(self.data)


async def verify_times(stack, seconds, pause=0.02):
    """Milliseconds of good token/verify/ calls at a steady low pace."""
    client, times, until = await stack.client(), [], time.monotonic() + seconds
    while time.monotonic() < until:
        begun = time.perf_counter()
        status, text, _ = await client.ask("token/verify/", {"token": stack.token})
        assert status == 200, (status, text)
        times.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(pause)
    return times


async def log_in_until(stack, until, answers):
    client = await stack.client()
    while time.monotonic() < until:
        begun = time.perf_counter()
        status, _, _ = await client.ask("login/", {"username": "load", "password": PASSWORD})
        answers.append((status, (time.perf_counter() - begun) * 1000))
        if status == 503:
            await asyncio.sleep(0.1)


async def storm(stack):
    quiet = await verify_times(stack, 3)
    print(f"token/verify/, nothing else going on: p50 {statistics.median(quiet):.2f} ms")
    # 16 as many peers are measured with; 48, so that there is a surplus.
    for clients in (16, 48):
        answers, until = [], time.monotonic() + 10
        work = [log_in_until(stack, until, answers) for _ in range(clients)]
        times, *_ = await asyncio.gather(verify_times(stack, 10), *work)
        counts = {status: sum(1 for found, _ in answers if found == status) for status in sorted({s for s, _ in answers})}
        print(f"{clients} clients logging in: answers {counts}")
        check(f"{clients} clients logging in: token/verify/ p50", statistics.median(times), "<=", 2, "ms")
        strange = sum(count for status, count in counts.items() if status not in (200, 503))
        check(f"{clients} clients logging in: answers but 200 and 503", strange, "<=", 0)
        refused = [took for status, took in answers if status == 503]
        if clients > 16:
            check(f"{clients} clients logging in: logins refused", len(refused), ">=", 1)
        if refused:
            check(f"{clients} clients logging in: slowest 503", max(refused), "<=", 100, "ms")


async def idle(stack):
    connections = []
    for begin in range(0, IDLE, 200):
        opened = await asyncio.gather(*(stack.client() for _ in range(min(200, IDLE - begin))))
        connections.extend(opened)
    await asyncio.sleep(1)
    status = pathlib.Path(f"/proc/{stack.gateway.pid}/status").read_text()
    resident = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024
    check(f"{IDLE} idle connections: the gateway's resident memory", resident, "<=", 100, "MB")
    times = await verify_times(stack, 3)
    check(f"{IDLE} idle connections: token/verify/ p50 of others", statistics.median(times), "<=", 2, "ms")
    open_ones = 0
    for client in connections[:: IDLE // 100]:
        status, _, _ = await client.ask("token/verify/", {"token": stack.token})
        open_ones += status == 200
    check(f"{IDLE} idle connections: still good, of {len(connections[:: IDLE // 100])}", open_ones, ">=", len(connections[:: IDLE // 100]))
    for client in connections:
        client.writer.close()


async def load_until(stack, done, counts):
    """Requests one after the other; a connection that the gateway has announced to close is opened again."""
    client = await stack.client()
    while not done.is_set():
        if client.writer is None:
            client = Client(stack.port)
            try:
                await client.open()
            except OSError:
                counts["refused"] += 1
                await asyncio.sleep(0.05)
                client.writer = None
                continue
        status, _, _ = await client.ask("token/verify/", {"token": stack.token})
        counts["answered" if status == 200 else "no answer" if status == 0 else "failed"] += 1


async def under_load(stack, act):
    counts = {"answered": 0, "failed": 0, "no answer": 0, "refused": 0}
    done = asyncio.Event()
    work = [asyncio.create_task(load_until(stack, done, counts)) for _ in range(CLIENTS)]
    await asyncio.sleep(1)
    await act()
    await asyncio.sleep(1)
    done.set()
    await asyncio.gather(*work)
    return counts


async def reload(stack):
    async def act():
        for _ in range(20):
            stack.gateway.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.1)

    counts = await under_load(stack, act)
    print(f"20 SIGHUP under load: {counts}")
    check("20 SIGHUP under load: requests failed", counts["failed"] + counts["no answer"] + counts["refused"], "<=", 0)


async def stop(stack):
    failed, refused, answered = 0, 0, 0
    for _ in range(5):
        async def act():
            stack.gateway.send_signal(signal.SIGTERM)
            code = await asyncio.to_thread(stack.gateway.wait, 40)
            assert code == 0, code
            stack.gateway = stack.start_gateway()

        counts = await under_load(stack, act)
        failed += counts["failed"] + counts["no answer"]
        refused, answered = refused + counts["refused"], answered + counts["answered"]
    print(f"5 times SIGTERM and a new start under load: {answered} answered, {refused} attempts to connect while it was away")
    check("5 times SIGTERM under load: requests sent and not answered well", failed, "<=", 0)


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=str(ROOT / "target" / "release"))
    parser.add_argument("parts", nargs="*", choices=[[], "storm", "idle", "reload", "stop"])
    options = parser.parse_args()
    need = IDLE + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < need:
        sys.exit(f"{need} open files are needed and {hard} are allowed: ulimit -n {need}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), hard))
    stack = Stack(options.bin)
    try:
        await stack.begin()
        for part in options.parts or ["storm", "idle", "reload", "stop"]:
            await {"storm": storm, "idle": idle, "reload": reload, "stop": stop}[part](stack)
    finally:
        stack.end()
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(0 if all(results) else 1)


asyncio.run(main())

#!/usr/bin/env python3
"""Measures the built program: size, start to first answer, memory when idle. The figures of the README come from here.

usage: scripts/measure.py [PROGRAM]        (default: target/release/gatehouse)

Starts it eleven times with an empty data folder on a free loopback port; stops what it started.
"""
import http.client
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 11
ROOT = pathlib.Path(__file__).resolve().parent.parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(port, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/api/auth/" + path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def start(program, data):
    """The process, its port, and the milliseconds from its start to its first answer."""
    port = free_port()
    environment = {"GATEHOUSE_DATA_DIR": data, "GATEHOUSE_GATEWAY_LISTEN": f"127.0.0.1:{port}", "GATEHOUSE_LOG": "error"}
    begin = time.perf_counter()
    process = subprocess.Popen([program], env=environment, stdout=subprocess.DEVNULL)
    while True:
        try:
            status = post(port, "token/verify/", '{"token": "x"}')
            return process, port, (time.perf_counter() - begin) * 1000, status
        except OSError:
            if process.poll() is not None or time.perf_counter() - begin > 10:
                sys.exit(f"{program} does not answer")
            time.sleep(0.002)


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "target" / "release" / "gatehouse")
    times = []
    for run in range(RUNS):
        data = tempfile.mkdtemp(prefix="gatehouse-measure-")
        process, port, milliseconds, status = start(program, data)
        try:
            assert status == 401, status
            times.append(milliseconds)
            if run == RUNS - 1:
                for number in range(5):
                    name = f"user{number}"
                    body = f'{{"username": "{name}", "email": "{name}@example.org", ' \
                           '"password1": "Quartz-Lamp-9", "password2": "Quartz-Lamp-9"}'
                    assert post(port, "registration/", body) == 201
                time.sleep(2)
                status_file = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                resident = int(re.search(r"VmRSS:\s+(\d+)", status_file)[1]) / 1024
        finally:
            process.terminate()
            process.wait(30)
            shutil.rmtree(data, ignore_errors=True)
    print(f"program: {os.path.getsize(program) / 1e6:.1f} MB")
    print(f"start to first answer: median {statistics.median(times):.0f} ms, worst of {RUNS} {max(times):.0f} ms")
    print(f"resident memory after five registrations, idle: {resident:.1f} MB")


main()

#!/usr/bin/env python3
"""Kills the program at random moments of a stream of registrations: no answered registration may lose its mail.

usage: scripts/crash_test.py [--bin PROGRAM] [--rounds 12] [--seed 20240] [--wait 60] [--self-check]

Each round lets four clients register new users without a pause, kills the program (SIGKILL) after a moment drawn from
the seed, and starts it again on the same data. At the end every registration that was answered 201 must have its mail
(a file in <data>/mails with the user in its To header) and its account (it can log in). A mail twice is counted and
allowed: delivery is at least once. --self-check removes one mail by hand and demands that the loss is seen.

Standard library only. The last line is "N passed, N failed": one check for each answered registration and one for each
restart. Exit status: 1 when anything was lost, 2 when there is no program.
"""
import argparse
import collections
import email
import email.policy
import email.utils
import http.client
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLIENTS = 4
PASSWORD = "Vx7-abcdefghijklmn-Qm"
START_LIMIT = 20  # Seconds from a start to the first answer.
SETTINGS = {
    "GATEHOUSE_IDENTITY_BCRYPT_COST": "4",
    "GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE": "0",
    "GATEHOUSE_IDENTITY_LOGIN_FAILURES": "0",
    "GATEHOUSE_IDENTITY_MAILS_PER_HOUR": "0",
}


def default_program():
    """The program of GATEHOUSE_BIN, or the build that is newest."""
    if os.environ.get("GATEHOUSE_BIN"):
        return pathlib.Path(os.environ["GATEHOUSE_BIN"])
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    built = [file for profile in ("release", "debug") if (file := ROOT / target / profile / "gatehouse").is_file()]
    return max(built, key=lambda file: file.stat().st_mtime, default=None)


def free_port(rng):
    """A loopback port below the range from which the kernel takes clients' ports."""
    while True:
        port = rng.randrange(20000, 32000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Server:
    """The program in embedded mode, with mails as files, on one data folder and port for all its lives."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.data, self.log = folder / "data", folder / "gatehouse.log"
        rng = random.SystemRandom()
        self.port, identity_port = free_port(rng), free_port(rng)
        self.process = None
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
        self.environment |= SETTINGS | {
            "GATEHOUSE_DATA_DIR": str(self.data),
            "GATEHOUSE_GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            "GATEHOUSE_IDENTITY_LISTEN": f"127.0.0.1:{identity_port}",
            "GATEHOUSE_PUBLIC_URL": f"http://127.0.0.1:{self.port}",
        }

    def start(self):
        """Starts it and waits for its first answer; the seconds that took, or None."""
        begin = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.program], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        while time.monotonic() - begin < START_LIMIT and self.process.poll() is None:
            status, _ = self.request("GET", "/api/auth/token/verify/", timeout=2)
            if 0 < status < 500:
                return time.monotonic() - begin
            time.sleep(0.02)
        return None

    def kill(self):
        """False when it had ended before."""
        alive = self.process.poll() is None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        return alive

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def request(self, method, path, body=None, timeout=10):
        """(status, body); status 0 when there was no whole answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, body=json.dumps(body) if body else None, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()


class Registrations:
    """What the clients saw: every address whose registration was answered 201, and all other statuses."""

    def __init__(self, server):
        self.server, self.answered, self.statuses = server, [], collections.Counter()
        self.lock = threading.Lock()

    def run(self, round_number, seconds):
        """Registers from all clients until the program has been killed after `seconds`; False if it died before."""
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._client, args=(round_number, client, stop)) for client in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        was_alive = self.server.kill()
        stop.set()
        for thread in threads:
            thread.join()
        return was_alive

    def _client(self, round_number, client, stop):
        number = 0
        while not stop.is_set():
            number += 1
            name = f"crash-r{round_number}c{client}n{number}"
            address = f"{name}@example.org"
            body = {"username": name, "email": address, "password1": PASSWORD, "password2": PASSWORD}
            status, _ = self.server.request("POST", "/api/auth/registration/", body)
            with self.lock:
                self.statuses[status] += 1
                if status == 201:
                    self.answered.append(address)


class Mails:
    """The mail folder, read step by step."""

    def __init__(self, folder):
        self.folder, self.recipients = folder, {}

    def counts(self):
        for file in self.folder.glob("*.eml"):
            if file.name not in self.recipients:
                message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
                addresses = email.utils.getaddresses([str(value) for value in message.get_all("To", [])])
                self.recipients[file.name] = [address.lower() for _, address in addresses]
        return collections.Counter(address for addresses in self.recipients.values() for address in addresses)

    def wait_for(self, wanted, seconds):
        """Waits until every wanted address has a mail; those that have none in the end."""
        deadline = time.monotonic() + seconds
        while True:
            counts = self.counts()
            missing = [address for address in wanted if not counts[address]]
            if not missing or time.monotonic() > deadline:
                return missing
            time.sleep(0.2)

    def remove_one_for(self, address):
        name = next(name for name, addresses in self.recipients.items() if address in addresses)
        (self.folder / name).unlink()
        self.recipients.clear()


def accounts_lost(server, addresses):
    """Addresses that were answered 201 and cannot log in."""
    lost = []
    for address in addresses:
        username = address.partition("@")[0]
        status, _ = server.request("POST", "/api/auth/login/", {"username": username, "password": PASSWORD})
        if status != 200:
            lost.append(address)
    return lost


def run(options, server):
    """The number of passed and of failed checks."""
    rng = random.Random(options.seed)
    registrations, mails = Registrations(server), Mails(server.data / "mails")
    failures = restarts = 0
    slowest = server.start()
    if slowest is None:
        print(f"FAIL the program did not answer within {START_LIMIT} s of its first start")
        return 0, 1
    for number in range(1, options.rounds + 1):
        if not registrations.run(number, rng.uniform(0.05, 1.5)):
            print(f"FAIL round {number}: the program had ended by itself")
            failures += 1
        took = server.start()
        if took is None:
            print(f"FAIL round {number}: no answer within {START_LIMIT} s after the restart")
            return len(registrations.answered), failures + 1
        slowest, restarts = max(slowest, took), restarts + 1

    answered = registrations.answered
    lost = mails.wait_for(answered, options.wait)
    gone = accounts_lost(server, answered)
    counts = mails.counts()
    doubled = sum(1 for address in answered if counts[address] > 1)
    others = {status: n for status, n in sorted(registrations.statuses.items()) if status not in (0, 201)}
    print(f"{options.rounds} kills, slowest start {slowest:.2f} s, {registrations.statuses[0]} requests unanswered")
    if others:
        print(f"other answers (status: count): {others}")
    print(f"answered {len(answered)}, delivered {len(answered) - len(lost)}, lost {len(lost)}, doubled {doubled}")
    for address in lost[:10]:
        print(f"FAIL answered 201, no mail: {address}")
    for address in gone[:10]:
        print(f"FAIL answered 201, cannot log in: {address}")
    if not answered:
        print("FAIL no registration was answered 201, so nothing was shown")
        failures += 1
    if options.self_check and answered and not lost:
        mails.remove_one_for(answered[0])
        seen = mails.wait_for(answered, 1)
        print(f"self-check: one mail removed by hand, {len(seen)} reported lost")
        failures += seen != [answered[0]]
    bad = set(lost) | set(gone)
    return len(answered) - len(bad) + restarts, len(bad) + failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=default_program(), help="default: GATEHOUSE_BIN, or the newest build")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seed", type=int, default=20240)
    parser.add_argument("--wait", type=float, default=60, help="seconds for the mails to arrive after the last restart")
    parser.add_argument("--self-check", action="store_true")
    options = parser.parse_args()
    if options.bin is None or not options.bin.is_file():
        parser.error("there is no program; build it with 'cargo build --release' or name it with --bin")
    print(f"seed {options.seed}, {options.rounds} rounds, {options.bin}")
    with tempfile.TemporaryDirectory(prefix="gatehouse-crash-", ignore_cleanup_errors=True) as folder:
        server = Server(options.bin.resolve(), pathlib.Path(folder))
        try:
            passed, failed = run(options, server)
            if failed:
                print("the end of the program's log:")
                print("".join(server.log.read_text(errors="replace").splitlines(keepends=True)[-15:]), end="")
        finally:
            server.stop()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

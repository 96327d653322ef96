#!/usr/bin/env python3
"""The load of upgrade_test.sh. Standard library only.

  upgrade_test.py TARGET STOP RESULT     eight clients until the file STOP exists; each reads the gateway's address from TARGET
                                         before each request. RESULT: "requests N", "failed N", "mail ADDRESS" ...
  upgrade_test.py mails RESULT FOLDER    how many of these addresses have no mail in FOLDER
"""
import collections
import http.client
import json
import secrets
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

PASSWORD = "Zx9-quartz-Lamp"
CLIENTS = 8
DEADLINE = 10.0  # Seconds; a later answer is a failed one.


class Client(threading.Thread):
    """Lives as an account does: registers, logs in, refreshes, asks, logs out; and starts again."""

    def __init__(self, target, stop):
        super().__init__()
        self.target, self.stop = target, stop
        self.seen, self.failures, self.mails, self.times = collections.Counter(), [], [], []

    def ask(self, expected, method, path, body=None, token=None):
        url, begin, status, text = urlsplit(self.target.read_text().strip()), time.monotonic(), 0, b""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=DEADLINE)
        try:
            connection.request(method, "/api/auth/" + path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            status, text = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            text = repr(error).encode()
        finally:
            connection.close()
        took = time.monotonic() - begin
        self.times.append(took)
        self.seen[f"{method} {path}"] += 1
        if status != expected:
            self.failures.append(f"{method} {path}: {status}, not {expected}, after {took:.2f} s: {text[:200]!r}")
            return None
        return json.loads(text)

    def life(self):
        name = "u" + secrets.token_hex(7)
        address = f"{name}@mail.test"
        body = {"username": name, "email": address, "password1": PASSWORD, "password2": PASSWORD}
        if self.ask(201, "POST", "registration/", body) is None:
            return
        self.mails.append(address)
        # Several requests with what other replicas, of the other release, have issued.
        for _ in range(3):
            tokens = self.ask(200, "POST", "login/", {"username": name, "password": PASSWORD})
            if tokens is None:
                return
            self.ask(200, "POST", "token/verify/", {"token": tokens["access"]})
            self.ask(200, "GET", "user/", token=tokens["access"])
            fresh = self.ask(200, "POST", "token/refresh/", {"refresh": tokens["refresh"]})
            if fresh:
                self.ask(200, "GET", "user/", token=fresh["access"])
            time.sleep(0.1)
        self.ask(200, "POST", "logout/", {"refresh": tokens["refresh"]})
        self.ask(401, "POST", "token/refresh/", {"refresh": tokens["refresh"]})

    def run(self):
        while not self.stop.exists():
            self.life()


def load(target, stop, result):
    clients = [Client(target, stop) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    failures = [failure for client in clients for failure in client.failures]
    times = sorted(took for client in clients for took in client.times)
    seen = sum((client.seen for client in clients), collections.Counter())
    lines = [f"requests {len(times)}", f"failed {len(failures)}"]
    lines += [f"mail {address}" for client in clients for address in client.mails]
    result.write_text("\n".join(lines) + "\n")
    for failure in failures[:20]:
        print("FAIL", failure)
    print("requests:", ", ".join(f"{path} {count}" for path, count in sorted(seen.items())))
    print(f"median {times[len(times) // 2] * 1000:.0f} ms, 99 % {times[len(times) * 99 // 100] * 1000:.0f} ms, longest {times[-1] * 1000:.0f} ms")
    return bool(failures)


def lost(result, folder):
    wanted = {line[5:] for line in result.read_text().splitlines() if line.startswith("mail ")}
    for file in folder.glob("*.eml"):
        for line in file.read_text(errors="replace").splitlines():
            if line.lower().startswith("to:"):
                wanted.discard(line[3:].strip().strip("<>"))
    print(len(wanted))


def main():
    match sys.argv[1:]:
        case ["mails", result, folder]:
            lost(Path(result), Path(folder))
        case [target, stop, result]:
            sys.exit(load(Path(target), Path(stop), Path(result)))
        case _:
            sys.exit(__doc__)


main()

#!/usr/bin/env python3
"""Part of sizing.sh: sends requests of one kind after another, and prints what processor time each part took for one.

usage: sizing.py BASE_URL ACCOUNTS_FILE NAME=PID[,PID...] ... -- KIND=COUNT ...
"""
import http.client
import json
import os
import secrets
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

PASSWORD = "Zx9-quartz-Lamp"
CLIENTS = 8
TICK = os.sysconf("SC_CLK_TCK")


def family(pid):
    """A process and everything below it: PostgreSQL has one for each connection."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def cpu(pids):
    """Seconds, with those of children that have ended."""
    total = 0
    for pid in pids:
        for member in family(pid):
            try:
                fields = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            total += int(fields[11]) + int(fields[12])
            if member == pid:
                total += int(fields[13]) + int(fields[14])
    return total / TICK


class Client:
    def __init__(self, base):
        url = urlsplit(base)
        self.connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)

    def ask(self, expected, method, path, body=None, token=None):
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self.connection.request(method, "/api/auth/" + path, json.dumps(body) if body else None, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != expected:
            raise SystemExit(f"{method} {path} was answered {answer.status}: {text[:200]!r}")
        return json.loads(text)


def one(client, kind, account):
    match kind:
        case "registration":
            name = "u" + secrets.token_hex(7)
            body = {"username": name, "email": f"{name}@mail.test", "password1": PASSWORD, "password2": PASSWORD}
            answer = client.ask(201, "POST", "registration/", body)
            account |= {"name": name, "access": answer["access"], "refresh": answer["refresh"]}
        case "login":
            answer = client.ask(200, "POST", "login/", {"username": account["name"], "password": PASSWORD})
            account |= {"access": answer["access"], "refresh": answer["refresh"]}
        case "verify":
            client.ask(200, "POST", "token/verify/", {"token": account["access"]})
        case "user":
            client.ask(200, "GET", "user/", token=account["access"])
        case "refresh":
            account |= client.ask(200, "POST", "token/refresh/", {"refresh": account["refresh"]})


def run(base, kind, count, accounts):
    """Eight clients with a connection each; every account belongs to one of them."""
    failed = []

    def work(number):
        try:
            client, share = Client(base), accounts[number::CLIENTS]
            for turn in range(number, count, CLIENTS):
                if kind == "registration":
                    share.append({})
                    made.append(share[-1])
                    one(client, kind, share[-1])
                else:
                    one(client, kind, share[turn // CLIENTS % len(share)])
        except BaseException as error:
            failed.append(error)

    made = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit(f"{kind}: {failed[0]}")
    accounts += made


def main():
    split = sys.argv.index("--")
    base, file, *parts = sys.argv[1:split]
    parts = {name: [int(pid) for pid in pids.split(",")] for name, pids in (part.split("=") for part in parts)}
    file = Path(file)
    accounts = json.loads(file.read_text()) if file.exists() else []
    for kind, count in (argument.split("=") for argument in sys.argv[split + 1 :]):
        count = int(count)
        before, begin = {name: cpu(pids) for name, pids in parts.items()}, time.monotonic()
        run(base, kind, count, accounts)
        took = time.monotonic() - begin
        if kind == "registration":
            time.sleep(20)  # Its mail goes out, and what became of it comes back.
        used = {name: (cpu(pids) - before[name]) * 1e6 / count for name, pids in parts.items()}
        print(f"{kind:13} {count:6} in {took:5.1f} s   " + "  ".join(f"{name} {round(value)}" for name, value in used.items()), flush=True)
    file.write_text(json.dumps(accounts))


main()

#!/usr/bin/env python3
"""Load for the compose and upgrade tests, and the account of what became of it. Standard library only.

  compose_load.py load URL OUT STOP RATE      registers RATE accounts a second until the file STOP exists; each answer is
                                              a line "status milliseconds address" of OUT; status 0 is no answer
  compose_load.py mails URL OUT SECONDS       waits until the mail catcher (Mailpit's API at URL) has a mail for each
                                              address that OUT says was answered 201; prints "answered N, delivered N,
                                              doubled N, lost N, hung N". Exit status 1 when any was lost, or one hung
  compose_load.py session URL FILE            registers an account and keeps name, password and refresh token in FILE
  compose_load.py check URL FILE              logs in with them, and refreshes with the old token
"""
import http.client
import json
import secrets
import sys
import threading
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

PASSWORD = "Zx9-quartz-Lamp"
PATIENCE = 30  # Seconds; an answer that takes longer counts as hung.


def post(base, path, body, timeout=PATIENCE):
    """Status and JSON; a connection of its own, as a new client has."""
    url = urlsplit(base)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=timeout)
    try:
        connection.request("POST", "/api/auth/" + path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text or b"{}")
    finally:
        connection.close()


def account():
    name = "u" + secrets.token_hex(7)
    return {"username": name, "email": f"{name}@mail.test", "password1": PASSWORD, "password2": PASSWORD}


def load(base, out, stop, rate):
    lines, lock = [], threading.Lock()

    def one():
        body, begin = account(), time.monotonic()
        try:
            status = post(base, "registration/", body)[0]
        except (OSError, ValueError, http.client.HTTPException) as error:
            status = -1 if isinstance(error, TimeoutError) else 0
        took = round((time.monotonic() - begin) * 1000)
        with lock:
            lines.append(f"{status} {took} {body['email']}")

    threads, due = [], time.monotonic()
    while not stop.exists():
        thread = threading.Thread(target=one)
        thread.start()
        threads.append(thread)
        due += 1 / rate
        time.sleep(max(0, due - time.monotonic()))
    for thread in threads:
        thread.join()
    out.write_text("".join(line + "\n" for line in lines))


def delivered(url):
    """How many mails each address has."""
    counts, start = {}, 0
    while True:
        with urllib.request.urlopen(f"{url}/api/v1/messages?start={start}&limit=500", timeout=20) as answer:
            page = json.load(answer)["messages"]
        for mail in page:
            for person in mail["To"]:
                counts[person["Address"]] = counts.get(person["Address"], 0) + 1
        if len(page) < 500:
            return counts
        start += len(page)


def mails(url, out, seconds):
    rows = [line.split() for line in out.read_text().splitlines()]
    answered = [address for status, _, address in rows if status == "201"]
    statuses = {}
    for status, *_ in rows:
        statuses[status] = statuses.get(status, 0) + 1
    end = time.monotonic() + seconds
    while True:
        counts = delivered(url)
        lost = [address for address in answered if address not in counts]
        if not lost or time.monotonic() > end:
            break
        time.sleep(1)
    hung = statuses.get("-1", 0)
    doubled = sum(counts[address] > 1 for address in answered if address in counts)
    print("answers by status (0: refused or cut):", json.dumps(statuses, sort_keys=True))
    print(f"answered {len(answered)}, delivered {len(answered) - len(lost)}, doubled {doubled}, lost {len(lost)}, hung {hung}")
    return 0 if answered and not lost and not hung else 1


def session(base, file):
    body = account()
    status, answer = post(base, "registration/", body)
    if status != 201:
        print(f"registration was answered {status}")
        return 1
    file.write_text(json.dumps({"username": body["username"], "refresh": answer["refresh"]}))
    return 0


def check(base, file):
    kept = json.loads(file.read_text())
    login = post(base, "login/", {"username": kept["username"], "password": PASSWORD})[0]
    refresh = post(base, "token/refresh/", {"refresh": kept["refresh"]})[0]
    print(f"login {login}, refresh {refresh}")
    return 0 if (login, refresh) == (200, 200) else 1


def main():
    match sys.argv[1:]:
        case ["load", base, out, stop, rate]:
            load(base, Path(out), Path(stop), float(rate))
        case ["mails", url, out, seconds]:
            sys.exit(mails(url.rstrip("/"), Path(out), float(seconds)))
        case ["session", base, file]:
            sys.exit(session(base, Path(file)))
        case ["check", base, file]:
            sys.exit(check(base, Path(file)))
        case _:
            sys.exit(__doc__)


main()

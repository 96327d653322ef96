"""The load of a fault test: registrations at a steady rate, what each was answered, and the mails that came of them.

Used by faults.py; standard library only.
"""
import collections
import email
import email.policy
import email.utils
import http.client
import json
import threading
import time

DEADLINE = 10.0  # Seconds in which every request has to be answered.
CLIENT_LIMIT = 20.0  # When a client gives up.
MOST_CLIENTS = 400
PASSWORD = "Vx7-abcdefghijklmn-Qm"
GATEWAY_STATUSES = (502, 503, 504)


class Answer:
    """What became of one registration. Status 0: no answer."""

    def __init__(self, name, is_valid, began):
        self.name, self.is_valid, self.began = name, is_valid, began
        self.status, self.elapsed, self.error, self.fault = 0, 0.0, "", ""

    @property
    def address(self):
        return f"{self.name}@example.org"

    def read(self, answer):
        """Notes a status, and what is wrong with the answer for its status."""
        body = answer.read()
        self.status = answer.status
        if self.status < 500:
            return
        if self.status not in GATEWAY_STATUSES:
            self.fault = f"{self.status} is no answer: {body[:200]!r}"
        elif not answer.getheader("Retry-After"):
            self.fault = f"{self.status} without Retry-After"
        elif not has_detail(body):
            self.fault = f"{self.status} whose body is not JSON with a detail: {body[:200]!r}"


def has_detail(body):
    try:
        return isinstance(json.loads(body)["detail"], str)
    except (ValueError, KeyError, TypeError):
        return False


def post(port, path, fields, timeout):
    """The connection, with a request under way."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request("POST", path, json.dumps(fields), {"Content-Type": "application/json", "Accept": "application/json"})
    return connection


def log_in(port, name):
    """The status."""
    try:
        connection = post(port, "/api/auth/login/", {"username": name, "password": PASSWORD}, CLIENT_LIMIT)
        status = connection.getresponse().status
        connection.close()
        return status
    except (OSError, http.client.HTTPException):
        return 0


class Load:
    """Registrations, each on a connection of its own; every tenth is one that has to be refused."""

    def __init__(self, port, rate, prefix):
        self.port, self.rate, self.prefix = port, rate, prefix
        self.answers, self.lock = [], threading.Lock()
        self.stopped, self.clients, self.number = threading.Event(), [], 0
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()

    def finish(self):
        self.stopped.set()
        self.thread.join()
        for client in self.clients:
            client.join(2 * CLIENT_LIMIT)

    def register(self, is_valid=True):
        """One registration; its answer is also kept."""
        with self.lock:
            self.number += 1
            answer = Answer(f"{self.prefix}-{self.number}", is_valid, time.monotonic())
        second = PASSWORD if is_valid else PASSWORD + "x"
        fields = {"username": answer.name, "email": answer.address, "password1": PASSWORD, "password2": second}
        try:
            connection = post(self.port, "/api/auth/registration/", fields, CLIENT_LIMIT)
            answer.read(connection.getresponse())
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            answer.status, answer.error = 0, f"{type(error).__name__}: {error}"
        answer.elapsed = time.monotonic() - answer.began
        with self.lock:
            self.answers.append(answer)
        return answer

    def since(self, begin):
        """How many of each status there were since then."""
        with self.lock:
            counted = collections.Counter(answer.status for answer in self.answers if answer.began >= begin)
        return {status: counted[status] for status in sorted(counted)}

    def _run(self):
        next_time = time.monotonic()
        number = 0
        while not self.stopped.is_set():
            self.clients = [client for client in self.clients if client.is_alive()]
            if len(self.clients) < MOST_CLIENTS:
                number += 1
                client = threading.Thread(target=self.register, args=(number % 10 != 0,), daemon=True)
                client.start()
                self.clients.append(client)
            next_time += 1 / self.rate
            self.stopped.wait(max(0.0, next_time - time.monotonic()))


class Mails:
    """The folder of the SMTP server, read step by step: for each address the Message-IDs that came."""

    def __init__(self, folder):
        self.folder, self.seen = folder, set()
        self.of_address = collections.defaultdict(list)

    def read(self):
        for file in self.folder.glob("*.eml"):
            if file.name in self.seen:
                continue
            self.seen.add(file.name)
            message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            addresses = email.utils.getaddresses([str(value) for value in message.get_all("X-Envelope-To", [])])
            for _, address in addresses:
                self.of_address[address.lower()].append(str(message["Message-ID"]))

    def wait_for(self, addresses, seconds):
        """Waits until each has a mail; those that have none in the end."""
        deadline = time.monotonic() + seconds
        while True:
            self.read()
            missing = [address for address in addresses if not self.of_address.get(address)]
            if not missing or time.monotonic() > deadline:
                return missing
            time.sleep(0.5)

"""The parts of a stack as a fault test holds them: started, killed, frozen, stopped, and asked whether they are back.

Used by faults.py and bad_input_test.py; standard library only.
"""
import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

SCRIPTS = pathlib.Path(__file__).resolve().parent
START_LIMIT = 120  # Seconds; RabbitMQ recovers its queues first.
STOP_LIMIT = 30
SERVICES = ("identity-1", "identity-2", "mailer-1", "mailer-2", "gateway")
# The order of a start: each finds what it needs.
ORDER = ("database", "port-mapper", "broker", "smtp", "links", *SERVICES)


def process_tree(pid):
    """The process and all below it, itself first."""
    found = [pid]
    for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in children.read_text().split():
                found += process_tree(int(child))
        except OSError:
            pass  # It has ended.
    return found


def send_signal(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def get(port, path, timeout=2.0):
    """(status, body) of an answer on loopback; status 0 when there was none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Part:
    """One program of the stack; the same data, ports and log for all its lives."""

    def __init__(self, name, port, admin_port, command, log_folder):
        self.name, self.port, self.admin_port, self.command = name, port, admin_port, command
        self.log = log_folder / f"{name}.log"
        self.process = None
        self.start_seconds = []  # From each start to the first answer.

    @property
    def is_service(self):
        return self.name in SERVICES

    def start(self):
        with self.log.open("ab") as log:
            # A session of its own: the terminal's Ctrl-C is for the test, which then stops its parts.
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def start_and_time(self):
        """Starts it and waits until it answers; the seconds, or None when it does not."""
        begin = time.monotonic()
        self.start()
        while time.monotonic() - begin < START_LIMIT and self.is_alive():
            if self.answers():
                took = time.monotonic() - begin
                self.start_seconds.append(took)
                return took
            time.sleep(0.002 if self.is_service else 0.1)
        return None

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def answers(self):
        """Whether it serves; not whether it finds all it needs."""
        if not self.is_service:
            return is_listening(self.port) if self.port else self.is_alive()
        return get(self.admin_port, "/health/live")[0] == 200

    def not_ready(self):
        """Why it cannot do its work now; empty when it can."""
        if not self.is_alive():
            return f"{self.name} has ended"
        if self.is_service:
            status, body = get(self.admin_port, "/health/ready")
            return "" if status == 200 else f"{self.name}: {status} {body.strip()}"
        return "" if self.answers() else f"{self.name} does not answer"

    def kill(self):
        """With everything below it, as a machine's failure would; False when it had ended by itself."""
        was_alive = self.is_alive()
        if self.process is None:
            return False
        pids = process_tree(self.process.pid)
        send_signal(pids, signal.SIGKILL)
        self.process.wait()
        until_gone(pids)
        return was_alive

    def stop(self):
        """Orderly; what was wrong with it, if anything."""
        if not self.is_alive():
            return "had ended by itself"
        pids = process_tree(self.process.pid)
        # PostgreSQL's TERM waits for its clients to leave.
        self.process.send_signal(signal.SIGINT if self.name == "database" else signal.SIGTERM)
        try:
            self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            send_signal(pids, signal.SIGKILL)
            self.process.wait()
            return f"did not stop within {STOP_LIMIT} s"
        until_gone(pids)
        if self.is_service and self.process.returncode != 0:
            return f"stopped with status {self.process.returncode}"
        return ""

    def freeze(self):
        frozen = []
        # Until nothing is left that could have started another one.
        while new := [pid for pid in process_tree(self.process.pid) if pid not in frozen]:
            send_signal(new, signal.SIGSTOP)
            frozen += new

    def thaw(self):
        send_signal(process_tree(self.process.pid), signal.SIGCONT)

    def memory_mb(self):
        """Resident memory without the system's libraries (libpq brings a dozen), or None when it has ended. Their pages belong to
        every process that maps them, and how many are counted differs by megabytes from machine to machine."""
        try:
            maps = pathlib.Path(f"/proc/{self.process.pid}/smaps").read_text()
        except OSError:
            return None
        kilobytes, is_own = 0, True
        for line in maps.splitlines():
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                is_own = not re.search(r"\.so(\.[0-9.]+)?$", line)
            elif is_own and (found := re.match(r"Rss:\s+(\d+) kB", line)):
                kilobytes += int(found[1])
        return kilobytes / 1024 if kilobytes else None


def until_gone(pids, seconds=10.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(pathlib.Path(f"/proc/{pid}/cmdline").exists() for pid in pids):
        time.sleep(0.02)


class Links(Part):
    """tcp_proxy.py, with a link to each server and between gateway and identity-svc."""

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        self.process.stdout.readline()

    def tell(self, command, link):
        self.process.stdin.write(f"{command} {link}\n")
        self.process.stdin.flush()
        if self.process.stdout.readline().strip() != "ok":
            raise RuntimeError(f"tcp_proxy.py did not {command} {link}")


class Stack:
    """All parts. The folder's file `parts` has a line for each: name, port, admin port and command, between tabs."""

    def __init__(self, folder):
        self.folder = folder
        self.parts, self.links = {}, []
        for line in (folder / "parts").read_text().splitlines():
            name, port, admin_port, command = line.split("\t")
            if name == "links":
                names = [word.partition(":")[0] for word in command.split()]
                self.links = names
                words = [sys.executable, SCRIPTS / "tcp_proxy.py", *command.split()]
                self.parts[name] = Links(name, 0, 0, words, folder)
            else:
                self.parts[name] = Part(name, int(port), int(admin_port or 0), [command], folder)

    def __getitem__(self, name):
        return self.parts[name]

    def start(self, *names):
        for name in ORDER:
            if name in names and self.parts[name].start_and_time() is None:
                raise SystemExit(f"{name} does not start; the end of its log:\n{self.end_of_log(name)}")

    def stop(self):
        """From the gateway to the servers; what was wrong with it."""
        problems = []
        for name in (*reversed(SERVICES), "links", "smtp", "broker", "port-mapper", "database"):
            part = self.parts[name]
            if part.is_alive():
                part.thaw()
                if problem := part.stop():
                    problems.append(f"{name} {problem}")
        return problems

    def kill(self):
        """What is left of it, when the test has broken off."""
        for part in self.parts.values():
            if part.is_alive():
                part.kill()

    def not_ready(self):
        """The reasons of all parts."""
        return [reason for part in self.parts.values() if (reason := part.not_ready())]

    def end_of_log(self, name, lines=15):
        text = self.parts[name].log.read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

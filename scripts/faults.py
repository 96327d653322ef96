#!/usr/bin/env python3
"""Breaks every part of a running stack while registrations go on, and counts: no answered one may lose its mail.

usage: scripts/faults.sh [--long] [--seed N], which prepares the stack and calls this.

First the services start without a broker, which must delay nothing but mails. Then each fault of a plan drawn from the
seed: a part is killed (SIGKILL), frozen (SIGSTOP), restarted, or a link to it is cut or falls silent; it is mended after
a while, and the next fault waits until all parts are ready again. The load never stops. At the end every registration
that was answered 201 must have its mail and its account.

Wrong is: a lost mail; a request without an answer while the gateway was there, or one after more than 10 s; a 5xx other
than 502, 503 and 504 with Retry-After and a JSON detail; more than 1 % of mails twice, or twice with different
Message-IDs; a mail for a refused registration, or without an account; a part that ends by itself, does not stop in time,
or does not come back. Standard library only. The last line has the figures. Exit status: 1 when anything was wrong.
"""
import argparse
import collections
import pathlib
import random
import re
import signal
import statistics
import sys
import time

from faults_load import CLIENT_LIMIT, DEADLINE, Load, Mails, log_in
from faults_stack import SERVICES, Stack

PARTS = ("database", "broker", "smtp", *SERVICES)
LINKS = ("to-database", "to-broker", "to-smtp", "to-identity-1", "to-identity-2")
GROUPS = {"both-identities": ("identity-1", "identity-2"), "both-mailers": ("mailer-1", "mailer-2")}
PART_ACTIONS = ("kill", "freeze", "restart")
LINK_ACTIONS = ("cut", "silence", "reset")
RECOVERY_LIMIT = 60  # Seconds until all parts are ready again.
MOST_DOUBLED = 0.01
IDLE_MB = 25  # Without the system's libraries.
START_SECONDS = 0.3
# A mail that fails three times waits ten minutes.
MAIL_LIMITS = {"short": 150, "long": 900}
# How long a part is frozen or a link silent at most; others: 8 s. A frozen gateway can answer nobody.
LONGEST = {"gateway": 5, "broker": 25, "to-broker": 25, "mailer-1": 30, "mailer-2": 30, "database": 15, "to-database": 15}
SHORT_LONGEST = 8


class Fault:
    """One entry of the plan."""

    def __init__(self, action, target, seconds, pause):
        self.action, self.target, self.seconds, self.pause = action, target, seconds, pause

    @property
    def parts(self):
        return GROUPS.get(self.target, (self.target,))

    def __str__(self):
        return f"{self.action} {self.target} for {self.seconds:.1f} s"


def plan(rng, is_long):
    """Long: every action on every part and link; short: some of each action, on different parts."""
    kinds = [(action, part) for action in PART_ACTIONS for part in PARTS]
    kinds += [(action, link) for action in LINK_ACTIONS for link in LINKS]
    kinds += [("kill", group) for group in GROUPS]
    rng.shuffle(kinds)
    if not is_long:
        left = {"kill": 3, "freeze": 2, "restart": 2, "cut": 1, "silence": 1}
        used, chosen = set(), []
        for action, target in kinds:
            what = target.removeprefix("to-").rstrip("-12")
            if left.get(action, 0) and what not in used:
                left[action] -= 1
                # Each part is broken once, as far as there are parts.
                used = used | {what} if len(used) < 4 else set()
                chosen.append((action, target))
        kinds = chosen
    faults = []
    for action, target in kinds:
        longest = LONGEST.get(target, 8) if action in ("freeze", "silence") else 3 if action == "restart" else 8
        longest = longest if is_long else min(longest, SHORT_LONGEST)
        seconds = 0 if action == "reset" else rng.uniform(longest / 4, longest)
        faults.append(Fault(action, target, seconds, rng.uniform(0.2, 2)))
    return faults


class Test:
    """One run: what it does to the stack, and what it finds."""

    def __init__(self, stack, load, mails, mail_limit):
        self.stack, self.load, self.mails, self.mail_limit = stack, load, mails, mail_limit
        self.problems = []
        self.gateway_away = []  # (from, to): when nobody could be expected to answer.
        self.begin = time.monotonic()

    def problem(self, text):
        self.problems.append(text)
        print(f"FAIL {text}", flush=True)

    def note(self, text):
        print(f"{time.monotonic() - self.begin:6.1f} s  {text}", flush=True)

    # --- the start, without a broker -------------------------------------------------------------------------------

    def start(self):
        self.stack.start("database", "smtp", "links", *SERVICES)
        for name in SERVICES:
            self.note(f"{name}: answers after {self.stack[name].start_seconds[0] * 1000:.0f} ms")
        early = [self.load.register() for _ in range(20)]
        slowest = max(answer.elapsed for answer in early)
        self.note(f"no broker: 20 registrations, the slowest {slowest:.2f} s")
        if any(answer.status != 201 for answer in early):
            self.problem(f"without a broker a registration was answered {sorted({a.status for a in early})}, not 201")
        if slowest > 2:
            self.problem(f"without a broker a registration took {slowest:.1f} s")
        self.stack.start("port-mapper", "broker")
        begin = time.monotonic()
        lost = self.mails.wait_for([answer.address for answer in early], RECOVERY_LIMIT)
        self.note(f"the broker is there: {20 - len(lost)} of 20 mails, after {time.monotonic() - begin:.1f} s")
        if lost:
            self.problem(f"{len(lost)} mails did not come within {RECOVERY_LIMIT} s of the broker's start")
        self.wait_until_ready("the start")
        for name in SERVICES:
            memory = self.stack[name].memory_mb()
            self.note(f"{name}: {memory:.1f} MB resident")
            if memory > IDLE_MB:
                self.problem(f"{name} has {memory:.1f} MB resident after {len(early)} registrations; {IDLE_MB} are the most")

    # --- faults ----------------------------------------------------------------------------------------------------

    def wait_until_ready(self, after):
        """The seconds until all parts are ready and a registration goes through; None when they are not in time."""
        begin = time.monotonic()
        reasons = ["no registration was answered 201"]
        while time.monotonic() - begin < RECOVERY_LIMIT:
            reasons = self.stack.not_ready()
            if not reasons and self.load.register().status == 201:
                return time.monotonic() - begin
            time.sleep(0.2)
        self.problem(f"{after}: not ready {RECOVERY_LIMIT} s later: {'; '.join(reasons) or 'registrations fail'}")
        return None

    def inject(self, fault):
        begin = time.monotonic()
        getattr(self, f"_{fault.action}")(fault)
        mended = time.monotonic()
        self.wait_until_ready(str(fault))
        end = time.monotonic()
        if "gateway" in fault.parts:
            self.gateway_away.append((begin - CLIENT_LIMIT if fault.action == "freeze" else begin - 0.1, end))
        self.note(f"{fault}: ready {end - mended:.1f} s after it; answers {self.load.since(begin)}")
        time.sleep(fault.pause)

    def _kill(self, fault):
        for name in fault.parts:
            if not self.stack[name].kill():
                self.problem(f"{name} had ended by itself before it was killed: {self.stack.end_of_log(name, 3)}")
        time.sleep(fault.seconds)
        self.stack.start(*fault.parts)

    def _freeze(self, fault):
        self.stack[fault.target].freeze()
        time.sleep(fault.seconds)
        self.stack[fault.target].thaw()

    def _restart(self, fault):
        if problem := self.stack[fault.target].stop():
            self.problem(f"{fault.target} {problem}")
        time.sleep(fault.seconds)
        self.stack.start(fault.target)

    def _cut(self, fault):
        self._break_link("cut", fault)

    def _silence(self, fault):
        self._break_link("freeze", fault)

    def _reset(self, fault):
        self._break_link("reset", fault)

    def _break_link(self, command, fault):
        self.stack["links"].tell(command, fault.target)
        time.sleep(fault.seconds)
        self.stack["links"].tell("open", fault.target)

    # --- what came of it -------------------------------------------------------------------------------------------

    def judge(self):
        """Waits for the mails and compares. The figures, as (answered, delivered, doubled, lost, hung)."""
        answers = self.load.answers
        answered = [answer for answer in answers if answer.status == 201 and answer.is_valid]
        begin = time.monotonic()
        lost = self.mails.wait_for([answer.address for answer in answered], self.mail_limit)
        self.note(f"the last mail came {time.monotonic() - begin:.1f} s after the load ended" if not lost else f"{len(lost)} mails are missing")
        time.sleep(2)  # For second copies.
        self.mails.read()
        hung = [answer for answer in answers if answer.elapsed > DEADLINE]
        self.several(lost, "answered 201, no mail: {}")
        self.several(hung, "a request lasted too long: {}", lambda a: f"{a.name} {a.elapsed:.1f} s, {a.status} {a.error}")
        doubled = self.judge_doubles(answered)
        self.judge_answers(answers)
        self.judge_accounts(answers, answered)
        return len(answered), len(answered) - len(lost), doubled, len(lost), len(hung)

    def several(self, found, text, show=str):
        """One problem for all that was found, with examples."""
        if found:
            self.problem(f"{len(found)} times: " + text.format("; ".join(show(one) for one in found[:3])))

    def judge_doubles(self, answered):
        copies = {answer.address: self.mails.of_address[answer.address] for answer in answered}
        doubled = [address for address, mails in copies.items() if len(mails) > 1]
        self.several(
            [address for address in doubled if len(set(copies[address])) > 1],
            "two mails that are not the same one: {}",
            lambda address: f"{address} {sorted(set(copies[address]))}",
        )
        if len(doubled) > MOST_DOUBLED * max(1, len(answered)):
            self.problem(f"{len(doubled)} of {len(answered)} mails came twice; {MOST_DOUBLED:.0%} is the most")
        return len(doubled)

    def judge_answers(self, answers):
        statuses = collections.Counter(answer.status for answer in answers)
        self.note(f"answers {dict(sorted(statuses.items()))} (0: none)")
        self.several([a for a in answers if a.fault], "{}", lambda a: f"{a.name} {a.fault}")
        dropped = [a for a in answers if a.status == 0 and not self.is_excused(a)]
        self.several(dropped, "no answer though the gateway was there: {}", lambda a: f"{a.name} {a.error}")
        # 201 is the good answer to a valid one, 400 to the others; anything below 500 beside that is a surprise.
        odd = [a for a in answers if 0 < a.status < 500 and a.status != (201 if a.is_valid else 400)]
        self.several(odd, "an unexpected answer: {}", lambda a: f"{a.name} {a.status}")

    def is_excused(self, answer):
        end = answer.began + answer.elapsed
        return any(answer.began < until and end > since for since, until in self.gateway_away)

    def judge_accounts(self, answers, answered):
        port = self.load.port
        ghosts = [a.address for a in answers if not a.is_valid and self.mails.of_address.get(a.address)]
        self.several(ghosts, "a mail for a refused registration: {}")
        unsure = [a for a in answers if a.is_valid and a.status != 201 and self.mails.of_address.get(a.address)]
        orphans = [a.name for a in unsure if log_in(port, a.name) != 200]
        self.several(orphans, "a mail without an account: {}")
        sample = answered[:: max(1, len(answered) // 200)]
        gone = [a.name for a in sample if log_in(port, a.name) != 200]
        self.several(gone, "answered 201, cannot log in: {}")
        self.note(f"{len(sample)} accounts can be logged in to" if not gone else "accounts are missing")

    def judge_logs(self):
        for name in SERVICES:
            text = self.stack[name].log.read_text(errors="replace")
            panics = re.findall(r".*panicked at.*", text)
            self.several(panics, f"{name} panicked: {{}}")
            secrets = re.findall(r".*(?:@example\.org|://[^/@ ]+:[\w-]{32,}@|Vx7-abcdef).*", text)
            self.several(secrets, f"{name}'s log has an address or a password: {{}}")

    def judge_starts(self):
        for name in SERVICES:
            times = self.stack[name].start_seconds
            self.note(f"{name}: {len(times)} starts, fastest {min(times) * 1000:.0f} ms, median {statistics.median(times) * 1000:.0f} ms")
            # The fastest: this machine does much else meanwhile.
            if min(times) > START_SECONDS:
                self.problem(f"{name} never started within {START_SECONDS * 1000:.0f} ms")


def run(options, stack):
    """The number of problems; prints the figures."""
    rng = random.Random(options.seed)
    faults = plan(rng, options.long)
    load = Load(stack["gateway"].port, options.rate, f"fault-{options.seed}")
    mails = Mails(stack.folder / "mails")
    test = Test(stack, load, mails, MAIL_LIMITS["long" if options.long else "short"])
    test.start()
    load.start()
    done = 0
    for fault in faults:
        test.inject(fault)
        done += 1
    time.sleep(1)
    load.finish()
    figures = test.judge()
    test.judge_starts()
    for problem in stack.stop():
        test.problem(f"at the end {problem}")
    test.judge_logs()
    if options.long and figures[0] < 2000:
        test.problem(f"only {figures[0]} registrations were answered 201; the long form wants 2000")
    print(f"{len(test.problems)} problems" if test.problems else "nothing was wrong")
    names = ("answered", "delivered", "doubled", "lost", "hung")
    print(", ".join(f"{name} {figure}" for name, figure in zip(names, figures)) + f", faults {done}")
    return len(test.problems)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="the stack that faults.sh prepared")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=20240)
    parser.add_argument("--rate", type=float, default=12, help="registrations a second")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    stack = Stack(options.folder)
    try:
        return 1 if run(options, stack) else 0
    finally:
        stack.kill()


if __name__ == "__main__":
    sys.exit(main())

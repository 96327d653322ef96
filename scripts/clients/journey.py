"""The whole way of an account through the generated Python client and the session of docs/CLIENTS.md: see clients_test.sh.

python journey.py BASE_URL MAILS_FOLDER; prints "ok ..." or "FAIL ..." for each check. Access tokens must live two seconds.
"""

import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from example import example
from gatehouse_client import ApiException
from session import Session, SignInAgain, Tokens, field_errors

PASSWORD, CHANGED, RESET = "Vq4-harbor-Moss", "Jk8-granite-Fern", "Tb6-meadow-Slate"


def check(label: str, good: bool, detail: object = "") -> None:
    print(f"ok python: {label}" if good else f"FAIL python: {label}: {detail}", flush=True)


class MemoryStore:
    def __init__(self) -> None:
        self.tokens: Tokens | None = None
        self.known: set[str] = set()
        self.saves = 0

    def load(self) -> Tokens | None:
        return self.tokens

    def save(self, tokens: Tokens | None) -> None:
        # A slow disk: whoever sends the token before it is there is found out.
        time.sleep(0.02)
        self.tokens = tokens
        if tokens is not None:
            self.known.add(f"Bearer {tokens.access}")
            self.saves += 1


class Wire:
    """Sees every request of a session: tokens that were sent before they were stored; can fail refreshes."""

    def __init__(self, session: Session, store: MemoryStore) -> None:
        self.store, self.early, self.refreshes, self.broken = store, 0, 0, False
        for client in (session.open.api_client, session.signed):
            setattr(client.rest_client, "request", self.through(client.rest_client.request))

    def through(self, request: Callable[..., Any]) -> Callable[..., Any]:
        def seen(method: str, url: str, headers: Any = None, **named: Any) -> Any:
            if (headers or {}).get("Authorization", "Bearer ") not in self.store.known | {"Bearer "}:
                self.early += 1
            if url.endswith("/token/refresh/"):
                self.refreshes += 1
                if self.broken:
                    raise ApiException(status=503)
            return request(method, url, headers=headers, **named)

        return seen


def link(mails: Path, email: str, pattern: str) -> re.Match[str]:
    """The newest link of a kind in the mails to an address."""
    for _ in range(200):
        for path in sorted(mails.glob("*.eml"), reverse=True):
            text = path.read_text().replace("=\n", "").replace("=\r\n", "").replace("=3D", "=")
            found = re.search(pattern, text)
            if f"To: {email}" in text and found:
                return found
        time.sleep(0.05)
    raise SystemExit(f"no mail to {email} with {pattern}")


def refused(operation: Callable[[], object]) -> Any:
    try:
        operation()
    except ApiException as error:
        return error
    return SimpleNamespace(status=200)


def errors(operation: Callable[[], object]) -> dict[str, list[str]]:
    error = refused(operation)
    return field_errors(error) if error.status == 400 else {"status": [str(error.status)]}


def ended(operation: Callable[[], object]) -> bool:
    try:
        operation()
    except SignInAgain:
        return True
    return False


def wait_for_expiry(session: Session, store: MemoryStore) -> bool:
    tokens = store.load()
    assert tokens is not None
    for _ in range(100):
        if refused(lambda: session.open.auth_token_verify_create(token=tokens.access)).status == 401:
            return True
        time.sleep(0.1)
    return False


def main(base_url: str, mails: Path) -> None:
    name = f"python{time.time_ns()}"
    email = f"{name}@mail.test"
    store = MemoryStore()
    session = Session(base_url, store)
    wire = Wire(session, store)
    auth = session.auth

    wrong = errors(lambda: session.open.auth_registration_create(username="two words", email="nobody", password1="12", password2="12"))
    check("a wrong form is a 400 with the errors of each field", set(wrong) == {"username", "email", "password1"}
          and wrong["email"] == ["Enter a valid email address."] and len(wrong["password1"]) >= 2, wrong)
    session.open.auth_registration_create(username=name, email=email, password1=PASSWORD, password2=PASSWORD)
    key = link(mails, email, r"/account/verify-email/([\w-]+)")[1]
    answer = session.open.auth_registration_verify_email_create(key=key)
    check("the key of the mail verifies the address", answer.detail == "ok", answer)
    check("a used key is a 404", refused(lambda: session.open.auth_registration_verify_email_create(key=key)).status == 404)

    user = session.sign_in(name, PASSWORD)
    check("signing in tells the user", (user.username, user.email) == (name, email), user)
    first = session.tokens()
    check("a good token verifies", refused(lambda: session.open.auth_token_verify_create(token=first.access)).status == 200)
    check("a bad token is a 401", refused(lambda: session.open.auth_token_verify_create(token="rubbish")).status == 401)

    def change(old: str, new: str) -> object:
        return auth.auth_password_change_create(old_password=old, new_password1=new, new_password2=new)

    check("the access token expires", wait_for_expiry(session, store))
    saves, answers = store.saves, list[str]()
    threads = [threading.Thread(target=lambda: answers.append(session.user.auth_user_retrieve().username)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check("eight calls at once with an expired token are all answered", answers == [name] * 8, answers)
    check("they share one refresh", (store.saves - saves, wire.refreshes) == (1, 1), (store.saves - saves, wire.refreshes))
    check("the new refresh token is stored", session.tokens().refresh != first.refresh)
    session.open.auth_token_refresh_create(refresh=first.refresh)
    check("a refresh whose answer was lost can be asked again", True)

    check("the access token expires again", wait_for_expiry(session, store))
    wire.broken, kept = True, session.tokens()
    check("a refresh answered 503 is an error of that call", refused(lambda: change(PASSWORD, CHANGED)).status == 503)
    check("and keeps the tokens", store.load() == kept)
    wire.broken = False
    wrong = errors(lambda: change("Not-the-old-1", CHANGED))
    check("a wrong old password is a 400 beside its field", list(wrong) == ["old_password"], wrong)
    check("the password changes", refused(lambda: change(PASSWORD, CHANGED)).status == 200)
    wrong = errors(lambda: session.sign_in(name, PASSWORD))
    check("the old password is refused", wrong == {"non_field_errors": ["Unable to log in with provided credentials."]}, wrong)

    last = session.tokens()
    session.sign_out()
    check("after signing out the refresh token is refused", refused(lambda: session.open.auth_token_refresh_create(refresh=last.refresh)).status == 401)
    check("without tokens a call asks to sign in again", ended(lambda: change(CHANGED, CHANGED)))

    session.sign_in(name, CHANGED)
    session.open.auth_password_reset_create(email=email)
    uid, token = link(mails, email, r"/account/password/reset/confirm/([\w-]+)/([\w-]+)").groups()

    def confirm(password1: str, password2: str) -> object:
        return session.open.auth_password_reset_confirm_create(uid=uid, token=token, new_password1=password1, new_password2=password2)

    wrong = errors(lambda: confirm(RESET, CHANGED))
    check("a reset with two passwords is a 400 beside its field", list(wrong) == ["new_password2"], wrong)
    check("the link of the mail resets the password", refused(lambda: confirm(RESET, RESET)).status == 200)
    check("a session from before the reset asks to sign in again", ended(lambda: change(RESET, RESET)))
    check("and its tokens are dropped", store.load() is None)
    check("the new password signs in", session.sign_in(name, RESET).username == name)
    check("no access token was sent before it was stored", wire.early == 0, wire.early)

    example(Session(base_url, MemoryStore()), f"{name}b", f"{name}b@mail.test", PASSWORD, CHANGED)
    check("the example runs", True)


main(sys.argv[1], Path(sys.argv[2]))

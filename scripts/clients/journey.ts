// The whole way of an account through the generated TypeScript client and the session of docs/CLIENTS.md: see clients_test.sh.
// node journey.js BASE_URL MAILS_FOLDER; prints "ok ..." or "FAIL ..." for each check. Access tokens must live two seconds.
import fs from "node:fs";
import path from "node:path";
import { isDeepStrictEqual as same } from "node:util";
import { example } from "./example.js";
import { fieldErrors, Session, SignInAgain, type Tokens, type TokenStore } from "./session.js";
import { ResponseError } from "./typescript/index.js";

const PASSWORD = "Vq4-harbor-Moss", CHANGED = "Jk8-granite-Fern", RESET = "Tb6-meadow-Slate";
const [baseUrl = "", mails = ""] = process.argv.slice(2);

const check = (label: string, good: boolean, detail: unknown = "") =>
  console.log(good ? `ok typescript: ${label}` : `FAIL typescript: ${label}: ${JSON.stringify(detail)}`);
const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));

class MemoryStore implements TokenStore {
  tokens: Tokens | null = null;
  known = new Set<string | null>([null]);
  saves = 0;
  async load() { await pause(1); return this.tokens; }
  async save(tokens: Tokens | null) {
    // A slow disk: whoever sends the token before it is there is found out.
    await pause(20);
    this.tokens = tokens;
    if (!tokens) return;
    this.known.add(`Bearer ${tokens.access}`);
    this.saves++;
  }
}

// Sees every request of the session: tokens that were sent before they were stored; can fail refreshes.
const store = new MemoryStore();
const wire = { early: 0, refreshes: 0, broken: false };
const session = new Session(baseUrl, store, async (url, init) => {
  if (!store.known.has(new Headers(init?.headers).get("Authorization"))) wire.early++;
  if (String(url).endsWith("/token/refresh/")) {
    wire.refreshes++;
    if (wire.broken) return new Response("{}", { status: 503 });
  }
  return fetch(url, init);
});

// The newest link of a kind in the mails to an address.
async function link(email: string, pattern: RegExp): Promise<string[]> {
  for (let tries = 0; tries < 200; tries++) {
    for (const name of fs.readdirSync(mails).filter((one) => one.endsWith(".eml")).sort().reverse()) {
      const text = fs.readFileSync(path.join(mails, name), "utf8").replaceAll(/=\r?\n/g, "").replaceAll("=3D", "=");
      const found = pattern.exec(text);
      if (text.includes(`To: ${email}`) && found) return found;
    }
    await pause(50);
  }
  throw new Error(`no mail to ${email} with ${pattern}`);
}

const status = (operation: Promise<unknown>) =>
  operation.then(() => 200, (error: unknown) => { if (error instanceof ResponseError) return error.response.status; throw error; });
const errors = (operation: Promise<unknown>): Promise<Record<string, string[]>> => operation.then(() => ({}), fieldErrors);
const ended = (operation: Promise<unknown>) => operation.then(() => false, (error: unknown) => error instanceof SignInAgain);

async function expired(): Promise<boolean> {
  const token = store.tokens?.access ?? "";
  for (let tries = 0; tries < 100; tries++) {
    if (await status(session.open.authTokenVerifyCreate({ token })) === 401) return true;
    await pause(100);
  }
  return false;
}

const username = `typescript${Date.now()}`, email = `${username}@mail.test`;
const { open, auth } = session;

let wrong = await errors(open.authRegistrationCreate({ username: "two words", email: "nobody", password1: "12", password2: "12" }));
check("a wrong form is a 400 with the errors of each field", same(Object.keys(wrong).sort(), ["email", "password1", "username"])
  && same(wrong.email, ["Enter a valid email address."]) && wrong.password1!.length >= 2, wrong);
await open.authRegistrationCreate({ username, email, password1: PASSWORD, password2: PASSWORD });
const [, key = ""] = await link(email, /\/account\/verify-email\/([\w-]+)/);
const verified = await open.authRegistrationVerifyEmailCreate({ key });
check("the key of the mail verifies the address", verified.detail === "ok", verified);
check("a used key is a 404", await status(open.authRegistrationVerifyEmailCreate({ key })) === 404);

const user = await session.signIn(username, PASSWORD);
check("signing in tells the user", user.username === username && user.email === email, user);
const first = store.tokens!;
check("a good token verifies", await status(open.authTokenVerifyCreate({ token: first.access })) === 200);
check("a bad token is a 401", await status(open.authTokenVerifyCreate({ token: "rubbish" })) === 401);

const change = (oldPassword: string, password: string) =>
  auth.authPasswordChangeCreate({ oldPassword, newPassword1: password, newPassword2: password });

check("the access token expires", await expired());
const saves = store.saves;
const answers = await Promise.all(Array.from({ length: 8 }, () => session.user.authUserRetrieve()));
check("eight calls at once with an expired token are all answered", answers.every((one) => one.username === username), answers);
check("they share one refresh", store.saves - saves === 1 && wire.refreshes === 1, [store.saves - saves, wire.refreshes]);
check("the new refresh token is stored", store.tokens?.refresh !== first.refresh);
check("a refresh whose answer was lost can be asked again", await status(open.authTokenRefreshCreate({ refresh: first.refresh })) === 200);

check("the access token expires again", await expired());
const kept = store.tokens;
wire.broken = true;
check("a refresh answered 503 is an error of that call", await status(change(PASSWORD, CHANGED)) === 503);
check("and keeps the tokens", store.tokens === kept);
wire.broken = false;
wrong = await errors(change("Not-the-old-1", CHANGED));
check("a wrong old password is a 400 beside its field", same(Object.keys(wrong), ["old_password"]), wrong);
check("the password changes", await status(change(PASSWORD, CHANGED)) === 200);
wrong = await errors(session.signIn(username, PASSWORD));
check("the old password is refused", same(wrong, { non_field_errors: ["Unable to log in with provided credentials."] }), wrong);

const last = store.tokens!;
await session.signOut();
check("after signing out the refresh token is refused", await status(open.authTokenRefreshCreate({ refresh: last.refresh })) === 401);
check("without tokens a call asks to sign in again", await ended(change(CHANGED, CHANGED)));

await session.signIn(username, CHANGED);
await open.authPasswordResetCreate({ email });
const [, uid = "", token = ""] = await link(email, /\/account\/password\/reset\/confirm\/([\w-]+)\/([\w-]+)/);
const confirm = (newPassword1: string, newPassword2: string) => open.authPasswordResetConfirmCreate({ uid, token, newPassword1, newPassword2 });
wrong = await errors(confirm(RESET, CHANGED));
check("a reset with two passwords is a 400 beside its field", same(Object.keys(wrong), ["new_password2"]), wrong);
check("the link of the mail resets the password", await status(confirm(RESET, RESET)) === 200);
check("a session from before the reset asks to sign in again", await ended(change(RESET, RESET)));
check("and its tokens are dropped", store.tokens === null);
check("the new password signs in", (await session.signIn(username, RESET)).username === username);
check("no access token was sent before it was stored", wire.early === 0, wire.early);

await example(new Session(baseUrl, new MemoryStore()), `${username}b`, `${username}b@mail.test`, PASSWORD, CHANGED);
check("the example runs", true);

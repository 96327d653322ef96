// Clicks through the built-in pages: see browser_test.sh.
import fs from "node:fs";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import { chromium } from "playwright-core";

const [executable, plainUrl, brandUrl, shots] = process.argv.slice(2);
const axeSource = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const OLD = "Vq4-harbor-Moss", NEW = "Jk8-granite-Fern";
const MAX_PAGE_BYTES = 30_000;
// The API's page holds an example of every answer.
const MAX_DOCS_BYTES = 150_000, MAX_DOCS_BYTES_GZIP = 20_000;

const check = (label, good, detail = "") => console.log(good ? `ok ${label}` : `FAIL ${label}${detail ? `: ${detail}` : ""}`);

const browser = await chromium.launch({
  executablePath: executable, headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
});

const api = async (url, path, body, headers = {}) => {
  const answer = await fetch(`${url}/api/auth/${path}`, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });
  return { status: answer.status, body: await answer.json() };
};

let count = 0;
const register = async (url, locale) => {
  const username = `visitor${++count}${Date.now() % 10000}`;
  const email = `${username}@mail.test`;
  const answer = await api(url, "registration/", { username, email, password1: OLD, password2: OLD }, { "Accept-Language": locale });
  if (answer.status !== 201) throw new Error(`registration: ${answer.status} ${JSON.stringify(answer.body)}`);
  return { username, email };
};
const login = async (url, username, password) => (await api(url, "login/", { username, password })).status;

// Every page that is visited goes through this: weight, axe in both schemes, one screenshot each.
const look = async (page, name, { dark = true, heavy = false } = {}) => {
  if (!heavy) {
    const weight = Buffer.byteLength(await page.content());
    check(`${name} weighs less than 30 kB`, weight < MAX_PAGE_BYTES, `${weight} bytes`);
  }
  for (const scheme of dark ? ["light", "dark"] : ["light"]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.screenshot({ path: `${shots}/${name}-${scheme}.png`, fullPage: true });
    if (!page.hasScript) continue;
    await page.evaluate(axeSource);
    const found = await page.evaluate(() => globalThis.axe.run(document, { iframes: false }));
    const told = found.violations.map((one) => `${one.id} (${one.nodes.map((node) => node.html.slice(0, 90)).join(" | ")})`);
    check(`axe finds nothing on ${name} (${scheme})`, told.length === 0, told.join("; "));
  }
  await page.emulateMedia({ colorScheme: "light" });
};

const open = async (root, { locale, script }) => {
  const context = await root.newContext({ locale, javaScriptEnabled: script, viewport: { width: 900, height: 760 } });
  const page = await context.newPage();
  page.hasScript = script;
  page.complaints = [];
  page.requests = [];
  page.on("console", (line) => { if (line.type() === "error" && !/status of 4\d\d/.test(line.text())) page.complaints.push(line.text()); });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("request", (request) => page.requests.push(request.url()));
  return page;
};

// The newest mail to an address, opened in the mailbox page; clicks the button in its HTML and returns the page behind it.
const follow = async (page, url, email, subject, shot) => {
  for (let tries = 0; ; tries++) {
    await page.goto(`${url}/dev/mailbox`);
    const row = page.locator("tr", { hasText: email }).filter({ hasText: subject }).first();
    if (await row.count()) { await row.locator("a").click(); break; }
    if (tries > 100) throw new Error(`no mail "${subject}" to ${email}`);
    await page.waitForTimeout(100);
  }
  if (shot) await look(page, `${shot}-mailbox`, { heavy: true });
  const button = page.frameLocator("iframe").locator("td.button a");
  // A click into a frame that is still being laid out may go past the button.
  let opened;
  for (let tries = 0; !opened && tries < 5; tries++) {
    const next = page.context().waitForEvent("page", { timeout: 5000 }).catch(() => undefined);
    await button.click();
    opened = await next;
  }
  await opened.waitForLoadState();
  opened.hasScript = page.hasScript;
  return opened;
};

const words = {
  en: { reset: "Password reset", verify: "confirm your e-mail", send: "Send the link", bad: "Enter a valid email address.", blank: "This field may not be blank.",
    sent: "Look into your mailbox", title: "Set a new password", set: "Set password", short: "This password is too short. It must contain at least 8 characters.",
    common: "This password is too common.", numeric: "This password is entirely numeric.", similar: "The password is too similar to the username.",
    long: "Ensure this field has no more than 128 characters.", differ: "The two password fields didn’t match.", done: "Password changed",
    dead: "This link does not work", confirm: "Confirm", confirmed: "Address confirmed",
    sessions: "Where you are logged in", show: "Show the devices", refused: "Unable to log in with provided credentials.", out: "Log out Firefox on Linux", other: "Log out curl",
    ended: "That device is logged out.", everywhere: "Log out everywhere", allEnded: "All devices are logged out.", expired: "Too much time has passed", more: "There are more.",
    docs: "Log in", send_request: "Send", required: "This field is required." },
  ru: { reset: "Сброс пароля", verify: "подтвердите", send: "Отправить ссылку", bad: "Введите правильный адрес электронной почты.", blank: "Это поле не может быть пустым.",
    sent: "Проверьте почту", title: "Новый пароль", set: "Сохранить пароль", short: "Введённый пароль слишком короткий. Он должен состоять из как минимум 8 символов.",
    common: "Введённый пароль слишком широко распространён.", numeric: "Введённый пароль состоит только из цифр.", similar: "Введённый пароль слишком похож на имя пользователя.",
    long: "Убедитесь, что это значение содержит не более 128 символов.", differ: "Введенные пароли не совпадают.", done: "Пароль изменён",
    dead: "Ссылка не работает", confirm: "Подтвердить", confirmed: "Адрес подтверждён",
    sessions: "Где выполнен вход", show: "Показать устройства", refused: "Невозможно войти в систему с указанными учётными данными.", out: "Выйти Firefox, Linux", other: "Выйти curl",
    ended: "На выбранном устройстве выполнен выход.", everywhere: "Выйти везде", allEnded: "На всех устройствах выполнен выход.", expired: "Прошло слишком много времени", more: "Есть и другие.",
    docs: "Авторизация пользователя", send_request: "Отправить", required: "Обязательное поле." },
};

// The sentence stands beside the field: the field names it as its description.
const besideField = async (page, id, sentence) => page.evaluate(([id, sentence]) => {
  const field = document.getElementById(id);
  const texts = (field?.getAttribute("aria-describedby") ?? "").split(" ").map((one) => document.getElementById(one)?.textContent ?? "");
  return field?.getAttribute("aria-invalid") === "true" && texts.some((text) => text.includes(sentence));
}, [id, sentence]);
const described = async (page, id, sentence) => {
  if (page.hasScript) return besideField(page, id, sentence);
  const names = ((await page.locator(`#${id}`).getAttribute("aria-describedby")) ?? "").split(" ");
  for (const name of names) if (name && (await page.locator(`#${name}`).textContent()).includes(sentence)) return true;
  return false;
};

async function journey(root, language, script) {
  const url = plainUrl, text = words[language], name = `${language}-${script ? "js" : "nojs"}`;
  const locale = language === "ru" ? "ru-RU" : "en-GB";
  const account = await register(url, locale);
  const page = await open(root, { locale, script });

  // Confirm the address.
  const confirm = await follow(page, url, account.email, text.verify, script ? name : "");
  await look(confirm, `${name}-confirm`);
  await confirm.getByRole("button", { name: text.confirm }).click();
  check(`${name}: the address is confirmed by clicking`, (await confirm.locator("h1").textContent()) === text.confirmed);
  await look(confirm, `${name}-confirmed`);

  // Ask for a reset: bad input first.
  await page.goto(`${url}/account/password/reset`);
  check(`${name}: the page is in the browser's language`, (await page.locator("html").getAttribute("lang")) === language);
  await look(page, `${name}-ask`);
  for (const [typed, sentence] of [["", text.blank], ["ann@mail", text.bad], ["  ", text.blank], ["юзер@почта", text.bad], ["<b>\"a\"@x", text.bad]]) {
    await page.locator("#email").fill(typed);
    await page.getByRole("button", { name: text.send }).click();
    check(`${name}: "${typed}" is refused beside the field`, await described(page, "email", sentence));
    check(`${name}: "${typed}" is not lost`, (await page.locator("#email").inputValue()) === typed);
  }
  if (script) check(`${name}: the wrong field has the focus`, await page.evaluate(() => document.activeElement?.id === "email"));
  await look(page, `${name}-ask-bad`);
  await page.locator("#email").fill(account.email);
  await page.keyboard.press("Enter");
  // Unlike a click, a key does not wait for the page that it leads to.
  await page.locator("#email").waitFor({ state: "detached" });
  check(`${name}: the reset is asked for`, (await page.locator("h1").textContent()) === text.sent);
  await look(page, `${name}-asked`);

  // Set a new password: bad input first.
  const reset = await follow(page, url, account.email, text.reset, script ? `${name}-reset` : "");
  check(`${name}: the mail's button leads to the form`, (await reset.locator("h1").textContent()) === text.title);
  await look(reset, `${name}-reset`);
  const attempts = [
    ["", "", [["new_password1", text.blank], ["new_password2", text.blank]]],
    ["1234567", "1234567", [["new_password1", text.short], ["new_password1", text.common], ["new_password1", text.numeric]]],
    [account.username, account.username, [["new_password1", text.similar]]],
    [NEW, `${NEW}x`, [["new_password2", text.differ]]],
    ["x".repeat(129), "x".repeat(129), [["new_password1", text.long], ["new_password2", text.long]]],
  ];
  for (const [first, second, expected] of attempts) {
    await reset.locator("#new_password1").fill(first);
    await reset.locator("#new_password2").fill(second);
    await reset.getByRole("button", { name: text.set }).click();
    for (const [field, sentence] of expected) check(`${name}: "${sentence}" stands beside ${field}`, await described(reset, field, sentence));
    check(`${name}: no password is sent back`, !(await reset.content()).includes(first || "\0"));
    if (first === "1234567") await look(reset, `${name}-reset-bad`);
  }
  if (script) {
    await reset.locator("#new_password1").pressSequentially("12345678");
    const met = (rule) => reset.locator(`[data-rule=${rule}]`).getAttribute("data-met");
    check(`${name}: hints while typing`, (await met("length")) === "yes" && (await met("digits")) === "no");
    await reset.locator("#new_password2").pressSequentially("1234");
    check(`${name}: a difference is told`, (await reset.locator("#same").getAttribute("data-met")) === "no");
    await reset.waitForFunction(() => document.getElementById("announce").textContent !== "");
    check(`${name}: hints are announced when typing pauses`, true);
    await look(reset, `${name}-reset-hints`);
    await reset.getByRole("checkbox").check();
    check(`${name}: passwords can be shown`, (await reset.locator("#new_password1").getAttribute("type")) === "text");
    await reset.getByRole("checkbox").uncheck();
  }
  await reset.locator("#new_password1").fill(NEW);
  await reset.locator("#new_password2").fill(NEW);
  const address = reset.url();
  await reset.getByRole("button", { name: text.set }).click();
  check(`${name}: the new password is set`, (await reset.locator("h1").textContent()) === text.done);
  await look(reset, `${name}-done`);
  check(`${name}: the new password logs in`, (await login(url, account.username, NEW)) === 200);
  check(`${name}: the old one does not`, (await login(url, account.username, OLD)) === 400);
  await reset.goto(address);
  check(`${name}: a used link says so`, (await reset.locator("h1").textContent()) === text.dead);
  await look(reset, `${name}-dead`);
  await reset.locator("main a.button").click();
  check(`${name}: and leads on to a new one`, reset.url().endsWith("/account/password/reset"));
  for (const one of [page, confirm, reset]) {
    check(`${name}: nothing external, no complaint`, one.complaints === undefined || one.complaints.length === 0, (one.complaints ?? []).join("; "));
  }
  check(`${name}: only this server was asked`, page.requests.every((request) => request.startsWith(url) || request.startsWith("data:")), page.requests.join(" "));
  await page.context().close();
}

// Where an account is logged in: bad input, the list, one device, all devices.
async function sessions(root, language, script) {
  const url = plainUrl, text = words[language], name = `${language}-${script ? "js" : "nojs"}-sessions`;
  const account = await register(url, language);
  const from = (agent) => api(url, "login/", { username: account.username, password: OLD }, { "User-Agent": agent });
  await from("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
  const curl = await from("curl/8.14.1");
  const page = await open(root, { locale: language === "ru" ? "ru-RU" : "en-GB", script });
  const logIn = async (username, password) => {
    await page.locator("#username").fill(username);
    await page.locator("#password").fill(password);
    await page.getByRole("button", { name: text.show }).click();
  };
  const said = async (sentence) => (await page.locator("main").textContent()).includes(sentence);
  await page.goto(`${url}/account/sessions`);
  check(`${name}: the page asks who it is`, (await page.locator("h1").textContent()) === text.sessions);
  await look(page, name);
  for (const [username, password, field, sentence] of [["", "", "username", text.blank], ["", "", "password", text.blank],
    [account.username, "not-the-password", "password", text.refused], ["<b>\"x\"", "nor-this-one", "password", text.refused]]) {
    await logIn(username, password);
    check(`${name}: "${sentence}" stands beside ${field}`, await described(page, field, sentence));
    check(`${name}: the name "${username}" is kept, the password is not`, (await page.locator("#username").inputValue()) === username
      && (await page.locator("#password").inputValue()) === "" && !(await page.content()).includes(password || "\0"));
  }
  if (script) check(`${name}: the password has the focus`, await page.evaluate(() => document.activeElement?.id === "password"));
  await look(page, `${name}-bad`);
  await logIn(account.email, OLD);
  check(`${name}: each login is there, and no more`, (await page.locator("ul.sessions li").count()) === 3);
  check(`${name}: no cookie is kept`, (await page.context().cookies()).length === 0);
  await look(page, `${name}-list`);
  await page.getByRole("button", { name: text.other }).click();
  check(`${name}: one device is logged out`, await said(text.ended) && (await page.locator("ul.sessions li").count()) === 2);
  check(`${name}: and its tokens are dead`, (await api(url, "token/refresh/", { refresh: curl.body.refresh })).status === 401);
  if (script) check(`${name}: what was done has the focus`, await page.evaluate(() => document.activeElement?.getAttribute("role") === "status"));
  await look(page, `${name}-ended`);
  for (let more = 0; more < 31; more++) await from("Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/142.0");
  await page.getByRole("button", { name: text.out }).click();
  check(`${name}: a long list is cut`, await said(text.more) && (await page.locator("ul.sessions li").count()) === 30);
  await look(page, `${name}-long`);
  await page.setViewportSize({ width: 320, height: 600 });
  if (script) check(`${name}: nothing is cut on a small screen`, await page.evaluate(() => document.documentElement.scrollWidth <= 320));
  await page.getByRole("button", { name: text.everywhere }).click();
  check(`${name}: all devices are logged out`, await said(text.allEnded) && (await page.locator("ul.sessions li").count()) === 0);
  await look(page, `${name}-all-ended`);
  // The proof ends with the password.
  await page.goto(`${url}/account/sessions`);
  const access = (await from("curl/8.14.1")).body.access;
  await logIn(account.username, OLD);
  const changed = await api(url, "password/change/", { old_password: OLD, new_password1: NEW, new_password2: NEW }, { Authorization: `Bearer ${access}` });
  await page.getByRole("button", { name: text.everywhere }).click();
  check(`${name}: after a new password the page asks again`, changed.status === 200 && await said(text.expired) && (await page.locator("#password").count()) === 1);
  await look(page, `${name}-expired`);
  await logIn(account.username, NEW);
  check(`${name}: and nothing was ended`, (await page.locator("ul.sessions li").count()) === 1);
  check(`${name}: no complaint`, page.complaints.length === 0, page.complaints.join("; "));
  check(`${name}: only this server was asked`, page.requests.every((request) => request.startsWith(url) || request.startsWith("data:")), page.requests.join(" "));
  await page.context().close();
}

// The API's page: read, sent from in each format, and answered.
async function docs(root, language, script) {
  const url = plainUrl, text = words[language], name = `${language}-${script ? "js" : "nojs"}-docs`;
  const account = await register(url, language);
  const page = await open(root, { locale: language === "ru" ? "ru-RU" : "en-GB", script });
  const answer = await page.goto(`${url}/api/docs/`);
  check(`${name}: the page is in the browser's language`, (await page.locator("html").getAttribute("lang")) === language);
  check(`${name}: its policy allows nothing from elsewhere`, /^default-src 'none'; (?!.*(unsafe|https?:|\*))/.test(answer.headers()["content-security-policy"] ?? ""));
  const html = await answer.body(), packed = gzipSync(html).length;
  check(`${name} weighs less than 150 kB, packed less than 20 kB`, html.length < MAX_DOCS_BYTES && packed < MAX_DOCS_BYTES_GZIP, `${html.length} and ${packed} bytes`);
  await look(page, name, { heavy: true });

  // All that the document has is there, and can be opened without a script.
  const document = await (await fetch(new URL(await page.locator("main > p > a").getAttribute("href"), url), { headers: { Accept: "application/json", "Accept-Language": language } })).json();
  const described = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, one]) => `${method.toUpperCase()} ${path} ${one.summary}`));
  const listed = (await page.locator("main summary").allTextContents()).map((one) => one.trim());
  check(`${name}: every operation is listed`, described.length > 10 && described.sort().join() === listed.sort().join(), listed.join(", "));
  check(`${name}: in its language`, listed.includes(`POST /api/auth/login/ ${text.docs}`));
  const operation = (id) => page.locator(`#${id}`);
  const visible = (id, part) => operation(id).locator(part).first().isVisible();
  check(`${name}: an operation is closed at first`, !(await visible("auth_login_create", "dl")));
  for (const summary of await page.locator("summary").all()) await summary.click();
  check(`${name}: its answers are readable`, await visible("auth_login_create", "dl") && await operation("auth_login_create").locator("dl").innerText().then((all) => all.includes(text.refused)));
  check(`${name}: no text shows its marks`, !(await page.locator("main").innerText()).includes("`"));
  check(`${name}: there are forms with a script only`, (await visible("auth_login_create", "form")) === script && (await page.locator("#access").isVisible()) === script);
  if (!script) check(`${name}: and the fields without`, (await operation("auth_login_create").locator("noscript").innerText()).includes("password"));
  await look(page, `${name}-open`, { heavy: true });

  if (script) {
    const levels = await page.locator("h1, h2, h3, h4").evaluateAll((all) => all.map((one) => Number(one.tagName[1])));
    check(`${name}: no level of headings is left out`, levels[0] === 1 && levels.every((level, at) => at === 0 || level <= levels[at - 1] + 1), levels.join());
    const access = page.locator("#access");
    for (const summary of await page.locator("details:not(#auth_login_create, #auth_user_retrieve) summary").all()) await summary.click();
    // Fills and sends an operation's form; its status line and its answer.
    const send = async (id, fields, format) => {
      for (const [field, value] of Object.entries(fields)) await operation(id).locator(`[name=${field}]`).fill(value);
      if (format) await operation(id).locator("select").selectOption(format);
      const asked = page.waitForResponse((one) => one.url().includes("/api/auth/"));
      await operation(id).getByRole("button", { name: text.send_request, exact: true }).click();
      const sent = (await asked).request();
      await operation(id).locator("[data-status]:not(:empty)").waitFor();
      return { status: await operation(id).getByRole("status").textContent(), shown: await operation(id).locator("[data-answer]").textContent(), type: (await sent.allHeaders())["content-type"] ?? "" };
    };
    const formats = await operation("auth_login_create").locator("option").allTextContents();
    check(`${name}: there are three formats`, formats.length === 3, formats.join());
    for (const format of formats) {
      const empty = await send("auth_login_create", { username: "", password: "" }, format);
      check(`${name}: without a password 400 names the field (${format})`, empty.status.startsWith("400") && JSON.parse(empty.shown).password?.[0] === text.required, `${empty.status} ${empty.shown}`);
      const wrong = await send("auth_login_create", { username: account.username, password: "not-the-password" }, format);
      check(`${name}: a wrong password is 400 with its sentence (${format})`, wrong.status.startsWith("400") && wrong.shown.includes(text.refused), `${wrong.status} ${wrong.shown}`);
      check(`${name}: and gives no token (${format})`, (await access.inputValue()) === "");
      if (format === formats[0]) await look(page, `${name}-bad`, { heavy: true });
      const good = await send("auth_login_create", { password: OLD }, format);
      check(`${name}: a login is 200 (${format})`, good.status.startsWith("200") && good.type.startsWith(format), `${good.status} ${good.type}`);
      check(`${name}: and fills in its token (${format})`, (await access.inputValue()) !== "" && (await access.inputValue()) === JSON.parse(good.shown).access);
      const own = await send("auth_user_retrieve", {});
      check(`${name}: with it the account is shown (${format})`, own.status.startsWith("200") && JSON.parse(own.shown).username === account.username, `${own.status} ${own.shown}`);
      if (format !== formats[2]) await access.fill("");
    }
    await look(page, `${name}-sent`, { heavy: true });
    await access.fill("x");
    check(`${name}: a wrong token is 401`, (await send("auth_user_retrieve", {})).status.startsWith("401"));
    await page.goto(`${url}/api/docs/#auth_user_retrieve`);
    await page.reload();
    check(`${name}: an address with an operation's name opens it, and nothing was kept`, await visible("auth_user_retrieve", "dl") && !(await visible("auth_login_create", "dl")) && (await access.inputValue()) === "");
    const stored = await page.evaluate(() => localStorage.length + sessionStorage.length);
    check(`${name}: neither storage nor cookie is used`, stored === 0 && (await page.context().cookies()).length === 0);
  }
  for (const width of [360, 320]) {
    await page.setViewportSize({ width, height: 760 });
    await page.goto(`${url}/api/docs/`);
    for (const summary of await page.locator("summary").all()) await summary.click();
    if (script) check(`${name}: nothing is cut at ${width} pixels`, await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    if (width === 360) await page.screenshot({ path: `${shots}/${name}-small.png`, fullPage: true });
  }
  const [other, label] = language === "ru" ? ["en", "English"] : ["ru", "Русский"];
  await page.getByRole("link", { name: label }).click();
  check(`${name}: the language can be switched`, page.url().endsWith(`?lang=${other}`) && (await page.locator("html").getAttribute("lang")) === other
    && (await page.locator("#auth_login_create summary").textContent()).includes(words[other].docs));
  const kept = await page.request.get(new URL(await page.locator("main > p > a").getAttribute("href"), url).href, { headers: { Accept: "application/json" } });
  check(`${name}: for the document as well`, (await kept.json()).paths["/api/auth/login/"].post.summary === words[other].docs);
  check(`${name}: no complaint`, page.complaints.length === 0, page.complaints.join("; "));
  check(`${name}: only this server was asked`, page.requests.every((request) => request.startsWith(url)), page.requests.join(" "));
  await page.context().close();
}

async function keyboard(root) {
  const page = await open(root, { locale: "en-GB", script: true });
  await page.goto(`${plainUrl}/account/password/reset`);
  const order = [];
  for (let step = 0; step < 4; step++) {
    await page.keyboard.press("Tab");
    order.push(await page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim()));
  }
  check("the focus goes field, button, languages", order.join() === "email,Send the link,English,Русский", order.join());
  await page.getByRole("link", { name: "Русский" }).click();
  check("the language can be switched", (await page.locator("html").getAttribute("lang")) === "ru");
  await page.getByRole("button", { name: words.ru.send }).click();
  check("and stays for the next page", (await page.locator("html").getAttribute("lang")) === "ru" && await described(page, "email", words.ru.blank));
  await page.context().close();
}

async function brand(root) {
  const account = await register(brandUrl, "en");
  const page = await open(root, { locale: "en-GB", script: true });
  for (const [name, path] of [["ask", "/account/password/reset"], ["resend", "/account/verify-email"], ["sessions", "/account/sessions"], ["lost", "/account/nothing"], ["docs", "/api/docs/"], ["mailbox", "/dev/mailbox"]]) {
    await page.goto(brandUrl + path);
    await look(page, `brand-${name}`, { heavy: name === "mailbox" || name === "docs" });
    check(`the brand's name is on ${name}`, (await page.locator("header").textContent()).includes("Birch & Sons"));
  }
  await page.goto(`${brandUrl}/account/password/reset`);
  check("the logo is shown", await page.locator("header img").evaluate((image) => image.complete && image.naturalWidth > 0));
  const confirm = await follow(page, brandUrl, account.email, words.en.verify, "brand-mail");
  await look(confirm, "brand-confirm");
  check("no complaint about the brand's pages", page.complaints.length === 0, page.complaints.join("; "));
  await page.setViewportSize({ width: 320, height: 600 });
  await page.goto(`${brandUrl}/account/password/reset`);
  check("nothing is cut on a small screen", await page.evaluate(() => document.documentElement.scrollWidth <= 320));
  await page.screenshot({ path: `${shots}/brand-small.png`, fullPage: true });
  await page.context().close();
}

// The mails themselves: 600 and 360 pixels wide, light and dark, nothing loaded from anywhere.
async function mails(root) {
  const page = await open(root, { locale: "en-GB", script: true });
  for (const url of [plainUrl, brandUrl]) {
    const whose = url === plainUrl ? "plain" : "brand";
    await page.goto(`${url}/dev/mailbox`);
    const rows = await page.locator("tbody tr").evaluateAll((all) => all.map((row) => [row.querySelector("a").textContent, row.querySelector("a").href]));
    for (const [subject, href] of new Map(rows)) {
      const name = `mail-${whose}-${subject.replace(/[^\p{L}]+/gu, "-")}`;
      for (const width of [600, 360]) {
        await page.setViewportSize({ width, height: 700 });
        await page.goto(`${href}/html`);
        check(`${name} fits ${width} pixels`, await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
        for (const scheme of ["light", "dark"]) {
          await page.emulateMedia({ colorScheme: scheme });
          await page.screenshot({ path: `${shots}/${name}-${width}-${scheme}.png`, fullPage: true });
        }
      }
      const html = await (await fetch(`${href}/html`)).text();
      check(`${name} loads nothing`, !/<(img|link|script|iframe)\b|url\(/i.test(html));
      check(`${name} has a language and a preheader`, /<html lang="(en|ru)"/.test(html) && html.includes("class=\"preheader\""));
      // axe needs a script, which the mailbox forbids to mails.
      await page.goto("about:blank");
      for (const scheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme: scheme });
        await page.setContent(html.replace(/<base[^>]*>/, ""));
        await page.evaluate(axeSource);
        const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa"] }));
        check(`axe finds nothing in ${name} (${scheme})`, found.violations.length === 0, found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`).join("; "));
      }
      await page.goto("about:blank");
    }
  }
  await page.context().close();
}

const root = browser;
try {
  for (const language of ["en", "ru"]) for (const script of [true, false]) {
    await journey(root, language, script);
    await sessions(root, language, script);
    await docs(root, language, script);
  }
  await keyboard(root);
  await brand(root);
  await mails(root);
} catch (error) {
  check("the browser test came to its end", false, String(error?.stack ?? error).replace(/\s+/g, " "));
} finally {
  await browser.close();
}

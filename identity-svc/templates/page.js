// Hints while a new password is typed. The server has the last word, and says it without this script too.
(() => {
  const get = (id) => document.getElementById(id);
  const first = get("new_password1"), second = get("new_password2"), same = get("same"), said = get("announce");
  if (!first || !second || !same || !said) return;
  const rules = {
    length: (text) => [...text].length >= 8,
    digits: (text) => text !== "" && !/^\p{Nd}+$/u.test(text),
  };
  let timer;
  const look = () => {
    // The server cuts white space around a password.
    const text = first.value.trim(), words = [];
    for (const [name, holds] of Object.entries(rules)) {
      const item = document.querySelector(`[data-rule=${name}]`);
      if (!item) continue;
      const met = holds(text);
      item.dataset.met = met ? "yes" : "no";
      words.push(`${item.textContent}: ${met ? said.dataset.met : said.dataset.open}`);
    }
    const equal = text === second.value.trim();
    same.hidden = second.value === "";
    same.dataset.met = equal ? "yes" : "no";
    same.textContent = equal ? same.dataset.same : same.dataset.differ;
    if (!same.hidden) words.push(same.textContent);
    // Spoken when typing pauses, not at every key.
    clearTimeout(timer);
    timer = setTimeout(() => { said.textContent = first.value ? words.join(". ") : ""; }, 900);
  };
  first.addEventListener("input", look);
  second.addEventListener("input", look);
  const show = get("show");
  if (show) {
    get("show-row").hidden = false;
    show.addEventListener("change", () => {
      first.type = second.type = show.checked ? "text" : "password";
    });
    // Never sent, kept or offered as plain text.
    first.form.addEventListener("submit", () => { first.type = second.type = "password"; });
  }
})();

// Finding tasks: by parts of names, keys, values and errors, and by a few words with a meaning.

const MOST_FOUND = 2000;
const UNITS = { ns: 1e-9, us: 1e-6, µs: 1e-6, ms: 1e-3, s: 1, "": 1, min: 60, h: 3600 };

// A test of rows for one word of the question.
function testOf(run, word) {
  const longer = /^([<>])(\d+(?:\.\d+)?)(ns|us|µs|ms|s|min|h)?$/.exec(word);
  if (longer) {
    const seconds = Number(longer[2]) * UNITS[longer[3] ?? ""];
    return longer[1] === ">" ? (row) => run.took[row] > seconds : (row) => run.took[row] < seconds;
  }
  const worker = /^worker:(\d+)$/.exec(word);
  if (worker) return (row) => run.worker(row) === Number(worker[1]);
  if (word === "is:failed") return (row) => row < run.n && run.failed(row);
  if (word === "is:attempt") return (row) => row >= run.n;
  if (word === "is:retried") return (row) => run.attemptsOf[row] > 1;
  if (word === "is:open") return (row) => run.outcomeOf[row] === 0;
  return textTest(run, word);
}

function textTest(run, word) {
  const has = (text) => text !== undefined && text.toLowerCase().includes(word);
  const named = run.names.map((name) => has(name));
  const placed = [false, ...run.places.map((place) => has(place))];
  const ofKey = /[-.]?\d/.test(word); // numbers may be those of a key, and only then keys are made
  const head = word.replace(/-?[\d.-]*$/, "");
  const mayBe = run.names.map((name) => name.toLowerCase().endsWith(head) || has(name));
  return (row) =>
    named[run.nameOf[run.taskOf(row)]] ||
    (ofKey && mayBe[run.nameOf[run.taskOf(row)]] && has(run.key(row))) ||
    has(run.keys[row]) ||
    has(run.errorText(row)) ||
    has(run.values[row]) ||
    (row >= run.n && has(run.outcome(row))) ||
    placed[run.lineOf[run.taskOf(row)]];
}

// { rows: the first that fit, count: how many tasks do, attempts: how many attempts before the last do }
function search(run, question) {
  const words = question.toLowerCase().split(/\s+/).filter(Boolean);
  const found = { rows: [], count: 0, attempts: 0 };
  if (!words.length) return found;
  const tests = words.map((word) => testOf(run, word));
  for (let row = 0; row < run.bars; row++) {
    if (!tests.every((test) => test(row))) continue;
    if (found.rows.length < MOST_FOUND) found.rows.push(row);
    if (row < run.n) found.count++;
    else found.attempts++;
  }
  return found;
}

// The box at the top, and the list below it.
class SearchBox {
  constructor(run, on) {
    Object.assign(this, { run, on, at: -1 });
    this.input = byId("search");
    this.list = byId("found");
    this.input.disabled = false;
    this.input.addEventListener("input", () => {
      clearTimeout(this.later);
      this.later = setTimeout(() => this.ask(), run.n > 50_000 ? 200 : 30);
    });
    this.input.addEventListener("keydown", (event) => this.press(event));
    this.input.addEventListener("focus", () => {
      if (this.input.value) this.list.hidden = false;
    });
    document.addEventListener("pointerdown", (event) => {
      if (!event.target.closest(".search")) this.list.hidden = true;
    });
  }

  ask() {
    const { run } = this,
      found = search(run, this.input.value);
    this.rows = found.rows.slice(0, 50);
    this.at = -1;
    const asked = this.input.value.trim() !== "";
    this.list.hidden = !asked;
    this.input.setAttribute("aria-expanded", asked);
    const items = this.rows.map((row, i) =>
      el(
        "li",
        { role: "option", id: `found${i}`, onclick: () => this.pick(i) },
        swatch(run.slot(row)),
        nameOf(run.key(row)),
        el("span", { class: "faint" }, showSeconds(run.took[row])),
        run.failed(row) ? badge(run.outcome(row)) : null,
      ),
    );
    const all = found.count + found.attempts;
    const more = all > this.rows.length ? `, the first ${this.rows.length} here` : "";
    const head = [
      found.count ? plural(found.count, "task") : "",
      found.attempts ? plural(found.attempts, "earlier attempt") : "",
    ]
      .filter(Boolean)
      .join(" and ");
    const none = "No task has that. Try is:failed, is:retried, is:attempt, worker:2, >10ms";
    const said = el("li", { class: "faint", role: "presentation" }, all ? head + more : none);
    this.list.replaceChildren(said, ...items);
    this.on.found(found.rows);
  }

  press(event) {
    if (event.key === "Escape") {
      this.input.value = "";
      this.ask();
      this.input.blur();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      this.move(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter") {
      clearTimeout(this.later);
      if (this.at < 0) this.ask();
      if (this.rows?.length) this.pick(Math.max(0, this.at));
    }
  }

  move(by) {
    if (!this.rows?.length) return;
    this.at = (this.at + by + this.rows.length) % this.rows.length;
    this.list.querySelectorAll("[role=option]").forEach((item, i) => {
      item.setAttribute("aria-selected", i === this.at);
      if (i === this.at) item.scrollIntoView({ block: "nearest" });
    });
    this.input.setAttribute("aria-activedescendant", `found${this.at}`);
  }

  pick(i) {
    this.list.hidden = true;
    byId("bars").focus({ preventScroll: true }); // from here its keys lead on
    this.on.picked(this.rows[i], true);
  }
}

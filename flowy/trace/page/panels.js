// What stands below the timeline: one function for each panel, from a run to elements.

// Names

function namesPanel(facts, slotOf, onpick) {
  const most = Math.max(...facts.summary.map((row) => row[5]), 1e-12);
  return table(
    [
      {
        head: "Name",
        text: true,
        of: ([name]) => facts.names[name],
        show: ([name]) =>
          el("span", { class: "named" }, swatch(slotOf(name)), nameOf(facts.names[name])),
      },
      { head: "Tasks", of: (row) => row[1], show: (row) => row[1].toLocaleString("en") },
      {
        head: "Total",
        of: (row) => row[5],
        show: (row) => meter(row[5] / most, showSeconds(row[5]), slotOf(row[0])),
      },
      { head: "Mean", of: (row) => row[2], show: (row) => showSeconds(row[2]) },
      { head: "Median", of: (row) => row[3], show: (row) => showSeconds(row[3]) },
      { head: "95 %", of: (row) => row[4], show: (row) => showSeconds(row[4]) },
      {
        head: "Failed",
        of: (row) => row[6],
        show: (row) => (row[6] ? el("span", { class: "bad" }, `✕ ${row[6].toLocaleString("en")}`) : "–"),
      },
      {
        head: "Retries",
        of: (row) => row[7],
        show: (row) =>
          row[7] ? el("span", { class: "warn" }, `↻ ${row[7].toLocaleString("en")}`) : "–",
      },
    ],
    facts.summary,
    { label: "Tasks by name", onpick: ([name]) => onpick(facts.names[name]) },
  );
}

// Waits

function waitsPanel(facts) {
  if (!facts.waits.length)
    return nothing("The workflow's code never waited for a task before it asked for more.");
  return el(
    "div",
    {},
    el(
      "p",
      { class: "lead" },
      "Where the code looked at a result before it asked for more tasks. A result that is passed on as an argument needs no wait: where nothing else ran meanwhile, the code could have gone on.",
    ),
    table(
      [
        { head: "Waited for", text: true, of: (row) => row[0], show: (row) => nameOf(row[0]) },
        { head: "In line", text: true, of: (row) => row[1], show: (row) => row[1] || "–" },
        { head: "Times", of: (row) => row[2], show: (row) => row[2].toLocaleString("en") },
        {
          head: "Nothing else ran",
          of: (row) => row[4],
          show: (row) => (row[4] ? plural(row[4], "time") : "–"),
        },
        { head: "Waited", of: (row) => row[3], show: (row) => showSeconds(row[3]) },
      ],
      facts.waits,
      { label: "Waits" },
    ),
  );
}

const nothing = (text) => el("p", { class: "nothing" }, text);

// Slowest

function slowestPanel(run, onpick) {
  const rows = largestRows(run.took.subarray(0, run.n), 200);
  if (!rows.length) return nothing("No task has a time.");
  const most = run.took[rows[0]] || 1;
  return table(
    [
      {
        head: "Task",
        text: true,
        of: (row) => run.key(row),
        show: (row) => el("span", { class: "named" }, swatch(run.slot(row)), nameOf(run.key(row))),
      },
      {
        head: "Ran",
        of: (row) => run.took[row],
        show: (row) => meter(run.took[row] / most, showSeconds(run.took[row]), run.slot(row)),
      },
      { head: "Started at", of: (row) => run.start[row], show: (row) => showSeconds(run.start[row]) },
      {
        head: "Worker",
        of: (row) => run.workerOf[row],
        show: (row) => String(run.workerOf[row] || "–"),
      },
      {
        head: "Outcome",
        text: true,
        of: (row) => run.outcome(row),
        show: (row) => badge(run.outcome(row)),
      },
    ],
    rows,
    {
      label: "Slowest tasks",
      onpick,
      note: run.n > rows.length ? `The ${rows.length} slowest of ${run.n.toLocaleString("en")}.` : "",
    },
  );
}

// Errors and retries

function errorsPanel(run, onpick) {
  const groups = new Map(),
    retried = [];
  for (let row = 0; row < run.n; row++) {
    if (run.failed(row)) {
      const first = run.error(row).message.split("\n")[0] || `${run.outcome(row)}, no message was kept`;
      const key = JSON.stringify([run.nameOf[row], first]);
      if (!groups.has(key)) groups.set(key, { first, rows: [] });
      groups.get(key).rows.push(row);
    }
    if (run.attemptsOf[row] > 1) retried.push(row);
  }
  if (!groups.size && !retried.length) return nothing("Nothing failed, and nothing was tried twice.");
  const sorted = [...groups.values()].sort(
    (a, b) => b.rows.length - a.rows.length || a.rows[0] - b.rows[0],
  );
  return el(
    "div",
    {},
    ...sorted.slice(0, 200).map((group) => errorGroup(run, group, onpick)),
    sorted.length > 200
      ? el("p", { class: "more" }, `and ${plural(sorted.length - 200, "other error")}`)
      : null,
    retried.length ? retriesTable(run, retried, onpick) : null,
  );
}

function errorGroup(run, { first, rows }, onpick) {
  const box = el(
    "details",
    { class: "errors" },
    el(
      "summary",
      {},
      el("span", { class: "bad" }, "✕"),
      swatch(run.slot(rows[0])),
      el(
        "strong",
        {},
        nameOf(run.nameText(rows[0])),
        rows.length > 1 ? ` × ${rows.length.toLocaleString("en")}` : "",
      ),
      el("span", { class: "error" }, first.slice(0, 300)),
    ),
  );
  box.addEventListener("toggle", () => {
    if (box.childElementCount > 1) return;
    const { message, traceback } = run.error(rows[0]);
    const links = rows
      .slice(0, 20)
      .map((row) => el("button", { class: "link", onclick: () => onpick(row) }, nameOf(run.key(row))));
    box.append(
      el(
        "div",
        {},
        el(
          "p",
          { class: "tasks" },
          ...links,
          rows.length > 20
            ? el("span", { class: "faint" }, `and ${(rows.length - 20).toLocaleString("en")} more`)
            : null,
        ),
        el("pre", { class: "traceback", tabindex: 0 }, traceback || message || first),
      ),
    );
  });
  return box;
}

function retriesTable(run, rows, onpick) {
  return el(
    "div",
    {},
    el("h3", {}, `Tried more than once (${rows.length.toLocaleString("en")})`),
    table(
      [
        {
          head: "Task",
          text: true,
          of: (row) => run.key(row),
          show: (row) => el("span", { class: "named" }, swatch(run.slot(row)), nameOf(run.key(row))),
        },
        {
          head: "Attempts",
          of: (row) => run.attemptsOf[row],
          show: (row) => el("span", { class: "warn" }, `↻ ${run.attemptsOf[row]}`),
        },
        {
          head: "First error",
          text: true,
          show: (row) =>
            el("span", { class: "error" }, (run.earlier[row]?.[0].error ?? "–").split("\n")[0]),
        },
        {
          head: "Last attempt ran",
          of: (row) => run.took[row],
          show: (row) => showSeconds(run.took[row]),
        },
        {
          head: "Outcome",
          text: true,
          of: (row) => run.outcome(row),
          show: (row) => badge(run.outcome(row)),
        },
      ],
      rows,
      { label: "Retried tasks", onpick },
    ),
  );
}

// The critical path

class PathPanel {
  constructor(run, onpick) {
    Object.assign(this, { run, onpick, percent: 10, workers: Math.max(1, run.workers) });
    this.simulation = new Simulation(run);
    this.answers = el("div", { class: "answers" });
  }

  make() {
    const { run } = this,
      { path } = run;
    if (!path.tasks) return nothing("No task has a time.");
    const numbers = (name, value, max) =>
      el("input", {
        type: "number",
        min: 1,
        max,
        value,
        "aria-label": name,
        onchange: (event) => this.set(name, Number(event.target.value)),
      });
    const made = el(
      "div",
      {},
      el(
        "p",
        { class: "lead" },
        `${plural(path.tasks, "task")}, one after the other, that the end had to wait for: ${showSeconds(path.seconds)} of ${showSeconds(run.seconds)}.`,
      ),
      this.shares(),
      el("h3", {}, "What would be quicker"),
      el(
        "p",
        { class: "ask" },
        "If tasks of a name took ",
        numbers("percent", this.percent, 99),
        " % less time, on ",
        numbers("workers", this.workers, 100000),
        " workers:",
      ),
      this.answers,
      el("h3", {}, "Step by step"),
      this.steps(),
    );
    this.answer();
    return made;
  }

  set(name, value) {
    if (!(value >= 1) || (name === "percent" && value > 99)) return;
    this[name] = Math.floor(value);
    this.answer();
  }

  // A bar of the run: what each name has on the path, and what lies between tasks.
  shares() {
    const { run } = this,
      all = Math.max(run.seconds, run.path.seconds) || 1;
    const bar = el("div", { class: "shares", "aria-hidden": "true" }),
      legend = el("ul", { class: "legend" });
    const rest = Math.max(0, run.seconds - run.path.seconds);
    for (const [name, seconds, tasks] of run.path.names.slice(0, 12)) {
      const part = el("span", { class: `slot${run.slotOf[name]}` });
      part.style.flexGrow = seconds / all;
      bar.append(part);
      legend.append(
        el(
          "li",
          {},
          swatch(run.slotOf[name]),
          nameOf(run.names[name]),
          el("b", {}, showSeconds(seconds)),
          el("span", { class: "faint" }, `${showShare(seconds / all)}, ${plural(tasks, "task")}`),
        ),
      );
    }
    const gap = el("span", { class: "between" });
    gap.style.flexGrow = rest / all;
    bar.append(gap);
    legend.append(
      el(
        "li",
        {},
        el("span", { class: "swatch between" }),
        "between tasks",
        el("b", {}, showSeconds(rest)),
        el("span", { class: "faint" }, "waiting for a worker, sending, the workflow's code"),
      ),
    );
    return el("div", {}, bar, legend);
  }

  // One simulation after the other, so that the page stays quick.
  async answer() {
    const asked = (this.asked = {}),
      { run, percent, workers } = this;
    const before = this.simulation.seconds(workers),
      made = [];
    const names = [
      ...new Set([...run.path.names.map(([name]) => name), ...run.summary.map(([name]) => name)]),
    ].slice(0, 10);
    for (const name of names) {
      await new Promise((resolve) => setTimeout(resolve));
      if (asked !== this.asked) return;
      made.push({ name, saved: before - this.simulation.seconds(workers, name, 1 - percent / 100) });
    }
    made.sort((a, b) => b.saved - a.saved);
    const twice = this.simulation.seconds(2 * workers);
    const most = Math.max(...made.map((one) => one.saved), 1e-12);
    const saves = (saved, slot) =>
      meter(saved / most, saved > 1e-4 * before ? `saves ${showSeconds(saved)}` : "saves nothing", slot);
    this.answers.replaceChildren(
      el(
        "ul",
        {},
        ...made.map(({ name, saved }) =>
          el(
            "li",
            {},
            el("span", {}, `${percent} % off `, swatch(run.slotOf[name]), nameOf(run.names[name])),
            saves(saved, run.slotOf[name]),
          ),
        ),
      ),
      el(
        "p",
        { class: "faint" },
        `By simulation: the same tasks on ${plural(workers, "worker")} would take ${showSeconds(before)} as they are, and ${showSeconds(twice)} on ${(2 * workers).toLocaleString("en")}.`,
      ),
    );
  }

  steps() {
    const { run } = this;
    const steps = run.path.rows.map((row, i) => ({
      row,
      gap: Math.max(0, run.start[row] - (i ? run.end[run.path.rows[i - 1]] : 0)),
    }));
    return table(
      [
        {
          head: "Task",
          text: true,
          show: ({ row }) => el("span", { class: "named" }, swatch(run.slot(row)), nameOf(run.key(row))),
        },
        {
          head: "Started at",
          of: ({ row }) => run.start[row],
          show: ({ row }) => showSeconds(run.start[row]),
        },
        { head: "After a gap of", of: ({ gap }) => gap, show: ({ gap }) => showSeconds(gap) },
        { head: "Ran", of: ({ row }) => run.took[row], show: ({ row }) => showSeconds(run.took[row]) },
      ],
      steps,
      { label: "Critical path", onpick: ({ row }) => this.onpick(row) },
    );
  }
}

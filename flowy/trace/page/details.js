// All that is known of one task, beside the rest.

const MOST_LINKS = 12;

class Details {
  constructor(run, on) {
    Object.assign(this, { run, on });
    this.box = byId("details");
  }

  show(row) {
    this.box.hidden = row < 0;
    document.body.classList.toggle("with-details", row >= 0);
    if (row < 0) return;
    const { run } = this;
    this.box.replaceChildren(
      ...[
        el(
          "header",
          {},
          swatch(run.slot(row)),
          el("h2", {}, nameOf(run.key(row))),
          el(
            "button",
            {
              class: "icon",
              title: "Close (Esc)",
              "aria-label": "Close",
              onclick: () => this.on.picked(-1),
            },
            "✕",
          ),
        ),
        el(
          "p",
          {},
          badge(run.outcome(row)),
          this.tries(row),
        ),
        this.failure(row),
        ...(row < run.n ? this.ofTask(row) : this.ofAttempt(row)),
      ].filter(Boolean),
    );
    this.box.scrollTop = 0;
  }

  tries(row) {
    const all = this.run.attemptsOf[this.run.taskOf(row)];
    if (row >= this.run.n)
      return el("span", { class: "badge warn" }, `attempt ${this.run.attempt(row).number} of ${all}`);
    return all > 1 ? el("span", { class: "badge warn" }, `↻ ${all} attempts`) : null;
  }

  ofTask(row) {
    const { run } = this;
    return [
      this.times(row),
      this.facts(row),
      this.earlier(row),
      this.links("Depends on", run.sourcesOf(row)),
      this.links("Code had waited for", run.after[row] >= 0 ? [run.after[row]] : []),
      this.links("Part of", run.parent(row) >= 0 ? [run.parent(row)] : []),
      this.links("Needed by", run.usersOf(row)),
    ];
  }

  ofAttempt(row) {
    const { run } = this;
    return [
      definitions([
        ["Ran", showSeconds(run.took[row])],
        ["Started", `${showSeconds(run.start[row])} after the run began`],
        ["Clock time", showDate(run.began + run.start[row])],
        ["Name", run.nameText(row)],
        ["Worker", run.worker(row) ? String(run.worker(row)) : ""],
      ]),
      this.links("Attempt of", [run.taskOf(row)]),
    ];
  }

  failure(row) {
    if (!this.run.failed(row)) return null;
    const { message, traceback } = this.run.error(row);
    return el(
      "section",
      { class: "failure" },
      el("p", { class: "error" }, message || "no message was kept"),
      traceback ? el("pre", { class: "traceback", tabindex: 0 }, traceback) : null,
    );
  }

  // Ready, sent, started, ended: as a bar of three parts, and as numbers.
  times(row) {
    const { run } = this,
      start = run.start[row];
    if (!(start >= 0)) return el("p", { class: "faint" }, "It never ran.");
    const waited = Math.max(0, run.waitedOf[row]) || 0,
      queued = Math.max(0, run.queuedOf[row]) || 0,
      took = run.took[row] || 0;
    const all = waited + queued + took || 1;
    const bar = el("div", { class: "parts", "aria-hidden": "true" });
    for (const [kind, seconds] of [
      ["waited", waited],
      ["queued", queued],
      ["ran", took],
    ]) {
      const part = el("span", { class: kind });
      part.style.flexGrow = seconds / all;
      bar.append(part);
    }
    return el(
      "section",
      {},
      bar,
      definitions([
        ["Until it was sent", showSeconds(run.waitedOf[row])],
        ["On its way to a worker", showSeconds(run.queuedOf[row])],
        ["Ran", showSeconds(run.took[row])],
        ["Started", `${showSeconds(start)} after the run began`],
        ["Clock time", showDate(run.began + start)],
      ]),
    );
  }

  facts(row) {
    const { run } = this,
      argument = sizeOf(run.takenOf[row]),
      result = sizeOf(run.madeOf[row]);
    return definitions([
      ["Name", run.nameText(row)],
      ["Kind", run.kinds[run.kindOf[row]]],
      ["Worker", run.workerOf[row] ? String(run.workerOf[row]) : ""],
      ["Result", run.values[row] ?? ""],
      ["Called at", run.place(row)],
      ["Size of arguments", argument ? showBytes(argument) : ""],
      ["Size of result", result ? showBytes(result) : ""],
    ]);
  }

  // The attempts before the last one.
  earlier(row) {
    const kept = this.run.earlier[row];
    if (!kept) return null;
    return el(
      "section",
      {},
      el("h3", {}, "Earlier attempts"),
      ...kept.map((one) => {
        const { message, traceback } = splitError(one.error);
        return el(
          "div",
          { class: "failure" },
          el(
            "p",
            {},
            badge(one.outcome),
            el(
              "span",
              { class: "faint" },
              ` ${one.worker ? `on worker ${one.worker}` : ""} ${one.start === null ? "" : `at ${showSeconds(one.start)}, for ${showSeconds(one.end - one.start)}`}`,
            ),
          ),
          el("p", { class: "error" }, message),
          traceback ? el("pre", { class: "traceback", tabindex: 0 }, traceback) : null,
        );
      }),
    );
  }

  links(title, rows) {
    if (!rows.length) return null;
    const { run } = this;
    const items = Array.from(rows.slice(0, MOST_LINKS), (row) =>
      el(
        "li",
        {},
        el(
          "button",
          { class: "link", onclick: () => this.on.picked(row, true) },
          swatch(run.slot(row)),
          nameOf(run.key(row)),
        ),
        run.failed(row)
          ? badge(run.outcome(row))
          : el("span", { class: "faint" }, showSeconds(run.took[row])),
      ),
    );
    const more =
      rows.length > MOST_LINKS
        ? el("li", { class: "faint" }, `and ${(rows.length - MOST_LINKS).toLocaleString("en")} more`)
        : null;
    return el(
      "section",
      {},
      el("h3", {}, `${title} ${rows.length > 1 ? `(${rows.length.toLocaleString("en")})` : ""}`),
      el("ul", { class: "links" }, ...items, more),
    );
  }
}

function definitions(pairs) {
  return el(
    "dl",
    {},
    ...pairs
      .filter(([, text]) => text && text !== "–")
      .flatMap(([term, text]) => [el("dt", {}, term), el("dd", {}, el("bdi", {}, text))]),
  );
}

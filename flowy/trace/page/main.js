// The page: first what is known without the columns, then the rest as it comes.

const facts = JSON.parse(takeBlock("facts"));
const slots = slotsOf(facts);
let page = null; // once the columns are there
const theme = new Theme(() => redraw());

function redraw() {
  if (!page) return;
  page.timeline.draw();
  page.overview.draw();
}

function showHead() {
  const failures = facts.outcomes.slice(COMPLETED + 1).reduce((a, b) => a + b, 0),
    open = facts.outcomes[0];
  document.title = `${facts.title} – flowy`;
  byId("title").replaceChildren(nameOf(facts.title));
  const state = failures
    ? el("span", { class: "badge bad" }, `✕ ${failures.toLocaleString("en")} failed`)
    : open
      ? el("span", { class: "badge mute" }, `◌ ${open.toLocaleString("en")} never ended`)
      : el("span", { class: "badge good" }, "✓ completed");
  byId("state").replaceChildren(facts.tasks ? state : el("span", { class: "badge mute" }, "no tasks"));
  const fact = (term, text, id) => el("div", { id }, el("dt", {}, term), el("dd", {}, text));
  byId("facts-line").replaceChildren(
    ...[
      fact("Duration", showSeconds(facts.seconds)),
      fact("Tasks", facts.tasks.toLocaleString("en")),
      fact("Workers", facts.workers ? facts.workers.toLocaleString("en") : "–"),
      fact("Busy", "…", "busy"),
      fact("Retries", facts.retries.toLocaleString("en")),
      showDate(facts.began) ? fact("Began", showDate(facts.began)) : null,
    ].filter(Boolean),
  );
  byId("inexact").hidden = facts.exact;
}

function showLegend() {
  const named = facts.summary
    .slice(0, SLOTS - 1)
    .map(([name]) =>
      el(
        "li",
        {},
        el(
          "button",
          { class: "link", title: "Find its tasks", onclick: () => find(facts.names[name]) },
          swatch(slots[name]),
          nameOf(facts.names[name]),
        ),
      ),
    );
  const others = facts.summary.length >= SLOTS ? el("li", {}, swatch(SLOTS - 1), "others") : null;
  byId("legend").replaceChildren(
    ...named,
    ...(others ? [others] : []),
    el("li", { class: "key" }, el("span", { class: "swatch failed" }), "failed"),
    el("li", { class: "key" }, el("span", { class: "swatch retried" }), "retried"),
  );
}

function find(text) {
  const box = byId("search");
  box.value = text;
  box.dispatchEvent(new Event("input"));
  box.focus();
}

// Tabs: a panel is made when it is first looked at.

const panels = {
  graph: () => {
    page.graph = new Graph(page.run, theme, { picked });
    page.graph.draw();
  },
  path: () =>
    byId("panel-path").replaceChildren(new PathPanel(page.run, (row) => picked(row, true)).make()),
  names: () => byId("panel-names").replaceChildren(namesPanel(facts, (name) => slots[name], find)),
  slowest: () =>
    byId("panel-slowest").replaceChildren(slowestPanel(page.run, (row) => picked(row, true))),
  errors: () => byId("panel-errors").replaceChildren(errorsPanel(page.run, (row) => picked(row, true))),
  waits: () => byId("panel-waits").replaceChildren(waitsPanel(facts)),
};
const made = new Set();

function showTab(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const chosen = tab.dataset.panel === name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    byId(`panel-${tab.dataset.panel}`).hidden = !chosen;
  }
  showTab.current = name;
  if (made.has(name) || (!page && name !== "names" && name !== "waits")) return;
  made.add(name);
  panels[name]();
}

function listenToTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => showTab(tab.dataset.panel));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const next = tabs[(i + by + tabs.length) % tabs.length];
      showTab(next.dataset.panel);
      next.focus();
    });
  });
}

// Picking a task

function picked(row, come = false) {
  page.timeline.select(row);
  page.details.show(row);
  if (row >= 0 && come) page.timeline.showTask(row);
}

function listenToKeys() {
  byId("theme").addEventListener("click", () => theme.toggle());
  byId("keys-button").addEventListener("click", () => byId("keys").showModal());
  byId("keys-close").addEventListener("click", () => byId("keys").close());
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
    const tabs = [...document.querySelectorAll("[role=tab]")];
    const acts = {
      "/": () => byId("search").focus(),
      "?": () => byId("keys").showModal(),
      t: () => theme.toggle(),
      Escape: () => page && picked(-1),
    };
    tabs.forEach((tab, i) => {
      acts[`g${i + 1}`] = () => showTab(tab.dataset.panel);
    });
    const key = /^[1-6]$/.test(event.key) ? `g${event.key}` : event.key;
    if (Object.hasOwn(acts, key)) {
      event.preventDefault();
      acts[key]();
    } else if (
      page &&
      !event.target.closest("#bars, [role=tab], summary, .scroll, pre") &&
      press(page.timeline, event)
    )
      event.preventDefault();
  });
}

async function start() {
  showHead();
  showLegend();
  listenToTabs();
  listenToKeys();
  if (document.readyState === "loading")
    await new Promise((go) => document.addEventListener("DOMContentLoaded", go));
  const run = await readRun(facts);
  const lanes = makeLanes(run);
  const moved = (t0, t1) => {
    page?.overview.draw();
    byId("bars").setAttribute("aria-label", `Timeline from ${showSeconds(t0)} to ${showSeconds(t1)}`);
    byId("bars").dataset.view = JSON.stringify([t0, t1]); // exactly, for tools
  };
  const timeline = new Timeline(run, lanes, theme, { moved, picked });
  const overview = new Overview(run, lanes, timeline);
  page = { run, timeline, overview, details: new Details(run, { picked }) };
  page.search = new SearchBox(run, {
    picked,
    found: (rows) => {
      timeline.matches = rows;
      timeline.draw();
    },
  });
  byId("zoom-in").addEventListener("click", () => timeline.zoom(1 / ZOOM));
  byId("zoom-out").addEventListener("click", () => timeline.zoom(ZOOM));
  byId("zoom-all").addEventListener("click", () => timeline.show(...timeline.whole));
  byId("busy").lastChild.textContent = facts.workers ? showShare(overview.mean) : "–";
  byId("timeline").hidden = !lanes.length;
  byId("no-times").hidden = lanes.length > 0;
  timeline.layOut();
  timeline.show(...timeline.whole);
  byId("loading").hidden = true;
  showTab(showTab.current);
  requestAnimationFrame(() => {
    document.documentElement.dataset.ready = "yes";
    performance.mark("flowy-drawn");
  });
}

showTab.current = "graph";
start().catch((error) => {
  byId("loading").textContent =
    `This page can't be shown: ${error.message}. It needs a browser of 2023 or later.`;
  throw error;
});

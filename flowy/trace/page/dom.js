// The one way onto the screen: elements made from text, never from HTML.

const byId = (id) => document.getElementById(id);

function el(kind, facts = {}, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(facts)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((x) => x !== null && x !== undefined));
  return made;
}

function svg(kind, facts = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(facts)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// A name as an element of its own, so that text from right to left does not reorder what is around it.
const nameOf = (text) => el("bdi", { class: "name", title: text }, text);

// Status never by colour alone: each has a sign and a word.
const SIGNS = {
  completed: "✓",
  failed: "✕",
  "timed out": "✕",
  "worker died": "✕",
  cancelled: "⊘",
  open: "◌",
};

function badge(outcome) {
  const kind =
    outcome === "completed" ? "good" : outcome === "open" || outcome === "cancelled" ? "mute" : "bad";
  return el("span", { class: `badge ${kind}` }, `${SIGNS[outcome] ?? ""} ${outcome}`);
}

function swatch(slot) {
  return el("span", { class: `swatch slot${slot}`, "aria-hidden": "true" });
}

// Work at most once for each frame that is drawn.
function onceAFrame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}

// A canvas as large as its box in the pixels of the screen; returns their number in one of CSS.
function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const w = Math.max(1, Math.round(width * ratio)),
    h = Math.max(1, Math.round(height * ratio));
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  return ratio;
}

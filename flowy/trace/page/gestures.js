// Mouse, touch and keys on the timeline.

const ZOOM = 1.6;

function listenToGestures(timeline) {
  const { canvas } = timeline;
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    drag = { x: event.clientX, y: event.clientY, t0: timeline.t0, t1: timeline.t1, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return hover(timeline, event);
    const by = event.clientX - drag.x;
    drag.moved ||= Math.abs(by) > 3;
    if (!drag.moved) return;
    hideTip();
    canvas.classList.add("dragging");
    const seconds = (by * (drag.t1 - drag.t0)) / Math.max(1, timeline.width - timeline.gutter);
    timeline.show(drag.t0 - seconds, drag.t1 - seconds);
  });
  canvas.addEventListener("pointerup", (event) => {
    canvas.classList.remove("dragging");
    if (drag && !drag.moved) click(timeline, event);
    drag = null;
  });
  canvas.addEventListener("pointercancel", () => {
    drag = null;
  });
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener("wheel", (event) => wheel(timeline, event), { passive: false });
  canvas.addEventListener("dblclick", (event) =>
    timeline.zoom(1 / (ZOOM * ZOOM), timeline.timeAt(event.offsetX)),
  );
  canvas.addEventListener("keydown", (event) => {
    if (press(timeline, event)) event.preventDefault();
  });
}

// With Control (as a pinch comes too) it zooms, sideways or with Shift it pans; plain scrolling stays scrolling.
function wheel(timeline, event) {
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    const lines = event.deltaMode ? 16 : 1;
    timeline.zoom(
      Math.exp(Math.max(-1, Math.min(1, (event.deltaY * lines) / 240))),
      timeline.timeAt(event.offsetX),
    );
    return;
  }
  const sideways = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
  if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
    event.preventDefault();
    timeline.pan(sideways * timeline.secondsPerPixel);
  }
}

// A task is picked; where many share a pixel, one step closer comes first.
function click(timeline, event) {
  const row = timeline.taskAt(event.offsetX, event.offsetY);
  if (row < 0) return timeline.on.picked(-1);
  if (timeline.crowdAt(event.offsetX, event.offsetY) > 3)
    timeline.zoom(1 / 8, timeline.timeAt(event.offsetX));
  else timeline.on.picked(row);
}

function press(timeline, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const step = (timeline.t1 - timeline.t0) / 8;
  const acts = {
    ArrowLeft: () => timeline.pan(-step),
    ArrowRight: () => timeline.pan(step),
    "+": () => timeline.zoom(1 / ZOOM),
    "=": () => timeline.zoom(1 / ZOOM),
    "-": () => timeline.zoom(ZOOM),
    0: () => timeline.show(...timeline.whole),
    Home: () => timeline.show(timeline.whole[0], timeline.t1 - timeline.t0),
    End: () => timeline.show(timeline.whole[1] - (timeline.t1 - timeline.t0), timeline.whole[1]),
    n: () => neighbour(timeline, 1),
    p: () => neighbour(timeline, -1),
  };
  const act = Object.hasOwn(acts, event.key) ? acts[event.key] : null;
  act?.();
  return act !== null;
}

// The next or previous task of the same lane.
function neighbour(timeline, by) {
  const selected = timeline.selected < 0 ? timeline.lanes[0]?.rows[0] : timeline.selected;
  const lane = timeline.lanes[selected === undefined ? -1 : timeline.laneOf(selected)];
  if (!lane) return;
  const at = timeline.selected < 0 ? 0 : timeline.placeIn(lane, selected) + by;
  if (at >= 0 && at < lane.rows.length) timeline.on.picked(lane.rows[at], true);
}

function hover(timeline, event) {
  const { run } = timeline;
  const row = timeline.taskAt(event.offsetX, event.offsetY);
  timeline.canvas.classList.toggle("over", row >= 0);
  if (row < 0) return hideTip();
  const crowd = timeline.crowdAt(event.offsetX, event.offsetY);
  const lines =
    crowd > 3
      ? [
          el("strong", {}, plural(crowd, "task")),
          el(
            "span",
            { class: "faint" },
            `in ${showSeconds(timeline.secondsPerPixel)}; click to zoom in`,
          ),
        ]
      : [
          el("strong", {}, swatch(run.slot(row)), nameOf(run.key(row))),
          el("span", {}, showSeconds(run.took[row]), " ", badge(run.outcome(row))),
          run.failed(row)
            ? el("span", { class: "error" }, run.error(row).message.split("\n")[0].slice(0, 200))
            : null,
        ];
  showTip(event.clientX, event.clientY, lines);
}

function showTip(x, y, lines) {
  const tip = byId("tip");
  tip.replaceChildren(...lines.filter(Boolean));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8))}px`;
  tip.style.top = `${y + 18 + height > innerHeight ? y - height - 12 : y + 18}px`;
}

function hideTip() {
  byId("tip").hidden = true;
}

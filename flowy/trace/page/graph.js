// The graph: a box for each task or group of tasks, sub-workflows as frames, results as arrows.
// A group opens into its tasks, a frame closes into a box.

const BOX_HEIGHT = 44, CELL_WIDTH = 92, CELL_HEIGHT = 20, MOST_CELLS = 120, FRAME_PAD = 14, FRAME_HEAD = 50;
const COMFORT = 1.15, READABLE = 0.8; // a small graph is not blown up more, a wide one not shrunk more
const TALLEST_GRAPH = 560;

class Graph {
  constructor(run, theme, on) {
    Object.assign(this, { run, theme, on, opened: new Set(), closed: new Set() });
    this.box = byId("graph");
    this.canvas = document.createElement("canvas").getContext("2d");
    this.frameOf = new Map(run.frames.map(([, , box], number) => [box, number]).filter(([box]) => box >= 0));
    this.collect();
    this.listen();
  }

  // What the boxes hold, and how many results go from one to another.
  collect() {
    const { run } = this;
    this.boxes = run.boxes.map(([label, level, frame, kind], number) => ({
      number, label, level, frame, kind: run.kinds[kind], count: 0, seconds: 0, failures: 0, retries: 0, open: 0, first: -1, slot: SLOTS - 1,
    }));
    this.arrows = new Map();
    const add = (from, to, waited) => {
      const key = (from * this.boxes.length + to) * 2 + waited;
      this.arrows.set(key, (this.arrows.get(key) ?? 0) + 1);
    };
    for (let row = 0; row < run.n; row++) {
      const box = this.boxes[run.boxOf[row]];
      this.countIn(box, row);
      const begin = run.first[row], end = run.first[row + 1];
      for (let k = begin; k < end; k++) add(run.boxOf[run.sources[k]], box.number, 0);
      if (begin === end && run.after[row] >= 0) add(run.boxOf[run.after[row]], box.number, 1);
    }
  }

  countIn(box, row) {
    const { run } = this;
    if (!box.count++) [box.first, box.slot] = [row, run.slot(row)];
    if (run.took[row] > 0) box.seconds += run.took[row];
    box.failures += run.failed(row);
    box.retries += Math.max(1, run.attemptsOf[row]) - 1;
    box.open += run.outcomeOf[row] === 0;
  }

  // Layout, from the inner frames outwards

  frameLayout(frame) {
    const boxes = this.boxes.filter((box) => box.frame === frame);
    for (const box of boxes) this.measure(box);
    const places = new Map(boxes.map((box, i) => [box.number, i]));
    const seen = new Map();
    for (const [key, count] of this.arrows) {
      const waited = key % 2, [from, to] = this.lifted((key - waited) / 2, places);
      if (from === undefined || to === undefined || (from === to && places.get(from) === undefined)) continue;
      const name = `${from} ${to}`;
      const arrow = seen.get(name) ?? { from: places.get(from), to: places.get(to), count: 0, waited: 1 };
      arrow.count += count;
      arrow.waited &= waited;
      seen.set(name, arrow);
    }
    const arrows = [...seen.values()];
    const made = boxes.length ? layOut(boxes, arrows.map(({ from, to }) => [from, to])) : { width: 0, height: 0, routes: [] };
    return { ...made, boxes, arrows };
  }

  // The boxes of a frame that the ends of an arrow are in.
  lifted(pair, places) {
    const n = this.boxes.length;
    let from = Math.floor(pair / n), to = pair % n;
    const inner = from !== to;
    while (from !== undefined && !places.has(from)) from = this.above(from);
    while (to !== undefined && !places.has(to)) to = this.above(to);
    return inner && from === to ? [] : [from, to];
  }

  above(box) {
    const frame = this.run.frames[this.boxes[box].frame];
    return frame && frame[2] >= 0 ? frame[2] : undefined;
  }

  measure(box) {
    box.lines = this.lines(box);
    box.width = Math.max(96, Math.min(230, Math.max(...box.lines.map((line, i) => this.textWidth(line, i)), 0) + 38));
    box.height = BOX_HEIGHT;
    box.inner = null;
    box.cells = [];
    const frame = this.frameOf.get(box.number);
    if (frame !== undefined && !this.closed.has(box.number)) {
      box.inner = this.frameLayout(frame);
      box.width = Math.max(box.width, box.inner.width + 2 * FRAME_PAD);
      box.height = box.inner.height + FRAME_PAD + FRAME_HEAD;
    } else if (this.opened.has(box.number)) this.open(box);
  }

  // A group as a grid of its tasks: what failed and what was slow first if there are too many.
  open(box) {
    const { run } = this, rows = [];
    for (let row = 0; row < run.n; row++) if (run.boxOf[row] === box.number) rows.push(row);
    const worth = (row) => (run.failed(row) ? 1e18 : 0) + (run.attemptsOf[row] > 1 ? 1e15 : 0) + (run.took[row] || 0);
    const shown = rows.length > MOST_CELLS ? rows.sort((a, b) => worth(b) - worth(a)).slice(0, MOST_CELLS - 1) : rows;
    const columns = Math.max(1, Math.min(8, Math.round(Math.sqrt(shown.length * 0.6))));
    const all = shown.length + (rows.length > shown.length ? 1 : 0);
    box.cells = shown.map((row, i) => ({ row, x: FRAME_PAD + (i % columns) * (CELL_WIDTH + 4), y: BOX_HEIGHT + Math.floor(i / columns) * (CELL_HEIGHT + 4) }));
    box.left = rows.length - shown.length;
    box.leftAt = { x: FRAME_PAD + (shown.length % columns) * (CELL_WIDTH + 4), y: BOX_HEIGHT + Math.floor(shown.length / columns) * (CELL_HEIGHT + 4) };
    box.width = Math.max(box.width, columns * (CELL_WIDTH + 4) - 4 + 2 * FRAME_PAD);
    box.height = BOX_HEIGHT + Math.ceil(all / columns) * (CELL_HEIGHT + 4) + FRAME_PAD - 4;
  }

  lines(box) {
    const more = [showSeconds(box.seconds)];
    if (box.failures) more.push(`✕ ${box.count > 1 ? `${box.failures.toLocaleString("en")} failed` : "failed"}`);
    if (box.retries) more.push(`↻ ${box.retries.toLocaleString("en")}`);
    if (box.open === box.count) more.splice(0, 1, "never ran");
    return [box.count > 1 ? `${box.label} × ${box.count.toLocaleString("en")}` : box.label, more.join("  ")];
  }

  textWidth(text, line) {
    this.canvas.font = `${line ? "11" : "600 12.5"}px ${this.theme.font}`;
    return this.canvas.measureText(text).width;
  }

  fit(text, width, line = 0) {
    if (this.textWidth(text, line) <= width) return text;
    let shown = text;
    while (shown && this.textWidth(`${shown}…`, line) > width) shown = shown.slice(0, -1);
    return `${shown}…`;
  }

  // Drawing

  draw() {
    const root = this.frameLayout(0);
    this.size = { width: root.width, height: root.height };
    this.content = svg("g");
    const head = svg("marker", { id: "head", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" },
      svg("path", { d: "M0 0 8 4 0 8z", class: "point" }));
    this.picture = svg("svg", { class: "picture", role: "img", "aria-label": `Graph of ${plural(this.boxes.length, "box", "boxes")}` }, svg("defs", {}, head), this.content);
    this.drawFrame(root, this.content, 0, 0);
    this.box.querySelector(".picture")?.remove();
    this.box.append(this.picture);
    this.fitView();
    byId("graph-hint").textContent = this.explanation();
  }

  // What is drawn, and what can be done with it.
  explanation() {
    const { run } = this, waits = [...this.arrows.keys()].some((key) => key % 2);
    const grouped = run.flat ? "One box for each name, since there are too many groups to look at."
      : this.boxes.length < run.n ? "Tasks of the same name that depend on the same are one box: click it to see them." : "";
    return [grouped, waits ? "Dashed: the code had waited for it." : ""].join(" ");
  }

  drawFrame(frame, group, x, y) {
    frame.arrows.forEach((arrow, i) => this.drawArrow(group, frame.boxes, arrow, frame.routes[i], x, y));
    for (const box of frame.boxes) this.drawBox(group, box, x + box.x, y + box.y);
  }

  drawArrow(group, boxes, arrow, route, x, y) {
    const from = boxes[arrow.from], to = boxes[arrow.to];
    const classes = `arrow${arrow.waited ? " waited" : ""}${from.failures && from.failures === from.count ? " bad" : ""}`;
    const a = [x + from.x + from.width, y + from.y + from.height / 2], b = [x + to.x - 2, y + to.y + to.height / 2];
    if (from === to) return; // calls on one's own results: the count in the box says it
    let d;
    if (a[0] > b[0]) { // back to an earlier column: around below
      const low = y + Math.max(from.y + from.height, to.y + to.height) + 18;
      d = `M${x + from.x + from.width / 2} ${y + from.y + from.height}C${x + from.x + from.width / 2} ${low + 14} ${x + to.x + to.width / 2} ${low + 14} ${x + to.x + to.width / 2} ${y + to.y + to.height + 3}`;
    } else {
      const [start, ...bends] = route, end = bends.pop(); // straight within a column, bent between two
      const through = bends.flatMap((p) => [[x + p.x, y + p.y], [x + p.x + p.wide, y + p.y]]);
      const points = [a, [x + start.x + start.wide, a[1]], ...through, [x + end.x - 2, b[1]], b];
      d = `M${a}`;
      for (let i = 1; i < points.length; i++) {
        const [p, q] = [points[i - 1], points[i]], half = (q[0] - p[0]) / 2;
        d += `C${p[0] + half} ${p[1]} ${q[0] - half} ${q[1]} ${q}`;
      }
    }
    const width = 1 + Math.min(3, Math.log10(arrow.count) / 1.5);
    const line = svg("path", { d, class: classes, "stroke-width": width.toFixed(2), "marker-end": "url(#head)" });
    line.append(svg("title", {}, `${plural(arrow.count, arrow.waited ? "wait" : "result")}: ${from.label} → ${to.label}`));
    group.append(line);
  }

  drawBox(group, box, x, y) {
    const state = box.failures ? "bad" : box.retries ? "warn" : box.open === box.count ? "mute" : "";
    const frame = box.kind === "workflow";
    const made = svg("g", { class: `box ${state}${box.inner ? " frame" : ""}`, transform: `translate(${x} ${y})`, tabindex: 0, role: "button", "aria-label": box.lines.join(", ") });
    made.append(svg("rect", { class: "body", width: box.width, height: box.height, rx: frame ? 3 : Math.min(12, box.height / 2) }));
    if (box.count > 1 && !box.inner && !box.cells.length) made.append(svg("path", { class: "stack", d: `M10 ${box.height + 3}H${box.width - 8}q${8} 0 ${8} -8` }));
    made.append(svg("circle", { cx: 14, cy: 17, r: 4.5, class: `dot slot${box.slot}` }));
    box.lines.forEach((line, i) => made.append(svg("text", { x: 24, y: i ? 36 : 21.5, class: i ? "second" : "first" }, this.fit(line, box.width - 34, i))));
    made.append(svg("title", {}, `${box.lines.join("\n")}\n${this.hint(box)}`));
    const act = (event) => { event.stopPropagation(); this.act(box); };
    made.addEventListener("click", act);
    made.addEventListener("keydown", (event) => { if (event.key === "Enter") act(event); });
    for (const cell of box.cells) this.drawCell(made, cell);
    if (box.left) made.append(svg("text", { x: box.leftAt.x + 6, y: box.leftAt.y + 14, class: "second" }, `+ ${box.left.toLocaleString("en")} more`));
    group.append(made);
    if (box.inner) this.drawFrame(box.inner, group, x + FRAME_PAD, y + FRAME_HEAD);
  }

  drawCell(group, { row, x, y }) {
    const { run } = this, state = run.failed(row) ? "bad" : run.attemptsOf[row] > 1 ? "warn" : "";
    const text = `${run.failed(row) ? "✕ " : ""}${run.key(row)}`;
    const short = this.textWidth(text, 1) > CELL_WIDTH - 10 ? `…${run.key(row).slice(run.nameText(row).length)}` : text;
    const cell = svg("g", { class: `cell ${state}`, transform: `translate(${x} ${y})`, tabindex: 0, role: "button", "aria-label": run.key(row) },
      svg("rect", { width: CELL_WIDTH, height: CELL_HEIGHT, rx: 4 }), svg("text", { x: 6, y: 14 }, this.fit(short, CELL_WIDTH - 10, 1)),
      svg("title", {}, `${run.key(row)}, ${showSeconds(run.took[row])}`));
    const act = (event) => { event.stopPropagation(); this.on.picked(row, true); };
    cell.addEventListener("click", act);
    cell.addEventListener("keydown", (event) => { if (event.key === "Enter") act(event); });
    group.append(cell);
  }

  hint(box) {
    if (this.frameOf.has(box.number)) return box.inner ? "click to close" : "click to open";
    if (box.count > 1) return box.cells.length ? "click to close" : "click to see its tasks";
    return "click for details";
  }

  act(box) {
    if (this.drag?.moved) return;
    const set = this.frameOf.has(box.number) ? this.closed : box.count > 1 ? this.opened : null;
    if (!set) return this.on.picked(box.first, true);
    if (!set.delete(box.number)) set.add(box.number);
    this.draw();
    if (box.count === 1) this.on.picked(box.first, true);
  }

  // Looking around

  fitView() {
    const { width, height } = this.size, room = this.box.clientWidth;
    const wide = Math.max(Math.min(COMFORT, (room - 32) / width), READABLE);
    const tall = Math.max(180, Math.min(TALLEST_GRAPH, height * wide + 32));
    this.box.style.height = `${tall}px`;
    this.scale = Math.max(0.02, Math.min(wide, (tall - 24) / height)) || 1;
    this.x = Math.max(16, (room - width * this.scale) / 2); // what is too wide begins at the left
    this.y = Math.max(6, (tall - height * this.scale) / 2 - 6);
    this.move();
  }

  move(touched = false) {
    this.touched = touched; // then the view stays as it is
    this.content.setAttribute("transform", `translate(${this.x} ${this.y}) scale(${this.scale})`);
  }

  zoom(factor, x = this.box.clientWidth / 2, y = this.box.clientHeight / 2) {
    const scale = Math.max(0.02, Math.min(4, this.scale * factor)), by = scale / this.scale;
    Object.assign(this, { scale, x: x - (x - this.x) * by, y: y - (y - this.y) * by });
    this.move(true);
  }

  listen() {
    const { box } = this;
    box.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const { left, top } = box.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY / 240), event.clientX - left, event.clientY - top);
    }, { passive: false });
    box.addEventListener("pointerdown", (event) => {
      if (!event.button) this.drag = { x: event.clientX, y: event.clientY, from: [this.x, this.y], moved: false, down: true };
    });
    addEventListener("pointermove", (event) => {
      if (!this.drag?.down) return;
      const dx = event.clientX - this.drag.x, dy = event.clientY - this.drag.y;
      this.drag.moved ||= Math.hypot(dx, dy) > 4;
      if (!this.drag.moved) return;
      [this.x, this.y] = [this.drag.from[0] + dx, this.drag.from[1] + dy];
      this.move(true);
    });
    addEventListener("pointerup", () => { if (this.drag) this.drag.down = false; });
    new ResizeObserver(() => { if (!this.touched && this.box.clientWidth) this.fitView(); }).observe(box);
    byId("graph-in").addEventListener("click", () => this.zoom(ZOOM));
    byId("graph-out").addEventListener("click", () => this.zoom(1 / ZOOM));
    byId("graph-fit").addEventListener("click", () => this.fitView());
  }
}

// The boxes of the graph: what they hold, how large they are, and where they stand.
// A group may be opened into its tasks, and a frame be closed; drawing is in graph.js.

const BOX_HEIGHT = 44;
const CELL_WIDTH = 92,
  CELL_HEIGHT = 20,
  MOST_CELLS = 120;
const FRAME_PAD = 14,
  FRAME_HEAD = 50;

class Boxes {
  constructor(run, theme) {
    Object.assign(this, { run, theme, opened: new Set(), closed: new Set() });
    this.canvas = document.createElement("canvas").getContext("2d");
    this.frameOf = new Map(
      run.frames.map(([, , box], number) => [box, number]).filter(([box]) => box >= 0),
    );
    this.collect();
  }

  // What the boxes hold, and how many results go from one to another.
  collect() {
    const { run } = this;
    this.boxes = run.boxes.map(([label, level, frame, kind], number) => ({
      number,
      label,
      level,
      frame,
      kind: run.kinds[kind],
      count: 0,
      seconds: 0,
      failures: 0,
      retries: 0,
      open: 0,
      first: -1,
      slot: SLOTS - 1,
    }));
    this.arrows = new Map();
    const add = (from, to, waited) => {
      const key = (from * this.boxes.length + to) * 2 + waited;
      this.arrows.set(key, (this.arrows.get(key) ?? 0) + 1);
    };
    for (let row = 0; row < run.n; row++) {
      const box = this.boxes[run.boxOf[row]];
      this.countIn(box, row);
      const begin = run.first[row],
        end = run.first[row + 1];
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
      const waited = key % 2,
        [from, to] = this.lifted((key - waited) / 2, places);
      if (from === undefined || to === undefined || (from === to && places.get(from) === undefined))
        continue;
      const name = `${from} ${to}`;
      const arrow = seen.get(name) ?? {
        from: places.get(from),
        to: places.get(to),
        count: 0,
        waited: 1,
      };
      arrow.count += count;
      arrow.waited &= waited;
      seen.set(name, arrow);
    }
    const arrows = [...seen.values()];
    const made = boxes.length
      ? layOut(
          boxes,
          arrows.map(({ from, to }) => [from, to]),
        )
      : { width: 0, height: 0, routes: [] };
    return { ...made, boxes, arrows };
  }

  // The boxes of a frame that the ends of an arrow are in.
  lifted(pair, places) {
    const n = this.boxes.length;
    let from = Math.floor(pair / n),
      to = pair % n;
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
    box.width = Math.max(
      96,
      Math.min(230, Math.max(...box.lines.map((line, i) => this.textWidth(line, i)), 0) + 38),
    );
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
    const { run } = this,
      rows = [];
    for (let row = 0; row < run.n; row++) if (run.boxOf[row] === box.number) rows.push(row);
    const worth = (row) =>
      (run.failed(row) ? 1e18 : 0) + (run.attemptsOf[row] > 1 ? 1e15 : 0) + (run.took[row] || 0);
    const shown =
      rows.length > MOST_CELLS
        ? rows.sort((a, b) => worth(b) - worth(a)).slice(0, MOST_CELLS - 1)
        : rows;
    const columns = Math.max(1, Math.min(8, Math.round(Math.sqrt(shown.length * 0.6))));
    const all = shown.length + (rows.length > shown.length ? 1 : 0);
    box.cells = shown.map((row, i) => ({
      row,
      x: FRAME_PAD + (i % columns) * (CELL_WIDTH + 4),
      y: BOX_HEIGHT + Math.floor(i / columns) * (CELL_HEIGHT + 4),
    }));
    box.left = rows.length - shown.length;
    box.leftAt = {
      x: FRAME_PAD + (shown.length % columns) * (CELL_WIDTH + 4),
      y: BOX_HEIGHT + Math.floor(shown.length / columns) * (CELL_HEIGHT + 4),
    };
    box.width = Math.max(box.width, columns * (CELL_WIDTH + 4) - 4 + 2 * FRAME_PAD);
    box.height = BOX_HEIGHT + Math.ceil(all / columns) * (CELL_HEIGHT + 4) + FRAME_PAD - 4;
  }

  lines(box) {
    const more = [showSeconds(box.seconds)];
    if (box.failures)
      more.push(`✕ ${box.count > 1 ? `${box.failures.toLocaleString("en")} failed` : "failed"}`);
    if (box.retries) more.push(`↻ ${box.retries.toLocaleString("en")}`);
    if (box.open === box.count) more.splice(0, 1, "never ran");
    return [
      box.count > 1 ? `${box.label} × ${box.count.toLocaleString("en")}` : box.label,
      more.join("  "),
    ];
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
}

// The graph: a box for each task or group of tasks, sub-workflows as frames, results as arrows.

const COMFORT = 1.15; // a small graph is not blown up more than this,
const READABLE = 0.8; // and a wide one not shrunk more
const TALLEST_GRAPH = 560;

class Graph extends Boxes {
  constructor(run, theme, on) {
    super(run, theme);
    this.on = on;
    this.box = byId("graph");
    this.listen();
  }

  draw() {
    const root = this.frameLayout(0);
    this.size = { width: root.width, height: root.height };
    this.content = svg("g");
    const head = svg(
      "marker",
      {
        id: "head",
        viewBox: "0 0 8 8",
        refX: 7,
        refY: 4,
        markerWidth: 8,
        markerHeight: 8,
        markerUnits: "userSpaceOnUse",
        orient: "auto-start-reverse",
      },
      svg("path", { d: "M0 0 8 4 0 8z", class: "point" }),
    );
    this.picture = svg(
      "svg",
      {
        class: "picture",
        role: "img",
        "aria-label": `Graph of ${plural(this.boxes.length, "box", "boxes")}`,
      },
      svg("defs", {}, head),
      this.content,
    );
    this.drawFrame(root, this.content, 0, 0);
    this.box.querySelector(".picture")?.remove();
    this.box.append(this.picture);
    this.fitView();
    byId("graph-hint").textContent = this.explanation();
  }

  // What is drawn, and what can be done with it.
  explanation() {
    const { run } = this,
      waits = [...this.arrows.keys()].some((key) => key % 2);
    const grouped = run.flat
      ? "One box for each name, since there are too many groups to look at."
      : this.boxes.length < run.n
        ? "Tasks of the same name that depend on the same are one box: click it to see them."
        : "";
    return [grouped, waits ? "Dashed: the code had waited for it." : ""].join(" ");
  }

  drawFrame(frame, group, x, y) {
    frame.arrows.forEach((arrow, i) => this.drawArrow(group, frame.boxes, arrow, frame.routes[i], x, y));
    for (const box of frame.boxes) this.drawBox(group, box, x + box.x, y + box.y);
  }

  drawArrow(group, boxes, arrow, route, x, y) {
    const from = boxes[arrow.from],
      to = boxes[arrow.to];
    const classes = `arrow${arrow.waited ? " waited" : ""}${from.failures && from.failures === from.count ? " bad" : ""}`;
    const a = [x + from.x + from.width, y + from.y + from.height / 2],
      b = [x + to.x - 2, y + to.y + to.height / 2];
    if (from === to) return; // calls on one's own results: the count in the box says it
    let d;
    if (route[0].x === route.at(-1).x) {
      // within a column: around at its right
      const right = x + to.x + to.width + 2,
        out = Math.max(a[0], right) + 22;
      d = `M${a}C${out} ${a[1]} ${out} ${b[1]} ${right} ${b[1]}`;
    } else if (a[0] > b[0]) {
      // back to an earlier column: around below
      const low = y + Math.max(from.y + from.height, to.y + to.height) + 18;
      d = `M${x + from.x + from.width / 2} ${y + from.y + from.height}C${x + from.x + from.width / 2} ${low + 14} ${x + to.x + to.width / 2} ${low + 14} ${x + to.x + to.width / 2} ${y + to.y + to.height + 3}`;
    } else {
      const [start, ...bends] = route,
        end = bends.pop(); // straight within a column, bent between two
      const through = bends.flatMap((p) => [
        [x + p.x, y + p.y],
        [x + p.x + p.wide, y + p.y],
      ]);
      const points = [a, [x + start.x + start.wide, a[1]], ...through, [x + end.x - 2, b[1]], b];
      d = `M${a}`;
      for (let i = 1; i < points.length; i++) {
        const [p, q] = [points[i - 1], points[i]],
          half = (q[0] - p[0]) / 2;
        d += `C${p[0] + half} ${p[1]} ${q[0] - half} ${q[1]} ${q}`;
      }
    }
    const width = 1 + Math.min(3, Math.log10(arrow.count) / 1.5);
    const line = svg("path", {
      d,
      class: classes,
      "stroke-width": width.toFixed(2),
      "marker-end": "url(#head)",
    });
    line.append(
      svg(
        "title",
        {},
        `${plural(arrow.count, arrow.waited ? "wait" : "result")}: ${from.label} → ${to.label}`,
      ),
    );
    group.append(line);
  }

  drawBox(group, box, x, y) {
    const state = box.failures ? "bad" : box.retries ? "warn" : box.open === box.count ? "mute" : "";
    const frame = box.kind === "workflow";
    const made = svg("g", {
      class: `box ${state}${box.inner ? " frame" : ""}`,
      transform: `translate(${x} ${y})`,
      tabindex: 0,
      role: "button",
      "aria-label": box.lines.join(", "),
    });
    made.append(
      svg("rect", {
        class: "body",
        width: box.width,
        height: box.height,
        rx: frame ? 3 : Math.min(12, box.height / 2),
      }),
    );
    if (box.count > 1 && !box.inner && !box.cells.length)
      made.append(
        svg("path", { class: "stack", d: `M10 ${box.height + 3}H${box.width - 8}q${8} 0 ${8} -8` }),
      );
    made.append(svg("circle", { cx: 14, cy: 17, r: 4.5, class: `dot slot${box.slot}` }));
    box.lines.forEach((line, i) =>
      made.append(
        svg(
          "text",
          { x: 24, y: i ? 36 : 21.5, class: i ? "second" : "first" },
          this.fit(line, box.width - 34, i),
        ),
      ),
    );
    made.append(svg("title", {}, `${box.lines.join("\n")}\n${this.hint(box)}`));
    const act = (event) => {
      event.stopPropagation();
      this.act(box);
    };
    made.addEventListener("click", act);
    made.addEventListener("keydown", (event) => {
      if (event.key === "Enter") act(event);
    });
    for (const cell of box.cells) this.drawCell(made, cell);
    if (box.left)
      made.append(
        svg(
          "text",
          { x: box.leftAt.x + 6, y: box.leftAt.y + 14, class: "second" },
          `+ ${box.left.toLocaleString("en")} more`,
        ),
      );
    group.append(made);
    if (box.inner) this.drawFrame(box.inner, group, x + FRAME_PAD, y + FRAME_HEAD);
  }

  drawCell(group, { row, x, y }) {
    const { run } = this,
      state = run.failed(row) ? "bad" : run.attemptsOf[row] > 1 ? "warn" : "";
    const text = `${run.failed(row) ? "✕ " : ""}${run.key(row)}`;
    const short =
      this.textWidth(text, 1) > CELL_WIDTH - 10
        ? `…${run.key(row).slice(run.nameText(row).length)}`
        : text;
    const cell = svg(
      "g",
      {
        class: `cell ${state}`,
        transform: `translate(${x} ${y})`,
        tabindex: 0,
        role: "button",
        "aria-label": run.key(row),
      },
      svg("rect", { width: CELL_WIDTH, height: CELL_HEIGHT, rx: 4 }),
      svg("text", { x: 6, y: 14 }, this.fit(short, CELL_WIDTH - 10, 1)),
      svg("title", {}, `${run.key(row)}, ${showSeconds(run.took[row])}`),
    );
    const act = (event) => {
      event.stopPropagation();
      this.on.picked(row, true);
    };
    cell.addEventListener("click", act);
    cell.addEventListener("keydown", (event) => {
      if (event.key === "Enter") act(event);
    });
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
    const { width, height } = this.size,
      room = this.box.clientWidth;
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
    const scale = Math.max(0.02, Math.min(4, this.scale * factor)),
      by = scale / this.scale;
    Object.assign(this, { scale, x: x - (x - this.x) * by, y: y - (y - this.y) * by });
    this.move(true);
  }

  listen() {
    const { box } = this;
    box.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        const { left, top } = box.getBoundingClientRect();
        this.zoom(Math.exp(-event.deltaY / 240), event.clientX - left, event.clientY - top);
      },
      { passive: false },
    );
    box.addEventListener("pointerdown", (event) => {
      if (!event.button)
        this.drag = {
          x: event.clientX,
          y: event.clientY,
          from: [this.x, this.y],
          moved: false,
          down: true,
        };
    });
    addEventListener("pointermove", (event) => {
      if (!this.drag?.down) return;
      const dx = event.clientX - this.drag.x,
        dy = event.clientY - this.drag.y;
      this.drag.moved ||= Math.hypot(dx, dy) > 4;
      if (!this.drag.moved) return;
      [this.x, this.y] = [this.drag.from[0] + dx, this.drag.from[1] + dy];
      this.move(true);
    });
    addEventListener("pointerup", () => {
      if (this.drag) this.drag.down = false;
    });
    new ResizeObserver(() => {
      if (!this.touched && this.box.clientWidth) this.fitView();
    }).observe(box);
    byId("graph-in").addEventListener("click", () => this.zoom(ZOOM));
    byId("graph-out").addEventListener("click", () => this.zoom(1 / ZOOM));
    byId("graph-fit").addEventListener("click", () => this.fitView());
  }
}

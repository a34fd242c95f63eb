// The timeline: lanes below an axis, the part of the run that is looked at, and what is picked out in it.

const AXIS = 24,
  GAP = 3;
const LEAST_LANE = 7,
  MOST_LANE = 24,
  TALLEST = 420;

class Timeline {
  constructor(run, lanes, theme, on) {
    Object.assign(this, { run, lanes, theme, on });
    this.scroller = byId("timeline");
    this.canvas = byId("bars");
    this.whole = [0, Math.max(run.seconds, 1e-6)];
    this.t0 = this.whole[0];
    this.t1 = this.whole[1];
    this.selected = -1;
    this.matches = [];
    this.path = Uint32Array.from(run.path.rows);
    this.draw = onceAFrame(() => this.drawNow());
    this.layOut();
    this.scroller.addEventListener("scroll", this.draw);
    new ResizeObserver(() => {
      this.layOut();
      this.draw();
    }).observe(this.scroller);
    listenToGestures(this);
  }

  layOut() {
    this.width = this.scroller.clientWidth;
    this.gutter = this.width < 600 ? 24 : 84;
    const room = (TALLEST - AXIS) / Math.max(1, this.lanes.length) - GAP;
    this.lane = Math.max(LEAST_LANE, Math.min(MOST_LANE, Math.floor(room)));
    const all = AXIS + this.lanes.length * (this.lane + GAP) + GAP;
    this.height = Math.min(all, TALLEST);
    this.scroller.style.height = `${this.height}px`;
    byId("scrolled").style.height = `${all - this.height}px`;
  }

  get look() {
    if (this.lookName !== this.theme.name) {
      this.lookMade = lookOf(this.theme);
      this.lookName = this.theme.name;
    }
    return this.lookMade;
  }

  // What is looked at

  get secondsPerPixel() {
    return (this.t1 - this.t0) / Math.max(1, this.width - this.gutter);
  }
  timeAt(x) {
    return this.t0 + (x - this.gutter) * this.secondsPerPixel;
  }
  xAt(time) {
    return this.gutter + (time - this.t0) / this.secondsPerPixel;
  }

  show(t0, t1) {
    const [first, last] = this.whole,
      all = last - first;
    const span = Math.min(all, Math.max(t1 - t0, Math.min(all, 1e-6)));
    const begin = Math.min(Math.max(first, (t0 + t1 - span) / 2), last - span);
    [this.t0, this.t1] = [begin, begin + span];
    this.draw();
    this.on.moved(this.t0, this.t1);
  }

  zoom(factor, around = (this.t0 + this.t1) / 2) {
    const span = (this.t1 - this.t0) * factor,
      part = (around - this.t0) / (this.t1 - this.t0);
    if (span < this.whole[1] - this.whole[0])
      this.show(around - part * span, around + (1 - part) * span);
    else this.show(...this.whole);
  }

  pan(seconds) {
    this.show(this.t0 + seconds, this.t1 + seconds);
  }

  // Puts a task in the middle, wide enough to be seen among its neighbours.
  showTask(row) {
    const { start, took } = this.run;
    if (!(took[row] >= 0)) return;
    const middle = start[row] + took[row] / 2,
      span = this.t1 - this.t0;
    const inView = start[row] >= this.t0 && start[row] + took[row] <= this.t1;
    if (!inView || took[row] / this.secondsPerPixel < 3) {
      const wide = Math.min(span, Math.max(took[row] * 12, 1e-6));
      this.show(middle - wide / 2, middle + wide / 2);
    }
    const lane = this.laneOf(row);
    const y = AXIS + lane * (this.lane + GAP),
      top = this.scroller.scrollTop;
    if (y - AXIS < top || y + this.lane > top + this.height)
      this.scroller.scrollTop = y - this.height / 2;
  }

  laneOf(row) {
    const wanted = this.run.worker(row);
    return this.lanes.findIndex(
      (lane) => lane.worker === wanted && lane.rows[this.placeIn(lane, row)] === row,
    );
  }

  placeIn(lane, row) {
    let at = lane.position(this.run.start[row]);
    while (at > 0 && lane.rows[at] !== row && this.run.start[lane.rows[at]] >= this.run.start[row]) at--;
    return at;
  }

  select(row) {
    this.selected = row;
    this.draw();
  }

  // What is where

  laneAt(y) {
    const at = Math.floor((y - AXIS + this.scroller.scrollTop) / (this.lane + GAP));
    return y >= AXIS && at < this.lanes.length ? at : -1;
  }

  // The task at a point, or the one next to it within some pixels; -1 if there is none.
  taskAt(x, y) {
    const lane = this.lanes[this.laneAt(y)];
    if (!lane || x < this.gutter) return -1;
    const time = this.timeAt(x),
      near = 3 * this.secondsPerPixel;
    let best = -1,
      distance = near;
    const at = lane.position(time + near);
    for (let i = at; i >= Math.max(0, at - 200); i--) {
      const row = lane.rows[i];
      const away = Math.max(0, this.run.start[row] - time, time - this.run.end[row]);
      if (away < distance) [best, distance] = [row, away];
      if (!away) break;
    }
    return best;
  }

  // How many tasks a pixel holds there.
  crowdAt(x, y) {
    const lane = this.lanes[this.laneAt(y)];
    if (!lane || x < this.gutter) return 0;
    const time = this.timeAt(x);
    return (
      lane.position(time + this.secondsPerPixel / 2) - lane.position(time - this.secondsPerPixel / 2)
    );
  }

  // Drawing

  drawNow() {
    const began = performance.now();
    const ratio = fitCanvas(this.canvas, this.width, this.height),
      context = this.canvas.getContext("2d");
    context.fillStyle = this.look.panel;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.drawMarks(context, ratio, (x) =>
      context.fillRect(x, (AXIS - 6) * ratio, ratio, this.canvas.height),
    );
    const top = this.scroller.scrollTop,
      step = this.lane + GAP;
    this.labelled = -Infinity;
    for (let at = Math.floor(top / step); at < this.lanes.length; at++) {
      const y = AXIS + at * step - top;
      if (y > this.height) break;
      this.drawOne(context, at, y, ratio);
    }
    this.drawSelection(context, ratio);
    this.drawMatches(context, ratio);
    this.drawAxis(context, ratio);
    this.drawn = performance.now() - began;
  }

  drawOne(context, at, y, ratio) {
    const lane = this.lanes[at],
      x = this.gutter * ratio,
      width = this.canvas.width - x;
    const place = {
      x,
      y: Math.round(y * ratio),
      width,
      height: this.lane * ratio,
      t0: this.t0,
      t1: this.t1,
      ratio,
    };
    context.save();
    context.beginPath();
    context.rect(x, AXIS * ratio, width, this.canvas.height);
    context.clip();
    context.fillStyle = this.look.lane;
    context.globalAlpha = 0.75; // the marks of the axis show through where nobody works
    context.fillRect(x, place.y, width, place.height);
    context.globalAlpha = 1;
    drawLane(context, lane, place, this.look);
    context.restore();
    if (!lane.label || y < this.labelled + 12) return; // there is no room for one
    this.labelled = y;
    context.fillStyle = this.look.faint;
    context.font = `${11 * ratio}px ${this.look.font}`;
    context.textBaseline = "middle";
    const text =
      this.gutter < 60 ? lane.label.replace("worker ", "").replace("no worker", "·") : lane.label;
    context.fillText(text, 4 * ratio, place.y + place.height / 2 + ratio / 2);
  }

  drawAxis(context, ratio) {
    const { look, canvas } = this;
    context.fillStyle = look.panel;
    context.fillRect(0, 0, canvas.width, AXIS * ratio);
    context.font = `${11 * ratio}px ${look.font}`;
    context.textBaseline = "middle";
    this.drawMarks(context, ratio, (x, time, step) => {
      context.fillStyle = look.line;
      context.fillRect(x, (AXIS - 6) * ratio, ratio, 6 * ratio);
      context.fillStyle = look.faint;
      const text = showMark(time, step, this.t1),
        wide = context.measureText(text).width;
      const left = Math.max(x - wide / 2, this.gutter * ratio);
      context.fillText(text, Math.min(left, canvas.width - wide - 2 * ratio), (AXIS / 2 - 2) * ratio);
    });
  }

  drawMarks(context, ratio, mark) {
    const step = markStep(this.secondsPerPixel, 90);
    context.fillStyle = this.look.line;
    for (let k = Math.ceil(this.t0 / step - 1e-9); k * step <= this.t1; k++) {
      mark(Math.round(this.xAt(k * step) * ratio), k * step, step);
    }
  }

  // A frame around the task that is picked, and lines from what it depends on and to what depends on it.
  drawSelection(context, ratio) {
    const row = this.selected;
    if (row < 0 || !(this.run.took[row] >= 0)) return;
    const box = this.boxOf(row);
    if (!box) return;
    context.save();
    context.beginPath();
    context.rect(this.gutter * ratio, AXIS * ratio, this.canvas.width, this.canvas.height);
    context.clip();
    context.lineWidth = 1.25 * ratio;
    context.strokeStyle = this.look.text;
    const causes = this.run.causesOf(this.run.taskOf(row));
    for (const source of causes.slice(0, 60)) this.drawLink(context, source, row, ratio);
    for (const user of this.usersOf(row).slice(0, 60)) this.drawLink(context, row, user, ratio);
    context.lineWidth = 2 * ratio;
    context.strokeRect(
      box.x * ratio - ratio,
      box.y * ratio - ratio,
      box.width * ratio + 2 * ratio,
      (this.lane + 2) * ratio,
    );
    context.restore();
  }

  // Of an attempt: what was tried next.
  usersOf(row) {
    const { run } = this;
    if (row < run.n) return run.usersOf(row);
    const { row: task, number } = run.attempt(row);
    const next = run.attempts.findIndex((one) => one.row === task && one.number === number + 1);
    return [next < 0 ? task : run.n + next];
  }

  boxOf(row) {
    const lane = this.laneOf(row);
    if (lane < 0) return null;
    const x = this.xAt(this.run.start[row]);
    const y = AXIS + lane * (this.lane + GAP) - this.scroller.scrollTop;
    return { x, y, width: Math.max(2, this.xAt(this.run.end[row]) - x) };
  }

  drawLink(context, from, to, ratio) {
    const a = this.boxOf(from),
      b = this.boxOf(to);
    if (!a || !b) return;
    const x0 = (a.x + a.width) * ratio,
      y0 = (a.y + this.lane / 2) * ratio,
      x1 = b.x * ratio,
      y1 = (b.y + this.lane / 2) * ratio;
    const bend = Math.max(12 * ratio, Math.abs(x1 - x0) / 2);
    context.beginPath();
    context.moveTo(x0, y0);
    context.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
    context.stroke();
  }

  // Triangles above what the search found.
  drawMatches(context, ratio) {
    context.fillStyle = this.look.accent;
    for (const row of this.matches) {
      if (this.run.end[row] < this.t0 || this.run.start[row] > this.t1) continue;
      const box = this.boxOf(row);
      if (!box || box.y < AXIS - this.lane) continue;
      const x = Math.max(this.gutter, box.x + Math.min(box.width, 10) / 2) * ratio,
        y = (box.y + 5) * ratio;
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x - 4 * ratio, y - 7 * ratio);
      context.lineTo(x + 4 * ratio, y - 7 * ratio);
      context.fill();
    }
  }
}

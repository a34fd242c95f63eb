// The whole run above the timeline: how many workers were busy when, and the part that is looked at.

const BINS = 1200;

class Overview {
  constructor(run, lanes, timeline) {
    Object.assign(this, { run, timeline });
    this.canvas = byId("overview");
    this.workers = Math.max(1, run.workers);
    this.count(lanes.filter((lane) => lane.worker > 0));
    this.draw = onceAFrame(() => this.drawNow());
    new ResizeObserver(this.draw).observe(this.canvas.parentElement);
    this.listen();
  }

  // The part of the workers' time that is busy, for each bin and over all.
  count(lanes) {
    const sums = new Float32Array(BINS * SLOTS);
    this.flags = new Uint8Array(BINS);
    const [t0, t1] = this.timeline.whole;
    for (const lane of lanes) lane.gather(t0, t1, BINS, sums, this.flags);
    const full = ((t1 - t0) / BINS) * this.workers;
    this.shares = Float32Array.from({ length: BINS }, (_, i) => {
      let sum = 0;
      for (let slot = 0; slot < SLOTS; slot++) sum += sums[i * SLOTS + slot];
      return Math.min(1, sum / full);
    });
    this.mean = lanes.reduce((sum, lane) => sum + lane.busy, 0) / ((t1 - t0) * this.workers);
  }

  listen() {
    const { canvas, timeline } = this;
    const timeAt = (event) => ((event.offsetX - timeline.gutter) / this.room) * timeline.whole[1];
    const least = () => (4 * timeline.whole[1]) / this.room; // what moves less is a click
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      from = timeAt(event);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = timeAt(event);
      if (Math.abs(to - from) > least()) timeline.show(Math.min(from, to), Math.max(from, to));
    });
    canvas.addEventListener("pointerup", (event) => {
      const to = timeAt(event),
        half = (timeline.t1 - timeline.t0) / 2;
      if (from !== null && Math.abs(to - from) <= least()) timeline.show(to - half, to + half);
      from = null;
    });
    canvas.addEventListener("pointercancel", () => {
      from = null;
    });
  }

  // The room beside the names of lanes, so that it stands above what it shows.
  get room() {
    return Math.max(1, this.timeline.width - this.timeline.gutter);
  }

  drawNow() {
    const { gutter, width, look } = this.timeline,
      height = 46;
    const ratio = fitCanvas(this.canvas, width, height),
      context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.fillStyle = look.faint;
    context.font = `11px ${look.font}`;
    context.textBaseline = "middle";
    if (gutter > 60) context.fillText("busy", 4, height / 2);
    context.translate(gutter, 0);
    this.drawArea(context, this.room, height);
    this.drawView(context, this.room, height);
  }

  drawArea(context, width, height) {
    const { look } = this.timeline;
    context.fillStyle = look.lane;
    context.fillRect(0, 0, width, height);
    context.beginPath();
    context.moveTo(0, height);
    for (let x = 0; x <= width; x++)
      context.lineTo(x, height - (height - 6) * this.share(x / width, 1 / width));
    context.lineTo(width, height);
    context.fillStyle = look.accent;
    context.globalAlpha = 0.5;
    context.fill();
    context.globalAlpha = 1;
    context.fillStyle = look.bad;
    for (let i = 0; i < BINS; i++)
      if (this.flags[i] & FAILED) context.fillRect((i / BINS) * width - 0.5, 0, 1.5, 5);
  }

  // What is not looked at is shaded.
  drawView(context, width, height) {
    const { look, whole, t0, t1 } = this.timeline;
    const a = (t0 / whole[1]) * width,
      b = (t1 / whole[1]) * width;
    context.fillStyle = look.shade;
    context.fillRect(0, 0, a, height);
    context.fillRect(b, 0, width - b, height);
    if (b - a > width - 0.5) return;
    const left = Math.max(0.5, a),
      right = Math.min(b, width - 0.5);
    context.strokeStyle = look.text;
    context.strokeRect(left, 0.5, Math.max(2, right - left), height - 1);
  }

  // The part of the workers that is busy, from 0 to 1.
  share(at, wide) {
    const from = Math.floor(at * BINS),
      to = Math.max(from + 1, Math.floor((at + wide) * BINS));
    let sum = 0;
    for (let i = from; i < to; i++) sum += this.shares[Math.min(i, BINS - 1)];
    return sum / (to - from);
  }
}

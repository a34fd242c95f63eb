// Tasks in lanes, one for each worker, so that a million of them are drawn by reading a few thousand numbers.
//
// A lane has its rows in the order of time, and for each `BLOCK` of them the seconds by colour. Where a
// whole block falls into one pixel it is not looked into.

const BLOCK = 64;
const FAILED = 1,
  RETRIED = 2;
const MOST_SUBLANES = 8;

class Lane {
  constructor(run, label, worker, rows) {
    Object.assign(this, { run, label, worker, rows });
    const n = (this.blocks = Math.ceil(rows.length / BLOCK));
    this.from = new Float64Array(n);
    this.to = new Float64Array(n);
    this.flags = new Uint8Array(n);
    this.seconds = new Float32Array(n * SLOTS);
    for (let i = 0; i < rows.length; i++) this.count(i, (i / BLOCK) | 0);
    this.busy = this.seconds.reduce((sum, s) => sum + s, 0);
  }

  count(i, block) {
    const { run } = this,
      row = this.rows[i];
    if (i % BLOCK === 0) this.from[block] = run.start[row];
    if (run.end[row] > this.to[block]) this.to[block] = run.end[row];
    this.flags[block] |= flagsOf(run, row);
    this.seconds[block * SLOTS + run.slot(row)] += run.took[row];
  }

  // The position of the last row that starts at `time` or before, -1 if there is none.
  position(time) {
    let low = 0,
      high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.run.start[this.rows[middle]] <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  // How many rows may show between two times.
  countBetween(t0, t1) {
    return Math.max(0, this.position(t1) - Math.max(0, this.position(t0) - 1));
  }

  // Calls `see(row)` for the rows that show between two times, in order.
  each(t0, t1, see) {
    const { run, rows } = this;
    for (let block = 0; block < this.blocks; block++) {
      if (this.to[block] < t0) continue;
      if (this.from[block] > t1) break;
      const stop = Math.min(rows.length, (block + 1) * BLOCK);
      for (let i = block * BLOCK; i < stop; i++) {
        const row = rows[i];
        if (run.start[row] > t1) return;
        if (run.end[row] >= t0) see(row);
      }
    }
  }

  // Adds, for `width` pixels from t0 to t1, the seconds of each colour to `sums` and what happened to `flags`.
  gather(t0, t1, width, sums, flags) {
    const { run, rows } = this,
      scale = width / (t1 - t0);
    for (let block = 0; block < this.blocks; block++) {
      if (this.to[block] < t0) continue;
      if (this.from[block] > t1) break;
      const left = Math.floor((this.from[block] - t0) * scale),
        right = Math.floor((this.to[block] - t0) * scale);
      if (left === right && left >= 0 && left < width) {
        for (let slot = 0; slot < SLOTS; slot++)
          sums[left * SLOTS + slot] += this.seconds[block * SLOTS + slot];
        flags[left] |= this.flags[block];
        continue;
      }
      const stop = Math.min(rows.length, (block + 1) * BLOCK);
      for (let i = block * BLOCK; i < stop; i++) spread(run, rows[i], t0, scale, width, sums, flags);
    }
  }
}

function flagsOf(run, row) {
  return (run.failed(row) ? FAILED : 0) | (run.attemptsOf[row] > 1 ? RETRIED : 0);
}

function spread(run, row, t0, scale, width, sums, flags) {
  const a = (run.start[row] - t0) * scale,
    b = (run.end[row] - t0) * scale;
  if (b < 0 || a >= width) return;
  const slot = run.slot(row),
    left = Math.max(0, Math.floor(a)),
    right = Math.min(width - 1, Math.floor(b));
  for (let x = left; x <= right; x++) {
    sums[x * SLOTS + slot] += (Math.min(b, x + 1) - Math.max(a, x)) / scale;
  }
  const happened = flagsOf(run, row);
  if (happened) for (let x = left; x <= right; x++) flags[x] |= happened;
}

function makeLanes(run) {
  const byWorker = new Map();
  for (const row of sortedRows(run.start)) {
    if (!(run.end[row] >= run.start[row])) continue; // it never ran
    const worker = run.worker(row);
    if (!byWorker.has(worker)) byWorker.set(worker, []);
    byWorker.get(worker).push(row);
  }
  const lanes = [];
  for (const worker of [...byWorker.keys()].sort((a, b) => (a || Infinity) - (b || Infinity))) {
    const rows = byWorker.get(worker),
      name = worker ? `worker ${worker}` : "no worker";
    const parts = overlaps(run, rows) ? apart(run, rows) : [rows];
    parts.forEach((part, i) => lanes.push(new Lane(run, i ? "" : name, worker, Uint32Array.from(part))));
  }
  return lanes;
}

// Whether more than a few tasks of a worker ran side by side: waiting sub-workflows, timers, threads.
function overlaps(run, rows) {
  let found = 0;
  for (let i = 1; i < rows.length; i++) {
    const over = run.end[rows[i - 1]] - run.start[rows[i]];
    if (over > 2e-6 && over > 0.01 * run.took[rows[i]]) found++;
  }
  return found > rows.length / 200;
}

// Each row in the first sub-lane that is free, and those that find none in the last.
function apart(run, rows) {
  const parts = [],
    ends = [];
  for (const row of rows) {
    let at = ends.findIndex((end) => end <= run.start[row] + 1e-6);
    if (at < 0) at = parts.length < MOST_SUBLANES ? parts.push([]) - 1 : MOST_SUBLANES - 1;
    parts[at].push(row);
    ends[at] = Math.max(ends[at] ?? 0, run.end[row]);
  }
  return parts;
}

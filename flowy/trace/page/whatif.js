// What would be if: the same tasks in a time of their own, on so many workers, some of them quicker.
//
// As `predict` in analysis.py: whenever a worker is free it takes the task that has been ready longest.

class Simulation {
  constructor(run) {
    this.run = run;
    this.activity = run.kinds.indexOf("activity");
    const n = run.n;
    this.parents = Int32Array.from({ length: n }, (_, row) => run.parent(row));
    this.missing = new Int32Array(n);
    [this.firstUser, this.users] = lists(n, (see) => this.eachCause(see));
    [this.firstChild, this.children] = lists(n, (see) =>
      this.parents.forEach((parent, row) => {
        if (parent >= 0) see(parent, row);
      }),
    );
    this.eachCause((_, row) => {
      this.missing[row]++;
    });
    this.parents.forEach((parent, row) => {
      if (parent >= 0) this.missing[row]++;
    });
  }

  eachCause(see) {
    const { first, sources, after, n } = this.run,
      { parents } = this;
    for (let row = 0; row < n; row++) {
      for (let k = first[row]; k < first[row + 1]; k++)
        if (sources[k] !== parents[row]) see(sources[k], row);
      if (after[row] >= 0 && after[row] !== parents[row]) see(after[row], row);
    }
  }

  // Seconds to the end; tasks of `name` take `factor` of what they took.
  seconds(workers, name = -1, factor = 1) {
    const { run } = this;
    this.left = this.missing.slice();
    this.unfinished = Int32Array.from(
      { length: run.n },
      (_, row) => this.firstChild[row + 1] - this.firstChild[row],
    );
    const takes = (row) =>
      run.took[row] > 0 ? run.took[row] * (run.nameOf[row] === name ? factor : 1) : 0;
    const running = new Heap(),
      queue = [];
    let starting = [],
      free = workers,
      clock = 0,
      next = 0;
    for (let row = 0; row < run.n; row++) if (!this.left[row]) starting.push(row);
    for (;;) {
      while (starting.length) {
        const entered = [];
        for (const row of starting) {
          if (run.kindOf[row] === this.activity) queue.push(row);
          else if (this.firstChild[row] === this.firstChild[row + 1])
            running.push(clock + takes(row), row);
          else entered.push(row);
        }
        starting = [];
        for (const row of entered) this.enter(row, starting);
      }
      for (; next < queue.length && free; free--, next++)
        running.push(clock + takes(queue[next]), queue[next]);
      if (!running.size) return clock;
      clock = running.least;
      while (running.size && running.least === clock) {
        const row = running.pop();
        if (run.kindOf[row] === this.activity) free++;
        this.finish(row, starting);
      }
      starting.sort((a, b) => a - b);
    }
  }

  // A sub-workflow starts, and with it what stands first in it.
  enter(row, ready) {
    for (let k = this.firstChild[row]; k < this.firstChild[row + 1]; k++) {
      if (!--this.left[this.children[k]]) ready.push(this.children[k]);
    }
  }

  // The last task of a sub-workflow ends that too.
  finish(row, ready) {
    while (row >= 0) {
      for (let k = this.firstUser[row]; k < this.firstUser[row + 1]; k++) {
        if (!--this.left[this.users[k]]) ready.push(this.users[k]);
      }
      row = this.parents[row];
      if (row >= 0 && --this.unfinished[row]) return;
    }
  }
}

// For each of n numbers a list of others, from pairs that `each` calls its argument with.
function lists(n, each) {
  const first = new Uint32Array(n + 1);
  each((key) => {
    first[key + 1]++;
  });
  for (let i = 0; i < n; i++) first[i + 1] += first[i];
  const at = first.slice(),
    values = new Uint32Array(first[n]);
  each((key, value) => {
    values[at[key]++] = value;
  });
  return [first, values];
}

class Heap {
  constructor() {
    this.times = [];
    this.rows = [];
  }
  get size() {
    return this.times.length;
  }
  get least() {
    return this.times[0];
  }

  push(time, row) {
    const { times, rows } = this;
    let at = times.length;
    while (at) {
      const up = (at - 1) >> 1;
      if (times[up] <= time) break;
      times[at] = times[up];
      rows[at] = rows[up];
      at = up;
    }
    times[at] = time;
    rows[at] = row;
  }

  pop() {
    const { times, rows } = this,
      top = rows[0],
      time = times.pop(),
      row = rows.pop(),
      size = times.length;
    if (!size) return top;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= size) break;
      if (down + 1 < size && times[down + 1] < times[down]) down++;
      if (times[down] >= time) break;
      times[at] = times[down];
      rows[at] = rows[down];
      at = down;
    }
    times[at] = time;
    rows[at] = row;
    return top;
  }
}

// The columns of a run, as `packing.py` wrote them.
//
// Rows are numbers of tasks. Behind them, from `n` to `bars`, are the attempts before the last that have
// times: what the timeline and the search ask of a row they answer too, but they have no columns.

const TICK = 1e-7,
  UNKNOWN = 0xffffffff;
const COMPLETED = 1; // an outcome above this one is a failure, 0 is open

// The text of a block of data, which is then let go: it may be large.
function takeBlock(id) {
  const block = byId(id);
  const text = block.textContent.trim();
  block.remove();
  return text;
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

async function unpack(id) {
  const stream = new Blob([fromBase64(takeBlock(id))])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

const TYPES = { Uint8Array, Uint16Array, Uint32Array, Float32Array, Float64Array };

function decode(buffer, entry) {
  const values = new TYPES[entry.type](buffer, entry.at, entry.size);
  if (entry.coding === "differences") {
    for (let i = 1; i < values.length; i++) values[i] += values[i - 1]; // modulo 2³², by its type
  }
  return values;
}

// For each name its colour: the names with the largest totals have one each.
function slotsOf(facts) {
  const slots = new Uint8Array(Math.max(1, facts.names.length)).fill(SLOTS - 1);
  facts.summary.slice(0, SLOTS - 1).forEach(([name], i) => {
    slots[name] = i;
  });
  return slots;
}

function splitError(text) {
  const [message, ...rest] = text.split("\n\nwhere it ran:\n");
  return { message, traceback: rest.join("\n") };
}

// A number of bytes that is kept in 16 bits; see `size_of` in record.py.
function sizeOf(rounded) {
  return (rounded & 0x7ff) * 2 ** (rounded >> 11);
}

class Run {
  constructor(facts, buffer, texts) {
    Object.assign(this, facts, texts);
    this.n = facts.tasks;
    const columns = {};
    for (const entry of facts.columns) columns[entry.name] = decode(buffer, entry);
    for (const name of [
      "name",
      "worker",
      "attempts",
      "kind",
      "outcome",
      "waited",
      "queued",
      "box",
      "run",
      "call",
      "line",
      "taken",
      "made",
    ]) {
      this[`${name}Of`] = columns[name];
    }
    this.indexOf = new Int32Array(columns.index.buffer, columns.index.byteOffset, this.n);
    this.runParent = new Int32Array(
      columns.runParent.buffer,
      columns.runParent.byteOffset,
      columns.runParent.length,
    );
    this.attempts = Object.entries(this.earlier).flatMap(([row, kept]) =>
      kept
        .map((one, i) => ({ ...one, row: Number(row), number: i + 1 }))
        .filter(({ start, end }) => start !== null && end !== null && end >= start),
    );
    this.bars = this.n + this.attempts.length;
    this.setTimes(columns);
    this.setEdges(columns);
    this.slotOf = slotsOf(facts);
  }

  setTimes({ started, took }) {
    const n = this.n,
      whole = started instanceof Uint32Array;
    this.start = new Float64Array(this.bars); // seconds from the first time of the run on
    this.took = new Float64Array(this.bars);
    this.end = new Float64Array(this.bars);
    for (let i = 0; i < n; i++) {
      this.start[i] = whole ? (started[i] === UNKNOWN ? NaN : started[i] * TICK) : started[i];
      this.took[i] = whole ? (took[i] === UNKNOWN ? NaN : took[i] * TICK) : took[i];
      this.end[i] = this.start[i] + this.took[i];
    }
    this.attempts.forEach(({ start, end }, i) => {
      this.start[n + i] = Math.max(0, start);
      this.end[n + i] = Math.max(0, end);
      this.took[n + i] = this.end[n + i] - this.start[n + i];
    });
  }

  setEdges({ counts, sources, after }) {
    const n = this.n;
    this.first = new Uint32Array(n + 1);
    this.sources = sources;
    this.after = new Int32Array(n);
    for (let row = 0, at = 0; row < n; row++) {
      for (let k = counts[row]; k; k--, at++) sources[at] = row - sources[at];
      this.first[row + 1] = at;
      this.after[row] = after[row] ? row - after[row] : -1;
    }
  }

  // The attempt that a row is, if it is no task.
  attempt(row) {
    return this.attempts[row - this.n];
  }
  // The task that a row is, or is an attempt of.
  taskOf(row) {
    return row < this.n ? row : this.attempt(row).row;
  }
  nameText(row) {
    return this.names[this.nameOf[this.taskOf(row)]];
  }
  slot(row) {
    return this.slotOf[this.nameOf[this.taskOf(row)]];
  }
  worker(row) {
    return row < this.n ? this.workerOf[row] : this.attempt(row).worker;
  }
  failed(row) {
    return row >= this.n || this.outcomeOf[row] > COMPLETED;
  }
  outcome(row) {
    return row < this.n ? this.outcomeNames[this.outcomeOf[row]] : this.attempt(row).outcome;
  }
  parent(row) {
    return this.runParent[this.runOf[row]] ?? -1;
  }
  sourcesOf(row) {
    return this.sources.subarray(this.first[row], this.first[row + 1]);
  }

  key(row) {
    if (row >= this.n) {
      const { row: task, number } = this.attempt(row);
      return this.key(task).replace(/-\d+$/, `-${number - 1}`);
    }
    const own = this.keys[row];
    if (own !== undefined) return own;
    const member = this.indexOf[row] >= 0 ? `.${this.indexOf[row]}` : "";
    return `${this.nameText(row)}-${this.callOf[row]}${member}-${Math.max(1, this.attemptsOf[row]) - 1}`;
  }

  // Where the code asked for it.
  place(row) {
    return this.lineOf[row] ? this.places[this.lineOf[row] - 1] : "";
  }

  errorText(row) {
    return row < this.n ? this.errors[row] : this.attempt(row).error;
  }

  // Message and traceback of a failure.
  error(row) {
    return splitError(this.errorText(row) ?? "");
  }

  // The tasks that depend on this one; made for all at the first question.
  usersOf(row) {
    if (!this.users) {
      const first = new Uint32Array(this.n + 1);
      for (const source of this.sources) first[source + 1]++;
      for (let i = 0; i < this.n; i++) first[i + 1] += first[i];
      const at = first.slice(),
        users = new Uint32Array(this.sources.length);
      for (let i = 0; i < this.n; i++) for (const source of this.sourcesOf(i)) users[at[source]++] = i;
      this.users = { first, users };
    }
    return this.users.users.subarray(this.users.first[row], this.users.first[row + 1]);
  }

  // What a task could not start before: its sources, or what the code had waited for when it asked.
  causesOf(row) {
    const causes = Array.from(this.sourcesOf(row));
    if (this.after[row] >= 0) causes.push(this.after[row]);
    return causes;
  }
}

async function readRun(facts) {
  const [numbers, texts] = await Promise.all([unpack("numbers"), unpack("texts")]);
  return new Run(facts, numbers, JSON.parse(new TextDecoder().decode(texts)));
}

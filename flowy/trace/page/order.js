// Sorting rows by a number: a radix sort, because a million calls of a comparison take seconds.

// The rows `0 … keys.length - 1` in the order of their keys, which are at least 0; NaN comes last.
function sortedRows(keys) {
  const n = keys.length;
  const words = new Uint32Array(keys.buffer, keys.byteOffset, 2 * n); // bits of such doubles sort as they do
  let from = new Uint32Array(n),
    to = new Uint32Array(n);
  for (let i = 0; i < n; i++) from[i] = i;
  const counts = new Uint32Array(1 << 16);
  for (let digit = 0; digit < 4; digit++) {
    const word = digit >> 1,
      shift = (digit & 1) * 16;
    counts.fill(0);
    for (let i = 0; i < n; i++) counts[(words[2 * i + word] >>> shift) & 0xffff]++;
    let at = 0;
    for (let i = 0; i < counts.length; i++) {
      const count = counts[i];
      counts[i] = at;
      at += count;
    }
    for (let i = 0; i < n; i++) to[counts[(words[2 * from[i] + word] >>> shift) & 0xffff]++] = from[i];
    [from, to] = [to, from];
  }
  return from;
}

// The `most` rows with the largest numbers, the largest first.
function largestRows(values, most) {
  const kept = [];
  let least = -Infinity;
  for (let row = 0; row < values.length; row++) {
    const value = values[row];
    if (!(value > least)) continue;
    kept.push(row);
    if (kept.length >= 4 * most) {
      kept.sort((a, b) => values[b] - values[a] || a - b).length = most;
      least = values[kept[most - 1]];
    }
  }
  return kept.sort((a, b) => values[b] - values[a] || a - b).slice(0, most);
}

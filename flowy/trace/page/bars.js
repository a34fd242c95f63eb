// One lane on a canvas: single bars where there is room for them, else what each pixel holds of each colour.

const ROOM = 3; // pixels that a task must have on average to be drawn as a bar of its own

// `place` is the lane's part of the canvas: x, y, width and height in its pixels, and the times t0 and t1.
function drawLane(context, lane, place, look) {
  const count = lane.countBetween(place.t0, place.t1);
  if (count * ROOM > place.width) drawShares(context, lane, place, look);
  else drawBars(context, lane, place, look);
}

function drawBars(context, lane, { x, y, width, height, t0, t1, ratio }, look) {
  const { run } = lane,
    scale = width / (t1 - t0);
  lane.each(t0, t1, (row) => {
    const a = Math.max(-2, (run.start[row] - t0) * scale),
      b = Math.min(width + 2, (run.end[row] - t0) * scale);
    const gap = b - a > 4 * ratio ? ratio : 0;
    const wide = Math.max(ratio, b - a - gap);
    context.fillStyle = look.slots[run.slot(row)];
    context.fillRect(x + a, y, wide, height);
    mark(context, flagsOf(run, row), x + a, y, wide, height, ratio, look);
    if (wide > 36 * ratio && height >= 14 * ratio) {
      label(
        context,
        run.nameText(row),
        x + Math.max(a, 0),
        y,
        Math.min(b, width) - Math.max(a, 0),
        height,
        ratio,
        run.failed(row) ? look.panel : look.inks[run.slot(row)],
        look,
      );
    }
  });
}

// Failures are hatched in the colour of errors, retries have a bar of theirs.
function mark(context, flags, x, y, width, height, ratio, look) {
  if (!flags) return;
  const tall = Math.max(2 * ratio, Math.round(height / 4));
  context.fillStyle = flags & FAILED ? look.bad : look.retry;
  context.fillRect(x, y, width, flags & FAILED ? height : tall);
  if (!(flags & FAILED) || width < 4 * ratio) return;
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = look.panel;
  context.globalAlpha = 0.45;
  context.lineWidth = ratio;
  context.beginPath();
  for (let at = x - height - (x % (5 * ratio)); at < x + width; at += 5 * ratio) {
    context.moveTo(at, y + height);
    context.lineTo(at + height, y);
  }
  context.stroke();
  context.restore();
}

function label(context, text, x, y, room, height, ratio, ink, look) {
  context.font = `${11 * ratio}px ${look.font}`;
  let shown = text;
  while (shown && context.measureText(shown).width > room - 8 * ratio) shown = shown.slice(0, -1);
  if (shown.length < Math.min(3, text.length)) return;
  if (shown !== text) shown = `${shown.slice(0, -1)}…`;
  context.fillStyle = ink;
  context.textBaseline = "middle";
  context.fillText(shown, x + 4 * ratio, y + height / 2 + ratio / 2);
}

// Each column of pixels has the colours one above the other, as high as their share of its time.
function drawShares(context, lane, { x, y, width, height, t0, t1 }, look) {
  const wide = Math.round(width),
    tall = Math.max(1, Math.round(height));
  const sums = new Float32Array(wide * SLOTS),
    flags = new Uint8Array(wide);
  lane.gather(t0, t1, wide, sums, flags);
  const image = context.createImageData(wide, tall),
    pixels = new Uint32Array(image.data.buffer);
  const full = (t1 - t0) / wide,
    marked = Math.max(2, Math.round(tall / 4));
  pixels.fill(look.lanePixel);
  for (let column = 0; column < wide; column++) {
    let row = tall,
      high = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      high += sums[column * SLOTS + slot];
      const top = tall - Math.min(tall, Math.round((high / full) * tall));
      while (row > top) pixels[--row * wide + column] = look.slotPixels[slot];
    }
    if (row === tall && high > 0)
      pixels[(tall - 1) * wide + column] = look.slotPixels[busiest(sums, column)];
    const mark = flags[column] & FAILED ? look.badPixel : flags[column] ? look.retryPixel : 0;
    if (mark) for (row = 0; row < marked; row++) pixels[row * wide + column] = mark;
  }
  context.putImageData(image, Math.round(x), Math.round(y));
}

function busiest(sums, column) {
  let best = 0;
  for (let slot = 1; slot < SLOTS; slot++) {
    if (sums[column * SLOTS + slot] > sums[column * SLOTS + best]) best = slot;
  }
  return best;
}

// What can be read on a colour.
function inkOn(hex) {
  const n = parseInt(hex.slice(1), 16);
  return 0.3 * (n >> 16) + 0.59 * ((n >> 8) & 255) + 0.11 * (n & 255) > 135 ? "#0d1721" : "#ffffff";
}

// The colours of a theme, also as pixels.
function lookOf(theme) {
  return {
    ...theme.colours,
    font: theme.font,
    slots: theme.slots,
    inks: theme.slots.map(inkOn),
    slotPixels: Uint32Array.from(theme.slots, Theme.pixel),
    lanePixel: Theme.pixel(theme.colours.lane),
    badPixel: Theme.pixel(theme.colours.bad),
    retryPixel: Theme.pixel(theme.colours.retry),
  };
}

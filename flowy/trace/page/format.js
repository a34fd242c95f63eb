// Numbers and times as people read them.

function plural(n, one, many = one + "s") {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

function short(n) {
  const text = n.toPrecision(3);
  return text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : String(Number(text));
}

function showSeconds(s) {
  if (!(s >= 0)) return "–";
  if (s === 0) return "0 s";
  if (s < 9.995e-7) return `${short(s * 1e9)} ns`;
  if (s < 9.995e-4) return `${short(s * 1e6)} µs`;
  if (s < 0.9995) return `${short(s * 1e3)} ms`;
  if (s < 119.5) return `${short(s)} s`;
  const whole = Math.round(s),
    minutes = Math.round(s / 60);
  if (s < 7200) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}

function showBytes(n) {
  const [unit, size] =
    n < 1e3 ? ["bytes", 1] : n < 1e6 ? ["kB", 1e3] : n < 1e9 ? ["MB", 1e6] : ["GB", 1e9];
  return `${short(n / size)} ${unit}`;
}

function showShare(part) {
  if (!(part > 0)) return "0 %";
  return part < 0.001 ? "< 0.1 %" : `${short(Math.round(part * 1000) / 10)} %`;
}

// A time on an axis to `last`: with as many digits as the steps between the marks need.
function showMark(s, step, last) {
  s = Math.abs(s) < step / 2 ? 0 : s; // and not -0
  const [unit, size] = last < 1e-3 ? ["µs", 1e-6] : last < 1 ? ["ms", 1e-3] : ["s", 1];
  if (step >= 60) {
    const h = Math.floor(s / 3600),
      m = Math.floor((s % 3600) / 60);
    return h ? `${h} h ${String(m).padStart(2, "0")}` : `${m} min`;
  }
  const digits = Math.max(0, -Math.floor(Math.log10(step / size) + 1e-9));
  return `${(s / size).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${unit}`;
}

// Steps of 1, 2 or 5 so that marks are some `pixels` apart.
function markStep(secondsPerPixel, pixels) {
  const least = secondsPerPixel * pixels;
  if (least > 30)
    return (
      [60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400].find((x) => x >= least) ??
      86400 * Math.ceil(least / 86400)
    );
  const ten = 10 ** Math.floor(Math.log10(least));
  return ten * ([1, 2, 5].find((x) => x * ten >= least) ?? 10);
}

function showDate(epoch) {
  if (epoch < 1e6) return ""; // a trace made by hand counts from zero
  return new Date(epoch * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
}

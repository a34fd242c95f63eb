// Light and dark: as the system has it, until the reader chooses. Colours are in the style sheet; canvases
// read them from there.

const SLOTS = 9; // names have one colour each, the largest first; all others share the last

class Theme {
  constructor(changed) {
    this.changed = changed;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.chosen = this.remembered();
    this.dark.addEventListener("change", () => this.apply());
    this.apply();
  }

  remembered() {
    try {
      return localStorage.getItem("flowy-theme");
    } catch {
      return null;
    } // a file may have no storage
  }

  get name() {
    return this.chosen ?? (this.dark.matches ? "dark" : "light");
  }

  toggle() {
    this.chosen = this.name === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("flowy-theme", this.chosen);
    } catch {
      /* then for this visit only */
    }
    this.apply();
  }

  apply() {
    document.documentElement.dataset.theme = this.name;
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colours = Object.fromEntries(
      ["text", "faint", "line", "panel", "lane", "bad", "retry", "accent", "shade"].map((n) => [
        n,
        read(n),
      ]),
    );
    this.slots = Array.from({ length: SLOTS }, (_, i) => read(`slot${i}`));
    this.font = style.getPropertyValue("--font").trim();
    this.changed();
  }

  // A colour as one number, as ImageData has it in memory.
  static pixel(hex) {
    const n = parseInt(hex.slice(1), 16);
    return ((255 << 24) | ((n & 255) << 16) | (((n >> 8) & 255) << 8) | (n >> 16)) >>> 0;
  }
}

// Pieces on a canvas, as the first graphical clients showed them: empty, then
// yellow, then green.
//
// Cells come as a string, one digit of base 32 for each: its lower four bits
// say how full the cell is (0 only if nothing of it is there, 15 only if all
// is), 16 is added while a piece of it is being fetched.

const digits = new Map([..."0123456789abcdefghijklmnopqrstuv"].map((c, i) => [c, i]));

/** How full a cell is, 0 to 15, and whether a piece of it is being fetched. */
export function cell(cells, i) {
  const d = digits.get(cells[i]) ?? 0;
  return { full: d & 15, busy: d > 15 };
}

let colours = null;
const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => (colours = null));

/** The named colours of the sheet, as they are now. */
export function palette() {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    colours = {};
    for (const name of ["missing", "busy", "part", "have", "line", "soft", "down", "up"]) {
      colours[name] = style.getPropertyValue("--" + name).trim();
    }
  }
  return colours;
}

/** What the sheet calls 1rem, in its pixels: it grows with the window. */
export const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

/** Has draw called when colours change. */
export const onPalette = (draw) => dark.addEventListener("change", draw);

/** Makes a canvas as large as it is shown, in its own pixels. */
export function fit(canvas, width, height) {
  const scale = devicePixelRatio || 1;
  const w = Math.round(width * scale);
  const h = Math.round(height * scale);
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, w, h);
  return { context, w, h, scale };
}

/** Paints one cell. A part of a cell rises from the bottom, and only a whole one is green. */
function paint(context, colour, d, x, y, w, h) {
  const full = d & 15;
  if (full === 15) {
    context.fillStyle = colour.have;
    context.fillRect(x, y, w, h);
    return;
  }
  context.fillStyle = d > 15 ? colour.busy : colour.missing;
  context.fillRect(x, y, w, h);
  if (full > 0) {
    const part = Math.max(1, Math.round((h * full) / 15));
    context.fillStyle = colour.part;
    context.fillRect(x, y + h - part, w, part);
  }
}

/** Draws cells side by side over the whole canvas. */
export function strip(canvas, cells, width, height) {
  const { context, w, h } = fit(canvas, width, height);
  const colour = palette();
  for (let i = 0; i < cells.length; i++) {
    const x = Math.floor((i * w) / cells.length);
    paint(context, colour, digits.get(cells[i]) ?? 0, x, 0, Math.floor(((i + 1) * w) / cells.length) - x, h);
  }
}

/**
 * Draws cells in lines, as large as they can be in a width and a greatest
 * height, and sets the canvas's height. It returns what cell is at a place.
 */
export function map(canvas, cells, width, most) {
  const scale = devicePixelRatio || 1;
  const w = Math.round(width * scale);
  const largest = Math.round(1.125 * rem() * scale);
  const size = Math.max(1, Math.min(largest, Math.floor(Math.sqrt((w * most * scale) / Math.max(1, cells.length)))));
  const columns = Math.max(1, Math.floor(w / size));
  const lines = Math.ceil(cells.length / columns);
  const height = (lines * size) / scale;
  canvas.style.height = height + "px";
  const { context } = fit(canvas, width, height);
  const colour = palette();
  const gap = size >= 4 * scale ? Math.max(1, Math.round(scale)) : 0;
  for (let i = 0; i < cells.length; i++) {
    const x = (i % columns) * size;
    const y = Math.floor(i / columns) * size;
    paint(context, colour, digits.get(cells[i]) ?? 0, x, y, size - gap, size - gap);
  }
  return (x, y) => {
    const column = Math.floor((x * scale) / size);
    const i = Math.floor((y * scale) / size) * columns + column;
    return column < columns && i < cells.length ? i : -1;
  };
}

// The list: thousands of downloads, of which only those in sight are in the
// document.

import { bytes, count, duration, rate } from "./format.js";
import { onPalette, strip } from "./pieces.js";
import { follow } from "./stream.js";

const main = document.querySelector("main");
const table = main.querySelector(".table");
const body = main.querySelector(".tbody");
const empty = main.querySelector(".empty");
const blank = document.getElementById("row").content.firstElementChild;
const seek = main.querySelector("#seek");
const chips = [...main.querySelectorAll("[data-filter]")];
const heads = [...main.querySelectorAll("[data-sort]")];

const all = new Map(); // Rows by key.
let shown = []; // Those that the filter lets through, in order.
let elements = new Map(); // What is in the document, by key.
let filter = "";
let words = [];
let order = { by: "name", down: false };
let loaded = false; // The first snapshot is whole.
let stale = new Set(); // What an earlier connection told, and this one has not yet.

const keys = {
  name: (r) => r.sort,
  progress: (r) => r.p,
  size: (r) => r.total,
  down: (r) => r.down,
  up: (r) => r.up,
  eta: (r) => (r.eta > 0 ? r.eta : r.k === "complete" ? 0 : Infinity),
  peers: (r) => r.peers,
  state: (r) => r.s,
};

/** Takes in a row of the server. */
function put(r) {
  r.key = r.ns + "/" + r.n;
  r.sort = r.n.toLowerCase() + "/" + r.ns;
  r.text = `${r.n} ${r.ns} ${r.t ?? ""} ${r.s} ${r.claim ?? ""}`.toLowerCase();
  all.set(r.key, r);
}

/** Decides what is shown, and in which order. */
function arrange() {
  const rows = [];
  for (const r of all.values()) {
    if ((filter === "" || r.k === filter) && words.every((w) => r.text.includes(w))) rows.push(r);
  }
  const key = keys[order.by];
  const sign = order.down ? -1 : 1;
  for (const r of rows) r.by = key(r);
  rows.sort((a, b) => (a.by < b.by ? -sign : a.by > b.by ? sign : a.sort < b.sort ? -1 : 1));
  shown = rows;
}

/** Counts what there is, for the head of the page. */
function tell() {
  const n = { "": all.size };
  let down = 0;
  let up = 0;
  for (const r of all.values()) {
    n[r.k] = (n[r.k] ?? 0) + 1;
    down += r.down;
    up += r.up;
  }
  for (const chip of chips) chip.querySelector("span").textContent = count(n[chip.dataset.filter] ?? 0);
  main.querySelector("[data-total=down]").textContent = bytes(down) + "/s";
  main.querySelector("[data-total=up]").textContent = bytes(up) + "/s";
  const none = shown.length === 0 && loaded;
  empty.hidden = !none;
  table.hidden = none;
  if (none) {
    const any = all.size > 0;
    empty.querySelector("[data-when=none]").hidden = any;
    empty.querySelector("[data-when=filtered]").hidden = !any;
  }
  table.setAttribute("aria-rowcount", shown.length + 1);
}

/** Fills the markup of a row. */
function fill(element, r) {
  const set = (name, text) => {
    const e = element.querySelector(`[data-f=${name}]`);
    if (e.textContent !== text) e.textContent = text;
  };
  element.dataset.tone = r.k;
  const a = element.querySelector("a");
  a.href = `/downloads/${encodeURIComponent(r.ns)}/${encodeURIComponent(r.n)}`;
  set("name", r.n);
  set("namespace", r.ns);
  set("percent", r.p < 0 ? "" : r.p + "%");
  set("done", r.p >= 0 && r.p < 100 ? ` ${bytes(r.done)} of ${bytes(r.total)}` : "");
  set("size", r.total > 0 ? bytes(r.total) : "");
  set("down", rate(r.down));
  set("up", rate(r.up));
  set("eta", duration(r.eta));
  set("peers", r.peers > 0 ? String(r.peers) : "");
  set("state", r.s);
  // What goes on by itself, and what is done, needs no words.
  set("message", r.k === "active" || r.k === "complete" ? "" : r.m ?? "");
  element.title = r.m ?? "";
  element.row = r;
  draw(element);
}

const undrawn = new Set(); // Elements whose strip is not what it should be.

/** Has the strip of a row drawn soon: text comes first. */
function draw(element) {
  if (undrawn.size === 0) requestAnimationFrame(drawSome);
  undrawn.add(element);
}

/** Draws strips for some milliseconds, so that scrolling never waits for them. */
function drawSome() {
  const until = performance.now() + 5;
  for (const element of undrawn) {
    if (performance.now() > until) break;
    undrawn.delete(element);
    if (stripWidth > 0 && element.isConnected) strip(element.querySelector("canvas"), element.row.c, stripWidth, (12 * rem) / 16);
  }
  if (undrawn.size > 0) requestAnimationFrame(drawSome);
}

let rem = 16;
let rowHeight = 68;
let stripWidth = 0;

/** Reads what the sheet says, once for each size of the window. */
function measure() {
  const style = getComputedStyle(document.documentElement);
  rem = parseFloat(style.fontSize);
  rowHeight = parseFloat(style.getPropertyValue("--row")) * rem;
  stripWidth = 0; // Known once there is a row.
  for (const element of elements.values()) element.index = -1;
}

/** Finds out how wide strips are, and draws those that are there. */
function measureStrips() {
  stripWidth = body.querySelector("canvas").clientWidth;
  for (const element of elements.values()) draw(element);
}

/** Puts the rows in sight into the document, and takes the others out. */
function render() {
  const top = body.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(-top / rowHeight) - overscan);
  const last = Math.min(shown.length, Math.ceil((innerHeight - top) / rowHeight) + overscan);
  const height = shown.length * rowHeight + "px";
  if (body.style.height !== height) body.style.height = height;
  const next = new Map();
  for (let i = first; i < last; i++) next.set(shown[i].key, elements.get(shown[i].key));
  // Elements of rows that are out of sight serve those that come into it. The
  // one with the keyboard stays what it is, and leaves.
  const free = [];
  for (const [key, element] of elements) {
    if (next.has(key)) continue;
    if (element.contains(document.activeElement)) element.remove();
    else free.push(element);
  }
  let before = null;
  for (let i = first; i < last; i++) {
    const r = shown[i];
    const element = next.get(r.key) ?? free.pop() ?? blank.cloneNode(true);
    next.set(r.key, element);
    if (element.row !== r) fill(element, r);
    if (element.index !== i) {
      element.index = i;
      element.setAttribute("aria-rowindex", i + 2);
      element.style.transform = `translateY(${i * rowHeight}px)`;
    }
    // Their order in the document is that in which they are read.
    const place = before ? before.nextSibling : body.firstChild;
    if (place !== element && !element.contains(document.activeElement)) body.insertBefore(element, place);
    before = element;
  }
  for (const element of free) element.remove();
  elements = next;
  if (!alive) {
    // The rows of the server's answer have done their work.
    alive = true;
    for (const element of [...body.children]) if (!element.row) element.remove();
  }
  if (stripWidth === 0 && elements.size > 0) measureStrips();
}
const overscan = 4;
let alive = false;

let due = 0; // What the next frame has to do: 1 render, 2 arrange before.
function later(what) {
  if (due === 0) requestAnimationFrame(work);
  due = Math.max(due, what);
}
function work() {
  if (due > 1) {
    arrange();
    tell();
  }
  due = 0;
  render();
}

/** Goes to a row by its place, and lets the keyboard be there. */
function go(i) {
  i = Math.max(0, Math.min(shown.length - 1, i));
  const top = body.getBoundingClientRect().top + scrollY + i * rowHeight;
  const head = main.querySelector(".thead").offsetHeight;
  if (top < scrollY + head) scrollTo({ top: top - head });
  else if (top + rowHeight > scrollY + innerHeight) scrollTo({ top: top + rowHeight - innerHeight });
  render();
  elements.get(shown[i]?.key)?.querySelector("a").focus({ preventScroll: true });
}

body.addEventListener("keydown", (e) => {
  const at = e.target.closest(".line")?.index;
  if (at === undefined) return;
  const page = Math.max(1, Math.floor(innerHeight / rowHeight) - 2);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: shown.length - 1 }[e.key];
  if (to === undefined) return;
  e.preventDefault();
  go(to);
});
document.addEventListener("keydown", (e) => {
  if (e.key === "/" && !e.ctrlKey && !e.metaKey && !/^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) {
    e.preventDefault();
    seek.focus();
  }
});
seek.addEventListener("input", () => {
  words = seek.value.toLowerCase().split(/\s+/).filter(Boolean);
  later(2);
});
seek.form.addEventListener("submit", (e) => e.preventDefault());
for (const chip of chips) {
  chip.addEventListener("click", () => {
    filter = chip.dataset.filter;
    for (const c of chips) c.setAttribute("aria-pressed", String(c === chip));
    later(2);
  });
}
for (const head of heads) {
  head.addEventListener("click", () => {
    const by = head.dataset.sort;
    order = { by, down: order.by === by ? !order.down : by !== "name" && by !== "state" };
    for (const h of heads) h.parentElement.removeAttribute("aria-sort");
    head.parentElement.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    later(2);
  });
}
addEventListener("scroll", () => later(1), { passive: true });
addEventListener("resize", () => {
  measure();
  later(1);
});
measure();
onPalette(() => {
  for (const element of elements.values()) draw(element);
});

body.classList.add("virtual");
follow(main.dataset.stream, main.querySelector(".live"), {
  reset() {
    stale = new Set(all.keys());
  },
  rows(rows) {
    for (const r of rows) {
      put(r);
      stale.delete(r.key);
    }
    later(2);
  },
  gone(keys) {
    for (const key of keys) all.delete(key);
    later(2);
  },
  loaded() {
    for (const key of stale) all.delete(key);
    stale.clear();
    loaded = true;
    later(2);
  },
});

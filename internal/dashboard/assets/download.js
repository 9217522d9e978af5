// One download: its pieces, rates, peers and files, as they come.

import { bytes, count, duration, rate } from "./format.js";
import { cell, fit, map, onPalette, palette, rem } from "./pieces.js";
import { follow } from "./stream.js";

const main = document.querySelector("main");
const find = (name) => main.querySelector(`[data-f=${name}]`);
const write = (name, text) => {
  const e = find(name);
  if (e && e.textContent !== text) e.textContent = text;
};

// Pieces.
const canvas = main.querySelector(".map canvas");
const at = main.querySelector(".key .at");
let pieces = { c: canvas.dataset.cells ?? "", total: Number(canvas.dataset.total ?? 0), verified: 0 };
let place = () => -1;
let drawn = "";

function drawMap() {
  const width = canvas.parentElement.clientWidth;
  const key = `${width} ${devicePixelRatio} ${pieces.c}`;
  if (key === drawn || width === 0) return;
  drawn = key;
  place = map(canvas, pieces.c, width, Math.min(26 * rem(), innerHeight * 0.55));
}
canvas.addEventListener("pointermove", (e) => {
  const i = place(e.offsetX, e.offsetY);
  at.textContent = i < 0 ? "" : nameCell(i);
});
canvas.addEventListener("pointerleave", () => (at.textContent = ""));

/** Says which pieces a cell stands for, and how they stand. */
function nameCell(i) {
  const n = pieces.c.length;
  const from = Math.floor((i * pieces.total) / n);
  const to = Math.max(from, Math.floor(((i + 1) * pieces.total) / n) - 1);
  const { full, busy } = cell(pieces.c, i);
  const state = full === 15 ? "there" : busy ? "being fetched" : full > 0 ? "partly there" : "missing";
  return `${from === to ? `Piece ${count(from)}` : `Pieces ${count(from)}–${count(to)}`}: ${state}`;
}

// Rates.
const chart = main.querySelector(".rates canvas");
const samples = []; // What was told since the page was opened, at most for span.
const span = 10 * 60 * 1000;

function drawRates() {
  const { context, w, h, scale } = fit(chart, chart.clientWidth, chart.clientHeight);
  const colour = palette();
  const now = Date.now();
  while (samples.length > 2 && samples[1].t < now - span) samples.shift();
  const since = Math.max(60000, now - (samples[0]?.t ?? now));
  const most = Math.max(1, ...samples.map((s) => Math.max(s.down, s.up)));
  const step = nice(most / 2);
  const top = Math.max(most * 1.08, step * 2);
  const x = (t) => w - ((now - t) / since) * w;
  const y = (v) => h - scale - (v / top) * (h - 14 * scale);
  context.font = `${0.75 * rem() * scale}px system-ui, sans-serif`;
  context.lineWidth = scale;
  for (let v = 0; v <= top; v += step) {
    context.strokeStyle = colour.line;
    context.beginPath();
    context.moveTo(0, y(v));
    context.lineTo(w, y(v));
    context.stroke();
    context.fillStyle = colour.soft;
    if (v > 0) context.fillText(bytes(v) + "/s", 0, y(v) - 4 * scale);
  }
  for (const name of ["up", "down"]) {
    if (samples.length === 0) continue;
    context.beginPath();
    samples.forEach((s, i) => context[i ? "lineTo" : "moveTo"](x(s.t), y(s[name])));
    context.lineTo(w, y(samples.at(-1)[name]));
    context.strokeStyle = colour[name];
    context.lineWidth = 2 * scale;
    context.lineJoin = "round";
    context.stroke();
    if (name === "down") {
      context.lineTo(w, h);
      context.lineTo(x(samples[0].t), h);
      context.globalAlpha = 0.12;
      context.fillStyle = colour.down;
      context.fill();
      context.globalAlpha = 1;
    }
  }
  chart.setAttribute("aria-label", samples.length
    ? `Rates of the last ${duration(since / 1000)}: now ${bytes(samples.at(-1).down)}/s down and ${bytes(samples.at(-1).up)}/s up, at most ${bytes(most)}/s.`
    : "No rates yet.");
}

/** A step between lines that is easy to read: a power of two, or of 1024. */
function nice(v) {
  return 2 ** Math.max(4, Math.floor(Math.log2(Math.max(1, v))));
}

// Tables.

/** Fills a table's body with rows of cells, reusing those that are there. */
function rows(body, list, cells) {
  while (body.rows.length > list.length) body.deleteRow(-1);
  list.forEach((item, i) => {
    const values = cells(item);
    const row = body.rows[i] ?? body.insertRow();
    values.forEach((value, j) => {
      const td = row.cells[j] ?? row.insertCell();
      if (value instanceof Node) td.replaceChildren(value);
      else if (td.textContent !== value) td.textContent = value;
      td.className = body.dataset.classes.split(" ")[j] ?? "";
    });
  });
  const section = body.closest("[data-section]");
  section.querySelector(".scroll").hidden = list.length === 0;
  section.querySelector(".none").hidden = list.length > 0;
}

function bar(value, max, label) {
  const p = document.createElement("progress");
  p.max = Math.max(1, max);
  p.value = max > 0 ? value : 1;
  p.setAttribute("aria-label", label);
  return p;
}

const choke = (p) => [
  p.choking ? "chokes us" : "serves us",
  p.interested ? "wants of us" : "",
  p.wanted ? "we want of it" : "",
  p.choked ? "" : "we serve it",
  p.snubbed ? "silent" : "",
].filter(Boolean).join(", ");

function showPeers(peers) {
  write("peer-count", peers.length ? count(peers.length) : "");
  rows(main.querySelector("#peers"), peers, (p) => [
    p.address, p.client, p.source, rate(p.down), rate(p.up), pieces.total ? Math.floor((100 * p.pieces) / pieces.total) + "%" : "", choke(p),
  ]);
}

function showFiles(files) {
  write("file-count", files.length ? count(files.length) : "");
  rows(main.querySelector("#files"), files, (f) => [
    f.path, bytes(f.size), f.selected ? bar(f.verified, f.size, f.path) : "not wanted",
    f.selected ? Math.floor(f.size ? (100 * f.verified) / f.size : 100) + "%" : "",
  ]);
}

function showTrackers(trackers) {
  const told = (n) => (n < 0 ? "–" : count(n));
  rows(main.querySelector("#asked"), trackers, (t) => {
    const next = new Date(t.next);
    return [
      t.url, told(t.seeds), told(t.peers), next.getTime() > 0 ? next.toLocaleTimeString() : "–",
      t.error || "works",
    ];
  });
}

function item(title, text, time, bad) {
  const li = document.createElement("li");
  li.toggleAttribute("data-bad", bad);
  const b = document.createElement("b");
  b.textContent = title;
  const span = document.createElement("span");
  span.textContent = text;
  const small = document.createElement("small");
  small.textContent = time;
  li.append(b, span, small);
  return li;
}
const clock = (t) => (t ? new Date(t).toLocaleString() : "");

let last = null;

function show(d) {
  last = d;
  const v = d.view;
  main.dataset.tone = v.k;
  document.title = `${v.p < 0 ? v.s : v.p + "%"} · ${v.n} · Torrents`;
  write("state", v.s);
  const why = main.querySelector(".why");
  why.hidden = !v.m || v.k === "complete" || v.k === "active";
  why.className = v.k === "trouble" ? "notice trouble why" : "notice calm why";
  write("message", v.m ?? "");
  write("percent", v.p < 0 ? "–" : v.p + "%");
  write("done", v.total > 0 ? `${bytes(v.done)} of ${bytes(v.total)}` : "size not known yet");
  write("down", v.down > 0 ? rate(v.down) : "–");
  write("up", v.up > 0 ? rate(v.up) : "–");
  write("eta", v.k === "complete" ? "done" : duration(v.eta) || "–");
  write("peers", count(v.peers));
  write("seeds", `${count(v.seeds)} of them complete`);
  pieces = d.pieces;
  write("pieces", pieces.total ? `${count(pieces.verified)} of ${count(pieces.total)}` : "");
  write("cells", pieces.c.length < pieces.total
    ? `Each square is a stretch of ${count(Math.floor(pieces.total / pieces.c.length))} pieces or one more: green only if all are there.`
    : pieces.total ? `Each square is a piece of ${bytes(pieces.length)}.` : "");
  canvas.hidden = pieces.c === "";
  main.querySelector("[data-when=nopieces]").hidden = pieces.c !== "";
  canvas.setAttribute("aria-label", `${count(pieces.verified)} of ${count(pieces.total)} pieces are there, ${count(pieces.busy)} are being fetched.`);
  samples.push({ t: Date.now(), down: v.down, up: v.up });
  write("close", d.close ?? "");
  showPeers(d.peers ?? []);
  showFiles(d.files ?? []);
  showTrackers(d.trackers ?? []);
  find("conditions").replaceChildren(...(d.conditions ?? []).map((c) =>
    item(`${c.type} is ${c.status}: ${c.reason}`, c.message, clock(c.at), c.type === "Stalled" && c.status === "True")));
  find("events").replaceChildren(...(d.events ?? []).map((e) =>
    item(e.reason + (e.count > 1 ? ` (${e.count} times)` : ""), e.note, clock(e.at), e.warning)));
  main.querySelector("[data-when=noevents]").hidden = (d.events ?? []).length > 0;
  write("yaml", d.yaml);
  const suspend = main.querySelector("[data-do=suspend]");
  const resume = main.querySelector("[data-do=resume]");
  suspend.hidden = d.suspended;
  resume.hidden = !d.suspended;
  paint();
}

function paint() {
  requestAnimationFrame(() => {
    drawMap();
    drawRates();
  });
}
addEventListener("resize", paint);
onPalette(() => {
  drawn = "";
  paint();
});
paint();
// The chart goes on while nothing happens.
setInterval(() => last && !document.hidden && requestAnimationFrame(drawRates), 5000);

// A menu closes by Escape, and by a click beside it.
const menus = [...main.querySelectorAll("details.menu")];
document.addEventListener("keydown", (e) => {
  if (e.key !== "Escape") return;
  for (const m of menus) {
    if (!m.open) continue;
    m.open = false;
    m.querySelector("summary").focus();
  }
});
document.addEventListener("click", (e) => {
  for (const m of menus) if (!m.contains(e.target)) m.open = false;
});

follow(main.dataset.stream, main.querySelector(".live"), { look: show });

// Adding: files may be dropped anywhere on the page, and what is chosen is
// told before it is sent.

import { bytes } from "./format.js";

const drop = document.querySelector(".drop");
const input = drop.querySelector("input[type=file]");
const link = document.getElementById("link");
const told = drop.querySelector("[data-f=told]");

function tell() {
  const file = input.files[0];
  told.textContent = file ? `${file.name}, ${bytes(file.size)}` : "";
  if (file) link.value = "";
}
input.addEventListener("change", tell);
link.addEventListener("input", () => {
  if (link.value !== "") {
    input.value = "";
    tell();
  }
});

const holds = (e) => [...(e.dataTransfer?.types ?? [])].some((t) => t === "Files" || t === "text/uri-list" || t === "text/plain");
let depth = 0;
document.addEventListener("dragenter", (e) => {
  if (!holds(e)) return;
  depth++;
  drop.toggleAttribute("data-over", true);
});
document.addEventListener("dragleave", () => drop.toggleAttribute("data-over", (depth = Math.max(0, depth - 1)) > 0));
document.addEventListener("dragover", (e) => holds(e) && e.preventDefault());
document.addEventListener("drop", (e) => {
  if (!holds(e)) return;
  e.preventDefault();
  depth = 0;
  drop.removeAttribute("data-over");
  if (e.dataTransfer.files.length > 0) {
    input.files = e.dataTransfer.files;
    tell();
  } else {
    link.value = e.dataTransfer.getData("text/plain").trim();
    link.dispatchEvent(new Event("input"));
  }
});

// Fields that belong to the choice that was not made are not sent.
const choices = [...document.querySelectorAll("input[name=where]")];
function choose() {
  for (const c of choices) {
    const set = document.getElementById(c.dataset.fields);
    set.disabled = !c.checked;
    set.hidden = !c.checked;
  }
}
for (const c of choices) c.addEventListener("change", choose);
choose();

// The claims of a namespace, to choose from.
const namespace = document.getElementById("namespace");
namespace.addEventListener("change", async () => {
  const list = document.getElementById("claims");
  const answer = await fetch(`/claims?namespace=${encodeURIComponent(namespace.value)}`).catch(() => null);
  const names = answer?.ok ? await answer.json() : [];
  list.replaceChildren(...names.map((name) => {
    const option = document.createElement("option");
    option.value = name;
    return option;
  }));
});

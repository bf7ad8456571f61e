"use strict";
// Everything works without this script too: details open, words lead to the glossary, tables are
// plain. Nothing is fetched from anywhere.

// --- tables: sort by a column, keep the rows that hold a text -------------------------------
// In the order of the legend.
const VERDICTS = {{ meanings | list | tojson }};

function sortKey(cell, size) {
  const text = cell ? cell.textContent.trim() : "";
  const place = VERDICTS.indexOf(text);
  if (place >= 0) return place;
  const found = text.replace("\u2212", "-").match(/^[-+]?(\d+(\.\d+)?(e[-+]?\d+)?|\.\d+)/i);
  if (!found) return text === "" || text === "\u2013" ? null : text.toLowerCase();
  const number = parseFloat(found[0]);
  return size ? Math.abs(number) : number;
}

// Missing values stand last, whichever way a table is sorted.
function compare(a, b, up) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return (up ? 1 : -1) * (a < b ? -1 : a > b ? 1 : 0);
}

// A row of the table of verdicts takes the row with its details along.
function groups(table) {
  const found = [];
  for (const row of table.tBodies[0].rows) {
    if (row.classList.contains("detail")) found[found.length - 1].push(row);
    else found.push([row]);
  }
  return found;
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.setAttribute("aria-label", "Sort by " + head.textContent.trim());
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const size = table.classList.contains("verdicts");
      const keyed = groups(table).map(rows => [sortKey(rows[0].cells[column], size), rows]);
      keyed.sort((a, b) => compare(a[0], b[0], up));
      table.tBodies[0].append(...keyed.flatMap(([, rows]) => rows));
    });
  });
}

function filterable(input) {
  const table = document.getElementById(input.dataset.table);
  const count = document.getElementById(input.dataset.count);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    const all = groups(table);
    for (const [row, ...details] of all) {
      const text = row.textContent.toLowerCase();
      const hit = words.every(word => text.includes(word));
      left += hit;
      row.hidden = !hit;
      const open = row.querySelector("button.open");
      for (const detail of details) detail.hidden = !hit || !isOpen(open);
    }
    count.textContent = words.length ? left + " of " + all.length + " shown" : "";
  });
}

// --- the details of a method --------------------------------------------------------------
const isOpen = button => button !== null && button.getAttribute("aria-expanded") === "true";

function opened(button, open) {
  button.setAttribute("aria-expanded", String(open));
  document.getElementById(button.getAttribute("aria-controls")).hidden = !open;
}

for (const button of document.querySelectorAll("button.open")) {
  opened(button, false);
  button.addEventListener("click", () => opened(button, !isOpen(button)));
}

// --- whole tables: made when they are opened, saved without a server ------------------------
function rowsOf(text) {
  return text.split("\n").filter(line => line !== "").map(line => line.split("\t"));
}

function show(box) {
  const place = box.querySelector(".whole");
  if (place.firstChild) return;
  const [columns, ...rows] = rowsOf(document.getElementById(box.dataset.text).textContent);
  const table = document.createElement("table");
  const line = (parent, cells, tag) => {
    const row = parent.insertRow();
    for (const text of cells) {
      const cell = document.createElement(tag);
      if (tag === "th") cell.scope = "col";
      cell.textContent = text;
      row.append(cell);
    }
  };
  line(table.createTHead(), columns || [], "th");
  const body = table.createTBody();
  for (const row of rows) line(body, row, "td");
  table.id = box.dataset.text + "-table";
  place.append(table);
  if (columns) sortable(table);
  const input = box.querySelector("input.filter");
  input.dataset.table = table.id;
  filterable(input);
}

for (const box of document.querySelectorAll("details.data")) {
  box.querySelector(".tools").hidden = false;
  box.addEventListener("toggle", () => box.open && show(box));
  box.querySelector("button.save").addEventListener("click", () => {
    const text = document.getElementById(box.dataset.text).textContent;
    save(text, box.dataset.name, "text/tab-separated-values");
  });
}

function save(text, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// The SVG of a figure is a file beside the page. Where the page was mailed alone there is none: the
// picture on the page is saved in its place. Nothing is looked for before the click.
for (const link of document.querySelectorAll("a.vector")) {
  link.addEventListener("click", event => {
    event.preventDefault();
    const found = new Image();
    found.onload = () => { location.href = link.href; };
    found.onerror = () => {
      const picture = document.createElement("a");
      picture.href = link.closest("figure").querySelector("img").src;
      picture.download = link.textContent.replace(/svg$/, "png");
      picture.click();
      link.nextElementSibling.textContent =
        "This file is not beside the page. The picture was saved as PNG instead.";
    };
    found.src = link.href;
  });
}

// --- tables that are wider than the screen say that they scroll ------------------------------
const sized = new ResizeObserver(entries => {
  for (const {target} of entries) {
    target.classList.toggle("wide", target.scrollWidth > target.clientWidth + 1);
  }
});
for (const box of document.querySelectorAll(".scroll")) sized.observe(box);

// --- copying ------------------------------------------------------------------------------
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.of).textContent;
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
    }
    button.textContent = done ? "Copied" : "Copying is not allowed here";
  });
}

// --- words: their explanation by mouse, keyboard and finger ---------------------------------
const tip = document.createElement("div");
tip.id = "tip";
tip.setAttribute("role", "tooltip");
tip.hidden = true;
document.body.append(tip);
let shown = null;

function explain(term) {
  const entry = document.getElementById(term.getAttribute("href").slice(1));
  if (!entry) return;
  hide();
  tip.textContent = entry.querySelector("dd").textContent;
  tip.hidden = false;
  term.setAttribute("aria-describedby", "tip");
  shown = term;
  const at = term.getBoundingClientRect(), width = document.documentElement.clientWidth;
  const left = Math.max(8, Math.min(at.left, width - tip.offsetWidth - 8));
  const below = at.bottom + 6 + tip.offsetHeight < innerHeight;
  tip.style.left = left + scrollX + "px";
  tip.style.top = scrollY + (below ? at.bottom + 6 : at.top - tip.offsetHeight - 6) + "px";
}

function hide() {
  if (shown) shown.removeAttribute("aria-describedby");
  shown = null;
  tip.hidden = true;
}

for (const term of document.querySelectorAll("a.term")) {
  term.addEventListener("mouseenter", () => explain(term));
  term.addEventListener("mouseleave", () => document.activeElement === term || hide());
  term.addEventListener("focus", () => explain(term));
  term.addEventListener("blur", hide);
  // A tap shows the explanation; the list is linked from the contents.
  term.addEventListener("click", event => {
    event.preventDefault();
    term.focus({preventScroll: true});
    explain(term);
  });
}
document.addEventListener("keydown", event => event.key === "Escape" && hide());
document.addEventListener("click", event => event.target.closest("a.term") || hide());

// --- folding --------------------------------------------------------------------------------
const folds = [...document.querySelectorAll("details.fold")];

function reveal() {
  const target = location.hash ? document.getElementById(location.hash.slice(1)) : null;
  if (!target) return;
  for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) {
    box.open = true;
  }
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
// The same link once more, after the section was closed by hand.
for (const link of document.querySelectorAll("a[href^='#']:not(.term)")) {
  link.addEventListener("click", () => setTimeout(reveal));
}

const all = document.getElementById("open-all");
if (all) {
  all.hidden = false;
  all.addEventListener("click", () => {
    const open = folds.some(box => !box.open);
    for (const box of folds) box.open = open;
    all.textContent = open ? "Close all sections" : "Open all sections";
  });
}

// On paper nothing can be opened: all is, but the whole tables and the rows that a filter hides.
let closed = [], shut = [];
addEventListener("beforeprint", () => {
  hide();
  shut = [...document.querySelectorAll("button.open")].filter(button =>
    !isOpen(button) && !button.closest("tr").hidden);
  for (const button of shut) opened(button, true);
  closed = [...document.querySelectorAll("details:not(.data)")].filter(box => !box.open);
  for (const box of closed) box.open = true;
});
addEventListener("afterprint", () => {
  for (const box of closed) box.open = false;
  for (const button of shut) opened(button, false);
});

document.querySelectorAll("table.sortable").forEach(sortable);
for (const input of document.querySelectorAll("input.filter[data-table]")) {
  input.closest(".tools").hidden = false;
  filterable(input);
}
reveal();

// The catalog is complete without this. It adds the search and buttons that copy code.
"use strict";

const SEARCH = document.querySelector("form.search");
const FIELD = SEARCH.querySelector("input");
const MOST_SHOWN = 3; // places where a row was found, before "and … more"
SEARCH.hidden = false;

document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    FIELD.focus();
  }
});

// -- the index filters its rows; other pages send their question there

const DATA = document.getElementById("search-index");
if (DATA) {
  const entries = Object.entries(JSON.parse(DATA.textContent)).map(([id, parts]) => ({
    row: document.getElementById(id),
    parts: parts.map(([kind, text]) => ({ kind, text, lower: text.toLowerCase() })),
    all: parts.map(([, text]) => text).join("\n").toLowerCase(),
  }));
  const found = document.getElementById("found");

  // Every word must be somewhere in an entry. A row says where, unless its name says so itself.
  const filter = (question) => {
    const words = question.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { row, parts, all } of entries) {
      const matches = words.every((word) => all.includes(word));
      row.hidden = !matches;
      count += matches;
      const where = words.length && matches ? explain(words, parts) : "";
      const hit = row.querySelector(".hit");
      hit.textContent = where;
      hit.hidden = !where;
    }
    for (const section of document.querySelectorAll("main section")) {
      section.hidden = words.length > 0 && !section.querySelector("tbody tr:not([hidden])");
    }
    found.textContent = words.length ? `${count || "None"} of ${entries.length} match “${question.trim()}”.` : "";
  };

  const explain = (words, parts) => {
    const [name, ...others] = parts;
    const asked = words.filter((word) => !name.lower.includes(word));
    const shown = new Set();
    for (const { kind, text, lower } of others) {
      if (asked.some((word) => lower.includes(word))) {
        shown.add(kind === "description" ? kind : `${kind} ${kind === "field" ? text.split(" ", 1)[0] : text}`);
      }
    }
    if (!shown.size) return "";
    const more = shown.size - MOST_SHOWN;
    return `Found in ${[...shown].slice(0, MOST_SHOWN).join(", ")}${more > 0 ? ` and ${more} more` : ""}.`;
  };

  const remember = (question) => {
    const url = new URL(location.href);
    if (question) url.searchParams.set("q", question);
    else url.searchParams.delete("q");
    history.replaceState(null, "", url);
  };

  FIELD.addEventListener("input", () => {
    filter(FIELD.value);
    remember(FIELD.value.trim());
  });
  FIELD.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    FIELD.value = "";
    filter("");
    remember("");
  });
  SEARCH.addEventListener("submit", (event) => event.preventDefault());

  FIELD.value = new URLSearchParams(location.search).get("q") ?? "";
  filter(FIELD.value);
}

// -- code can be copied

if (navigator.clipboard) {
  for (const block of document.querySelectorAll("pre")) {
    const frame = document.createElement("div");
    frame.className = "code";
    block.before(frame);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy: ${block.getAttribute("aria-label")}`);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(block.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    frame.append(block, button);
  }
}

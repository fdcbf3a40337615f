// Small pieces of the page. Text from runs is hostile: it only ever becomes text nodes.

/** An element with attributes (functions are listeners) and children (text, elements, null). */
function h(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "circle", "line", "text", "g", "title", "rect"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A number in few digits. */
function num(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  return Number.isInteger(value) ? String(value) : value.toPrecision(3);
}

/** A duration in few digits. */
const lasted = (seconds) => (seconds > 0 && seconds < 1 ? `${num(1000 * seconds)} ms` : `${num(seconds)} s`);

const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(0)} %`);
const when = (seconds) => new Date(1000 * seconds).toLocaleString();

function many(count, one, more = `${one}s`) {
  return `${num(count)} ${count === 1 ? one : more}`;
}

function fact(value, name) {
  return h("div", { class: "fact" }, h("b", {}, value), h("span", {}, name));
}

function verdictMark([name, status, , required]) {
  const sign = { pass: "✓", fail: "✗", error: "!", skipped: "·" }[status] || "·";
  return h("span", { class: `mark ${status}`, title: required ? "required" : "not required" }, `${sign} ${name}`);
}

function outcomeMark(success, stop) {
  if (stop === "invalid") return h("span", { class: "mark invalid" }, "invalid");
  if (success === true) return h("span", { class: "mark pass" }, "success");
  if (success === false) return h("span", { class: "mark fail" }, "failure");
  return h("span", { class: "mark" }, stop || "running");
}

/** A table in a scrolling frame that the keyboard reaches; cells are text or elements. */
function table(label, head, rows) {
  const cells = (row) => row.map((cell) => (cell instanceof HTMLTableCellElement ? cell : h("td", {}, cell)));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
    h("table", {}, h("thead", {}, h("tr", {}, head.map((cell) => h("th", { scope: "col" }, cell)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, cells(row))))));
}

/** Colour for a probability: red over grey to green, readable on both papers. */
function tint(p) {
  if (p === null || p === undefined) return "var(--none-bg)";
  return `hsl(${Math.round(8 + 130 * p)} 55% ${Math.round(62 - 12 * Math.abs(p - 0.5))}%)`;
}

// Line charts in SVG: one panel, up to four series, a shared x axis of steps.

const WIDTH = 300, HEIGHT = 130, LEFT = 40, BOTTOM = 18, TOP = 8;

/** A card with a chart. `series` is [[name, [[step, value], ...]], ...]. */
function chart(title, series) {
  const shown = series.filter(([, points]) => points && points.length);
  if (!shown.length) return null;
  const all = shown.flatMap(([, points]) => points);
  const [x0, x1] = range(all.map(([x]) => x)), [y0, y1] = padded(range(all.map(([, y]) => y)));
  const x = (v) => LEFT + ((v - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - 6);
  const y = (v) => TOP + (1 - (v - y0) / (y1 - y0 || 1)) * (HEIGHT - TOP - BOTTOM);
  const last = shown.map(([name, points]) => `${name} ${num(points[points.length - 1][1])}`).join(", ");
  const svg = h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: last ${last}` },
    [y0, (y0 + y1) / 2, y1].map((v) => h("g", {},
      h("line", { class: "axis", x1: LEFT, x2: WIDTH - 6, y1: y(v), y2: y(v) }),
      h("text", { x: LEFT - 4, y: y(v) + 4, "text-anchor": "end" }, tick(v)))),
    h("text", { x: LEFT, y: HEIGHT - 4 }, `step ${x0}`),
    h("text", { x: WIDTH - 6, y: HEIGHT - 4, "text-anchor": "end" }, String(x1)),
    shown.map(([name, points], i) => h("g", {}, h("path", { class: `series s${i}`, d: line(points, x, y) }),
      (points.length < 60 ? points : points.slice(-1)).map(([px, py]) => h("circle", { cx: x(px), cy: y(py), r: 2.2, fill: "var(--ink)" },
        h("title", {}, `${name}, step ${px}: ${num(py)}`))))));
  const legend = shown.length > 1
    ? h("div", { class: "legend" }, shown.map(([name], i) => h("span", { class: `s${i}` }, h("i", {}), name))) : null;
  return h("section", { class: "card" }, h("h3", {}, title), svg, legend);
}

const line = (points, x, y) => points.map(([px, py], i) => `${i ? "L" : "M"}${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join("");
const tick = (v) => (Math.abs(v) >= 1000 ? num(v) : Number(v.toPrecision(2)).toString());
const range = (values) => [Math.min(...values), Math.max(...values)];
const padded = ([low, high]) => (low === high ? [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1] : [low, high]);

// Addresses, keys, the theme and the clock of a run that goes on.

const PAGES = { run: ["Run", runPage], tasks: ["Tasks", tasksPage], tree: ["Tree", treePage], time: ["Time", timePage], compare: ["Compare", comparePage] };
const KEYS = [["j / k", "next and previous turn"], ["h", "the turn before, on the same path"], ["[ / ]", "previous and next tree of the step"],
  ["1 2 3 4 5", "Run, Tasks, Tree, Time, Compare"], ["/", "search the tasks"], ["?", "this list"]];
let drawn = 0;

const state = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const encode = (given) => new URLSearchParams(Object.entries(given).filter(([, v]) => v !== undefined && v !== "" && v !== null)).toString();

async function draw() {
  const given = state(), page = PAGES[given.page] ? given.page : "run", main = document.getElementById("main");
  const turn = (drawn += 1), scroll = document.getElementById("turns")?.scrollTop;
  const run = given.run || document.getElementById("run").value;
  document.getElementById("nav").replaceChildren(...Object.entries(PAGES).filter(([name]) => !DATA || name !== "compare").map(([name, [label]]) =>
    h("a", { href: `#${encode({ run, page: name, step: name === "tree" ? given.step : undefined, tree: name === "tree" ? given.tree : undefined })}`, "aria-current": name === page ? "page" : null }, label)));
  let parts;
  try { parts = await PAGES[page][1](run, given); } catch (error) { parts = [h("p", { class: "error" }, error.message)]; }
  if (turn !== drawn) return;
  main.replaceChildren(...parts.filter(Boolean));
  document.title = `${PAGES[page][0]}: ${run} – trace-gym`;
  const list = document.getElementById("turns");
  if (list && scroll) list.scrollTop = scroll;
  list?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

async function watch() {
  const run = state().run || document.getElementById("run").value;
  const head = await ask("head", { run });
  const mark = `${run} ${head.rollouts} ${head.closed} ${head.status}`;
  const status = document.getElementById("status");
  status.textContent = `${head.status}, ${many(head.closed, "step")}, ${many(head.rollouts, "rollout")}`;
  const page = state().page || "run";
  if (watch.mark && watch.mark !== mark && page !== "tree" && !state().window) await draw();
  watch.mark = mark;
}

function step(change) {
  const given = state();
  const buttons = [...document.querySelectorAll("#turns button")];
  const at = buttons.findIndex((button) => button.hasAttribute("aria-current"));
  if (change === "parent") {
    ask("tree", { run: given.run || document.getElementById("run").value, step: given.step, tree: given.tree }).then((tree) => {
      const parent = tree.nodes[Number(given.node || 0)].parent;
      if (parent !== null && parent >= 0) location.hash = encode({ ...given, node: parent });
    });
  } else buttons[at + change]?.click();
}

function pressed(event) {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const given = state(), pages = Object.keys(PAGES), known = {
    j: () => step(1), k: () => step(-1), h: () => step("parent"), "?": help,
    "[": () => { location.hash = encode({ ...given, tree: Math.max(0, Number(given.tree || 0) - 1), node: undefined }); },
    "]": () => { location.hash = encode({ ...given, tree: Number(given.tree || 0) + 1, node: undefined }); },
    "/": () => { location.hash = encode({ ...given, page: "tasks" }); setTimeout(() => document.getElementById("search")?.focus(), 200); },
  };
  const act = known[event.key] || (pages[Number(event.key) - 1] && (() => { location.hash = encode({ ...given, page: pages[Number(event.key) - 1] }); }));
  if (act) { event.preventDefault(); act(); }
}

function help() {
  const dialog = document.getElementById("help");
  dialog.replaceChildren(h("h2", { id: "help-title" }, "Keys"), h("table", {}, h("tbody", {}, KEYS.map(([key, what]) => h("tr", {}, h("td", {}, h("kbd", {}, key)), h("td", {}, what))))),
    h("button", { type: "button", click: () => dialog.close() }, "Close"));
  dialog.showModal();
}

async function begin() {
  const select = document.getElementById("run"), runs = await ask("runs");
  select.replaceChildren(...runs.map((head) => h("option", { value: head.run, selected: head.run === state().run }, head.run === "." ? head.name : head.run)));
  select.addEventListener("change", () => { location.hash = encode({ run: select.value }); });
  const theme = document.getElementById("theme");
  theme.addEventListener("click", () => {
    const dark = getComputedStyle(document.body).backgroundColor === "rgb(20, 23, 26)";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  });
  addEventListener("hashchange", draw);
  addEventListener("keydown", pressed);
  await draw();
  if (DATA) { document.getElementById("status").textContent = "a report of " + when(DATA.made_at); return; }
  const tick = () => watch().catch((error) => { document.getElementById("status").textContent = `not reachable: ${error.message}`; }).finally(() => setTimeout(tick, 2000));
  tick();
}

begin();

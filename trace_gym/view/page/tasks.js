// The page of tasks: filter, sort, search; and two runs side by side.

const COLUMNS = [["task", "task"], ["step", "step"], ["suite", "suite"], ["family", "family"], ["predicted", "predicted"],
  ["success", "success"], ["rollouts", "rollouts"], ["forks", "forks"], ["invalid", "invalid"]];

async function tasksPage(run, given) {
  const asked = { run, search: given.search, suite: given.suite, outcome: given.outcome, sort: given.sort || "step", down: given.down, page: given.at || 0, step: given.step };
  const told = await ask("tasks", asked);
  const go = (changes) => { location.hash = encode({ ...state(), at: 0, ...changes }); };
  const option = (value, name, chosen) => h("option", { value, selected: value === (chosen || "") }, name);
  const pages = Math.max(1, Math.ceil(told.total / 200));
  return [
    h("h1", {}, "Tasks"), h("p", { class: "soft" }, `${num(told.total)} trees${given.step ? ` in step ${given.step}` : ""}; one row is one task in one step`),
    h("form", { class: "filters", submit: (event) => event.preventDefault() },
      h("label", {}, "Search ", h("input", { id: "search", type: "search", value: given.search || "", change: (e) => go({ search: e.target.value }) })),
      h("label", {}, "Suite ", h("select", { change: (e) => go({ suite: e.target.value }) }, option("", "all", given.suite), told.suites.map((name) => option(name, name, given.suite)))),
      h("label", {}, "Outcome ", h("select", { change: (e) => go({ outcome: e.target.value }) },
        [["", "all"], ["mixed", "mixed"], ["solved", "always solved"], ["failed", "never solved"], ["invalid", "with invalid rollouts"]].map(([value, name]) => option(value, name, given.outcome)))),
      given.step ? h("button", { type: "button", click: () => go({ step: undefined }) }, "All steps") : null),
    table("Tasks", COLUMNS.map(([name, label]) => h("button", { type: "button", "aria-label": `Sort by ${label}`, click: () => go({ sort: name, down: asked.sort === name && given.down !== "1" ? "1" : "" }) },
      label + (asked.sort === name ? (given.down === "1" ? " ↓" : " ↑") : ""))), told.rows.map((row) => [
      h("a", { href: `#${encode({ run, page: "tree", step: row.step, tree: row.tree })}` }, row.task), String(row.step), row.suite, row.family,
      percent(row.predicted), h("td", {}, h("span", { class: "bar", style: `width:${(3 * (row.success || 0)).toFixed(2)}rem` }), ` ${percent(row.success)}`),
      num(row.rollouts), num(row.forks), num(row.invalid)])),
    h("p", {}, h("button", { type: "button", disabled: !(told.page > 0), click: () => go({ at: told.page - 1 }) }, "Previous"),
      ` page ${told.page + 1} of ${pages} `, h("button", { type: "button", disabled: told.page + 1 >= pages, click: () => go({ at: told.page + 1 }) }, "Next")),
  ];
}

async function comparePage(run, given) {
  const runs = (await ask("runs")).filter((head) => head.run !== run);
  if (!runs.length) return [h("h1", {}, "Compare"), h("p", { class: "soft" }, "There is no other run to compare with.")];
  const other = given.other || runs[0].run;
  const told = await ask("compare", { run, other });
  return [
    h("h1", {}, "Compare"),
    h("div", { class: "filters" }, h("label", {}, `${told.one} with `, h("select", { change: (e) => { location.hash = encode({ ...state(), other: e.target.value }); } },
      runs.map((head) => h("option", { value: head.run, selected: head.run === other }, head.run))))),
    h("div", { class: "facts" }, fact(num(told.shared), "tasks played by both"), fact(told.mean ? percent(told.mean[0]) : "–", told.one),
      fact(told.mean ? percent(told.mean[1]) : "–", told.other), fact(num(told.flipped), "tasks that flipped")),
    h("p", { class: "soft" }, "For intervals and a test, run trace-gym compare."),
    table("Tasks that differ most", ["task", told.one, told.other, "change"], told.rows.map((row) => [row.task, percent(row.one), percent(row.other),
      h("span", { class: `mark ${row.change > 0 ? "pass" : row.change < 0 ? "fail" : ""}` }, `${row.change > 0 ? "+" : ""}${(100 * row.change).toFixed(0)}`)])),
  ];
}

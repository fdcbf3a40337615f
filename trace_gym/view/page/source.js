// Where answers come from: the server, or data embedded in the page. Leaves out what they are shown as.

/** The answer to a question such as "tasks"; throws Error with the server's sentence. */
async function ask(what, params = {}) {
  if (DATA) return embedded(what, params);
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== undefined && value !== ""));
  const response = await fetch(`api/${what}?${query}`);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error || response.statusText);
  return answer;
}

function embedded(what, params) {
  if (what === "runs") return [{ run: ".", ...DATA.overview.head }];
  if (what === "head") return DATA.overview.head;
  if (what === "overview" || what === "spending") return DATA[what];
  if (what === "timeline") return DATA.timeline;
  if (what === "tasks") return embeddedTasks(params);
  const key = what === "tree" ? `${params.step}/${params.tree}` : `${params.step}/${params.tree}/${params.node}`;
  const found = (what === "tree" ? DATA.trees : DATA.turns)[key];
  if (!found) throw new Error("This report holds a selection of the trees only; this one is in the run folder.");
  return found;
}

function embeddedTasks({ search = "", suite = "", outcome = "", sort = "step", down = "", page = 0 }) {
  const fits = { mixed: (s) => s > 0 && s < 1, solved: (s) => s === 1, failed: (s) => s === 0 };
  let rows = DATA.tasks.rows.filter((row) =>
    row.task.toLowerCase().includes(search.toLowerCase()) && (!suite || row.suite === suite) &&
    (!outcome || (outcome === "invalid" ? row.invalid > 0 : row.success !== null && fits[outcome](row.success))));
  const known = rows.filter((row) => row[sort] !== null);
  known.sort((a, b) => (a[sort] < b[sort] ? -1 : a[sort] > b[sort] ? 1 : 0) * (down === "1" ? -1 : 1));
  rows = known.concat(rows.filter((row) => row[sort] === null));
  return { rows: rows.slice(page * 200, (page + 1) * 200), total: rows.length, page, suites: DATA.tasks.suites };
}

// The page of a run: what came out, how the budget was spent, how it went, what was said.

const CHARTS = [
  ["Success of the rollouts", [["bare roots", "success_bare"], ["all leaves", "success_leaves"], ["what checks gained", "progress_bare"]]],
  ["Held-out success", [["mean", "eval/success"], ["low", "eval/success_low"], ["high", "eval/success_high"]]],
  ["Effective ratio", [["effective ratio", "effective_ratio"]]],
  ["Tokens sampled", [["tokens", "tokens_sampled"]]],
  ["Seconds", [["collect", "seconds_collect"], ["train", "seconds_train"], ["rest", "seconds_rest"]]],
  ["Brier score of roots", [["predictor", "predictor/brier_root"], ["constant", "predictor/brier_root_constant"], ["counts", "predictor/brier_root_counts"]]],
  ["Brier score of prefixes", [["predictor", "predictor/brier_prefix"], ["constant", "predictor/brier_prefix_constant"], ["counts", "predictor/brier_prefix_counts"]]],
  ["Contrast bought by forks", [["found", "schedule/forks_contrast"], ["predicted", "schedule/forks_contrast_predicted"]]],
  ["Entropy of the policy", [["nats a token", "train/entropy"]]],
  ["Gradient norm", [["gradient norm", "train/grad_norm"]]],
  ["KL", [["of the update", "train/update_kl"], ["seen while training", "train/approx_kl"], ["clipped share", "train/clip_share"]]],
  ["Staleness", [["stale share", "train/stale_share"]]],
];

const BY_SUITE = [["Success by suite", "success_bare"], ["Effective ratio by suite", "effective_ratio"], ["Trajectories by suite", "trajectories"], ["Tokens by suite", "tokens_sampled"]];
const suitesOf = (series, metric) => Object.keys(series).filter((name) => name.startsWith("suite/") && name.endsWith(`/${metric}`)).map((name) => [name.split("/")[1], series[name]]);

async function runPage(run) {
  const told = await ask("overview", { run });
  const money = h("div", {}, h("p", { class: "soft" }, "Adding it up …"));
  ask("spending", { run }).then((spent) => money.replaceChildren(spending(spent.rows)), (error) => money.replaceChildren(h("p", { class: "error" }, error.message)));
  const { head, series, reports } = told;
  const named = CHARTS.map(([title, parts]) => chart(title, parts.map(([label, name]) => [label, series[name]])));
  named.push(...BY_SUITE.map(([title, metric]) => chart(title, suitesOf(series, metric))));
  return [
    h("h1", {}, head.name), h("p", { class: "soft" }, `${head.kind}, ${head.status}, begun ${when(head.created_at)}, trace-gym ${head.version}`),
    h("div", { class: "facts" }, fact(num(head.closed), head.closed === 1 ? "step finished" : "steps finished"), fact(num(head.rollouts), "rollouts"),
      told.tokens_sampled === null ? null : fact(num(told.tokens_sampled), "tokens sampled"), ...(head.kind === "eval" ? [] : [
        fact(last(series, "success_bare", percent), "success of bare roots, last step"),
        fact(last(series, "effective_ratio", percent), "effective ratio, last step"), fact(num(told.checkpoints.length), "checkpoints")])),
    reports.report ? reportSection(reports.report) : null,
    head.kind === "eval" && !named.some(Boolean) ? null : h("h2", {}, told.stride > 1 ? `Curves (every ${told.stride}th step)` : "Curves"), head.kind === "eval" && !named.some(Boolean) ? null : named.some(Boolean) ? h("div", { class: "cards" }, named.filter(Boolean)) : h("p", { class: "soft" }, "No step has been finished yet."),
    h("h2", {}, "Where the budget went"), money,
    h("h2", {}, "Timeline of steps"), timeline(told.steps, series),
    h("h2", {}, "Log and warnings"), logTable(told),
    h("h2", {}, "Configuration"), h("pre", { tabindex: 0 }, JSON.stringify(told.config, null, 2)),
    moreMetrics(series),
  ];
}

/** What the last step told of a metric; a dash where it told nothing. Every step tells its effective ratio. */
function last(series, name, shown) {
  const point = (series[name] || []).at(-1), newest = (series.effective_ratio || []).at(-1);
  return point && newest && point[0] === newest[0] ? shown(point[1]) : "–";
}

function spending(rows) {
  if (!rows.length) return h("p", { class: "soft" }, "Nothing has been spent yet.");
  const most = Math.max(...rows.map((row) => row.tokens), 1), seconds = Math.max(...rows.map((row) => row.model_seconds + row.env_seconds), 1e-9);
  const bar = (share, fork) => h("span", { class: fork ? "bar fork" : "bar", style: `width:${(6 * share).toFixed(2)}rem` });
  return table("Where the budget went", ["suite", "bought", "rollouts", "tokens", "", "seconds", "", "US $"], rows.map((row) => [
    row.suite, row.fork ? "forks" : "roots", num(row.rollouts), num(row.tokens), bar(row.tokens / most, row.fork),
    num(row.model_seconds + row.env_seconds), bar((row.model_seconds + row.env_seconds) / seconds, row.fork), num(row.usd)]));
}

function timeline(steps, series) {
  if (!steps.length) return h("p", { class: "soft" }, "No step was opened yet.");
  const at = (name, step) => { const point = (series[name] || []).find(([s]) => s === step); return point ? point[1] : null; };
  return table("Timeline of steps", ["step", "opened", "seconds", "collect", "train", "success", "effective ratio", "trees"], steps.map(({ step, opened_at, closed_at }) => [
    h("a", { href: `#${encode({ ...state(), page: "tasks", step })}` }, String(step)), when(opened_at), closed_at ? num(closed_at - opened_at) : "running",
    num(at("seconds_collect", step)), num(at("seconds_train", step)), percent(at("success_bare", step)), percent(at("effective_ratio", step)), num(at("trees", step))]));
}

function logTable({ log, accesses }) {
  const rows = log.map((line) => [when(line.at), h("span", { class: `mark ${line.level === "warning" || line.level === "error" ? "error" : ""}` }, line.level), h("td", { class: "long" }, line.message)]);
  for (const use of accesses) rows.push([when(use.at), h("span", { class: "mark" }, "held out"), h("td", { class: "long" }, `${use.tasks} test tasks of ${use.suite}: ${use.purpose}`)]);
  return rows.length ? table("Log", ["at", "kind", "message"], rows) : h("p", { class: "soft" }, "Nothing was said.");
}

function moreMetrics(series) {
  const rows = Object.entries(series).map(([name, points]) => [name, num(points[0][1]), num(points[points.length - 1][1]), num(points.length)]);
  return h("details", {}, h("summary", {}, `All ${rows.length} metrics`), table("All metrics", ["metric", "first", "last", "steps"], rows));
}

/** The report of an evaluation: success with its interval, checks, how episodes stopped. */
function reportSection(report) {
  const { success } = report;
  const whole = (v) => (100 * v).toFixed(1);
  const interval = (s) => (s && s.mean !== null ? `${whole(s.mean)} [${whole(s.low)}, ${whole(s.high)}] %` : "–");
  const value = (v) => (v && v.found !== undefined ? `${percent(v.passed / v.found)} (${num(v.passed)} of ${num(v.found)})` : typeof v === "object" ? JSON.stringify(v) : num(v));
  const counts = (values) => Object.entries(values || {}).map(([name, v]) => [name, value(v)]);
  return h("section", {}, h("h2", {}, "Evaluation report"),
    h("div", { class: "facts" }, fact(interval(success), `success, 95 % interval over ${many(success.clusters, success.unit, success.unit === "family" ? "families" : undefined)}`),
      fact(num(report.episodes), "episodes"), fact(num(report.invalid), "invalid"), fact(num(report.censored), "censored")),
    report.by ? table("Success by suite", ["part", "success"], Object.entries(report.by).map(([name, s]) => [name, interval(s)])) : null,
    ["checks", "stops", "failures", "cost"].filter((name) => report[name] && Object.keys(report[name]).length).map((name) =>
      h("details", { open: name === "checks" }, h("summary", {}, name), table(name, [name, ""], counts(report[name])))));
}

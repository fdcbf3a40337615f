// The page of time: which worker played what when, and where the time went.

const KINDS = [["environment", "environment"], ["model", "model"], ["waiting", "waiting"], ["idle", "idle"]];

async function timePage(run, given) {
  const told = await ask("timeline", { run, step: given.step, window: given.window });
  if (!told.steps.length) return [h("h1", {}, "Time"), h("p", { class: "soft" }, "This run does not tell who played its turns: no turn was finished yet, or an older version of trace-gym played it.")];
  const go = (changes) => { location.hash = encode({ run, page: "time", step: told.step, ...changes }); };
  const sums = Object.fromEntries(KINDS.map(([kind]) => [kind, told.workers.reduce((sum, row) => sum + row[kind], 0)]));
  const whole = Object.values(sums).reduce((a, b) => a + b, 0) || 1;
  return [
    h("h1", {}, "Time"), h("p", { class: "soft" }, `step ${told.step}, begun ${when(told.began_at)}, ${lasted(told.seconds)} from the first turn to the last`),
    h("div", { class: "filters" }, h("label", {}, "Step ", h("select", { change: (e) => go({ step: e.target.value }) },
      told.steps.map((step) => h("option", { value: step, selected: step === told.step }, String(step)))))),
    h("div", { class: "facts" }, fact(num(told.workers.length), "workers"), KINDS.map(([kind, label]) => fact(percent(sums[kind] / whole), label))),
    h("p", { class: "soft" }, "environment: resets, replays and steps; model: computing for the turn; waiting: for others of the batch, a server or the token budget; idle: between rollouts"),
    h("h2", {}, "Timeline"), legend(),
    h("div", { class: "diagram card", tabindex: 0, role: "region", "aria-label": "Timeline of the workers" }, lanes(told, run)),
    told.windows > 1 ? h("p", {}, h("button", { type: "button", disabled: told.window === 0, click: () => go({ window: told.window - 1 }) }, "Earlier"),
      ` turns ${num(told.window * 1000 + 1)} to ${num(told.window * 1000 + told.turns.length)} of ${num(told.workers.reduce((sum, row) => sum + row.turns, 0))} `,
      h("button", { type: "button", disabled: told.window + 1 >= told.windows, click: () => go({ window: told.window + 1 }) }, "Later")) : null,
    h("h2", {}, "Workers"), table("Workers", ["worker", "turns", ...KINDS.map(([, label]) => `${label}, s`), "busy"], told.workers.map((row) => [
      row.worker, num(row.turns), ...KINDS.map(([kind]) => num(row[kind])), percent(1 - row.idle / (told.seconds || 1))])),
  ];
}

const legend = () => h("div", { class: "legend" }, KINDS.slice(0, 3).map(([kind, label]) => h("span", { class: `k-${kind}` }, h("i", {}), label)));

/** One lane a worker that played in this window, one bar for each part of a turn; a bar leads to its turn. */
function lanes(told, run) {
  const shown = [...new Set(told.turns.map(([worker]) => worker))].sort((a, b) => a - b), row = 16, left = 64, width = 1100, top = 6;
  const lane = new Map(shown.map((worker, place) => [worker, place]));
  const from = Math.min(...told.turns.map(([, began]) => began)), to = Math.max(...told.turns.map(([, began, ...parts]) => began + parts[0] + parts[1] + parts[2] + parts[3]));
  const x = (second) => left + ((second - from) / (to - from || 1)) * (width - left - 8);
  const height = top + row * shown.length + 20;
  const bars = told.turns.map(([worker, began, entered, model, waiting, stepped, tree, node, rollout, task]) => {
    let at = began;
    const name = `${told.tasks[task]}, rollout ${rollout}, node ${node}: ${lasted(entered + stepped)} environment, ${lasted(model)} model, ${lasted(waiting)} waiting`;
    return h("g", { class: "bar-of-turn", click: () => { location.hash = encode({ run, page: "tree", step: told.step, tree, node }); } }, h("title", {}, name),
      [["environment", entered], ["waiting", waiting], ["model", model], ["environment", stepped]].filter(([, seconds]) => seconds > 0).map(([kind, seconds]) => {
        const bar = h("rect", { class: `k-${kind}`, x: x(at).toFixed(2), y: top + row * lane.get(worker), height: row - 4, width: Math.max(0.4, x(at + seconds) - x(at)).toFixed(2) });
        at += seconds;
        return bar;
      }));
  });
  const names = shown.map((worker, place) => h("text", { x: 0, y: top + row * place + 10 }, told.workers[worker].worker.slice(0, 11)));
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => h("text", { x: x(from + part * (to - from)), y: height - 4, "text-anchor": part === 1 ? "end" : "start" }, `${tick(from + part * (to - from))} s`));
  return h("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${told.turns.length} turns of ${shown.length} workers; the table below adds them up` }, names, bars, ticks);
}

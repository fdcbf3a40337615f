// The page of a rollout tree: a diagram, the turns as a list, the turn that is looked at.

async function treePage(run, given) {
  if (given.step === undefined || given.tree === undefined) return tasksPage(run, given);
  const tree = await ask("tree", { run, step: given.step, tree: given.tree });
  const chosen = Math.min(Number(given.node || 0), tree.nodes.length - 1);
  const order = laid(tree);
  const go = (node) => { location.hash = encode({ ...state(), node }); };
  const detail = h("section", { class: "card", "aria-live": "polite", "aria-label": "Turn" });
  turnCard(run, tree, chosen).then((parts) => detail.replaceChildren(...parts), (error) => detail.replaceChildren(h("p", { class: "error" }, error.message)));
  return [
    h("h1", {}, tree.task), h("p", { class: "soft" }, `step ${tree.step}, tree ${tree.tree}, family ${tree.family}; predicted ${percent(tree.mean)}, ${many(tree.rollouts.length, "rollout")}; keys: j k next and previous turn, h parent, [ ] other tree, ? help`),
    h("div", { class: "diagram card", tabindex: 0, role: "region", "aria-label": "Diagram of the tree" }, diagram(tree, order, chosen, go)),
    h("h2", {}, "Turns"),
    h("div", { class: "split" }, h("ul", { class: "turns card", id: "turns", "aria-label": "Turns" }, order.rows.map((row) => turnRow(tree, row, chosen, go))), detail),
    h("h2", {}, "Rollouts"), rollouts(tree, go),
  ];
}

/** Depth-first order: rows {node, depth, indent}, and for the diagram a lane for every node. */
function laid(tree) {
  const children = tree.nodes.map(() => []);
  for (const { node, parent } of tree.nodes) if (parent !== null && parent >= 0) children[parent].push(node);
  const rows = [], lane = [], depth = [];
  let lanes = 0;
  const stack = [[0, 0, 0, 0]];
  while (stack.length) {
    const [node, at, indent, birth] = stack.pop();
    lane[node] = birth === 0 ? (lanes ? lanes - 1 : 0) : lanes;
    if (birth || !lanes) lanes += 1;
    if (birth) lane[node] = lanes - 1;
    depth[node] = at;
    rows.push({ node, depth: at, indent });
    const many = children[node].length > 1;
    children[node].slice().reverse().forEach((child, i, list) => stack.push([child, at + 1, indent + (many ? 1 : 0), i === list.length - 1 ? 0 : 1]));
  }
  return { rows, lane, depth, lanes, children };
}

function diagram(tree, { lane, depth, lanes }, chosen, go) {
  const dx = 34, dy = 20, x = (node) => 16 + dx * depth[node], y = (node) => 14 + dy * lane[node];
  const anchors = new Set(tree.rollouts.filter((r) => r.anchor > 0).map((r) => `${r.anchor}`));
  const tips = new Map(tree.rollouts.map((r) => [r.tip, r]));
  const forked = new Set(tree.rollouts.filter((r) => r.anchor > 0).map((r) => r.number));
  const edges = tree.nodes.filter((n) => n.parent !== null && n.parent >= 0).map((n) => h("path", {
    class: forked.has(n.rollout) && anchors.has(`${n.parent}`) ? "edge fork" : "edge",
    d: `M${x(n.parent)} ${y(n.parent)}C${x(n.parent) + dx / 2} ${y(n.parent)} ${x(n.node) - dx / 2} ${y(n.node)} ${x(n.node)} ${y(n.node)}` }));
  const dots = tree.nodes.map((n) => {
    const tip = tips.get(n.node);
    const fill = tip ? (tip.success === true ? "var(--pass)" : tip.success === false ? "var(--fail)" : "var(--odd)") : tint(n.node === 0 ? tree.mean : n.predicted);
    const told = `turn ${depth[n.node]}, node ${n.node}, predicted ${percent(n.node === 0 ? tree.mean : n.predicted)}`;
    return h("circle", { class: n.node === chosen ? "dot on" : "dot", cx: x(n.node), cy: y(n.node), r: tip ? 7 : 5.5, fill, click: () => go(n.node) }, h("title", {}, told));
  });
  const width = 32 + dx * Math.max(...depth), height = 28 + dy * Math.max(lanes - 1, 0);
  return h("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Tree of ${many(tree.nodes.length, "node")} and ${many(tree.rollouts.length, "rollout")}; the list below holds the same turns` }, edges, dots);
}

function turnRow(tree, { node, indent }, chosen, go) {
  const turn = tree.nodes[node];
  const tip = tree.rollouts.find((r) => r.tip === node);
  const counted = turn.verdicts.filter(([, , , required]) => required);
  const passed = counted.filter(([, status]) => status === "pass").length;
  return h("li", {}, h("button", { type: "button", "aria-current": node === chosen ? "true" : null, click: () => go(node), style: `padding-left:${0.4 + 0.7 * Math.min(indent, 12)}rem` },
    h("span", { class: "node" }, `${node}`), h("span", { class: "what" }, node === 0 ? "the task" : turn.said),
    node === 0 || turn.predicted === null ? null : h("span", { class: "soft" }, percent(turn.predicted)),
    h("span", { class: "soft" }, `${passed}/${counted.length}`), tip ? outcomeMark(tip.success, tip.stop) : null));
}

function rollouts(tree, go) {
  const grant = (number) => tree.grants.find((g) => g.number === number);
  return table("Rollouts", ["rollout", "from", "why it was granted", "ended", "outcome", "detail"], tree.rollouts.map((r) => {
    const given = grant(r.granted);
    return [h("button", { type: "button", click: () => go(r.tip ?? r.anchor) }, String(r.number)), r.anchor ? `node ${r.anchor}` : "root",
      h("td", { class: "long" }, given ? given.reason : "–"), r.stop || "running", outcomeMark(r.success, r.stop), h("td", { class: "long" }, r.detail || "")];
  }));
}

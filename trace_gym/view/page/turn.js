// One turn in full: what the world showed, what was done, the checks with evidence, the sampled tokens.

async function turnCard(run, tree, node) {
  const turn = await ask("turn", { run, step: tree.step, tree: tree.tree, node });
  const granted = tree.grants.filter((grant) => grant.node === node && (node > 0 || grant.event === null));
  return [
    h("h3", {}, node === 0 ? "The task" : `Node ${node}: ${turn.actor}${turn.policy_version === null ? "" : `, policy version ${turn.policy_version}`}`),
    node === 0 ? null : h("p", { class: "soft" }, `${turn.decoded} tokens sampled, ${turn.fresh} fresh and ${turn.cached} cached in the context; ${lasted(turn.model_seconds)} model, ${lasted(turn.env_seconds)} environment; reward ${num(turn.reward)}`),
    turn.span === null ? null : h("p", { class: "soft" }, `Played by ${turn.span.worker} until ${when(turn.span.ended_at)}: ${lasted(turn.span.entered)} to get there, ${lasted(turn.span.acted)} for the answer, ${lasted(turn.span.stepped)} for the step`),
    granted.length ? h("p", {}, "Continued from here: ", bought(granted)) : null,
    turn.action ? labelled("Action", JSON.stringify(turn.action, null, 1)) : null,
    turn.text && turn.actor === "policy" ? labelled("As it was said", turn.text) : null,
    labelled(node === 0 ? "First observation" : "Observation", turn.observation),
    turn.picture ? h("div", {}, h("h3", {}, "Screenshot"), h("img", { class: "shot", alt: `What the environment looked like after node ${node}`, src: typeof turn.picture === "string" ? turn.picture : `api/picture?${encode({ run, step: tree.step, tree: tree.tree, node })}` })) : null,
    h("h3", {}, "Checks"), turn.verdicts.length ? table("Checks", ["check", "weight", "evidence"], turn.verdicts.map((v) => [
      verdictMark([v.name, v.status, v.score, v.required]), num(v.weight), h("td", { class: "long" }, v.evidence)])) : h("p", { class: "soft" }, "none"),
    turn.tokens.ids.length ? tokens(turn.tokens) : null,
  ].filter(Boolean);
}

const labelled = (name, text) => h("div", {}, h("h3", {}, name), h("pre", { tabindex: 0 }, text));

function tokens({ ids, logprobs, entropy }) {
  return h("details", {}, h("summary", {}, `${ids.length} tokens, log-probability ${num(logprobs.reduce((a, b) => a + b, 0))}`),
    h("p", { class: "tokens" }, ids.map((id, i) => h("span", { title: `log-probability ${num(logprobs[i])}, entropy ${num(entropy[i])} nats`,
      style: `border-bottom:3px solid ${tint(Math.exp(logprobs[i]))}` }, String(id)))));
}

function bought(granted) {
  const counts = new Map();
  for (const { reason, count } of granted) counts.set(reason, (counts.get(reason) || 0) + count);
  return [...counts].map(([reason, count]) => `${many(count, "rollout")} (${reason})`).join("; ");
}

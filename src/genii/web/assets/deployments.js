// Releases: what was brought where by whom, what each step said, and the way back. And the hosts there are.

import {confirmed, form, notice, post} from "./actions.js";
import {ask, Problem} from "./api.js";
import {clean, h, replace, text} from "./dom.js";
import {clock, duration} from "./format.js";
import {plain} from "./ansi.js";
import {mayOperate} from "./store.js";
import {go, here} from "./route.js";

const EVERY = 1000;
const LINES = 5000;
const COLOURS = {good: "ok", running: "warn", failed: "bad", "rolled back": "warn", interrupted: "bad"};
const WIDE = new Set(["Release", "Revision", "By", "Hosts"]); // left out on a phone
const GLYPHS = {good: "●", running: "◐", failed: "✖", "rolled back": "↺", interrupted: "✖"};

/** Ask again and again while the page is there; returns the function that ends it. */
function repeat(load) {
  let timer = 0;
  let closed = false;
  const again = async () => {
    try {
      if (!document.hidden) await load();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
    if (!closed) timer = setTimeout(again, EVERY);
  };
  again();
  return () => { closed = true; clearTimeout(timer); };
}

export function deployments(main, [number]) {
  if (number) return deployment(main, Number(number));
  const content = h("div");
  const state = h("div.mut");
  const buttons = h("div.bar");
  let said = "";
  let last = 0; // the number of the newest one
  let begun = false; // whether one was begun here whose record we wait for
  replace(main, h("div.bar", h("h1", "Deployments"), h("div.grow"), buttons), state, content);
  ask("/api/v1/fleet").then(({deployments: declared}) => replace(buttons, Object.keys(declared).map((name) =>
    h("button.primary", {disabled: !mayOperate(), onclick: () => deploy(name, () => { begun = true; })}, `Deploy ${clean(name)}…`))), () => {});
  const close = repeat(async () => {
    const found = await ask("/api/v1/deployments");
    text(state, found.busy ? "A deployment or roll-back is going on…" : "");
    if (found.said && !found.busy && found.said !== said && said !== "") notice("The command said:", {output: plain(found.said)});
    said = found.said || " ";
    const newest = found.deployments[0]?.number || 0;
    if (begun && newest > last && here().parts[0] === "deployments") go(`/deployments/${newest}`);
    last = newest;
    const key = document.activeElement?.dataset?.key;
    replace(content, found.deployments.length ? table(found.deployments, found.busy)
      : h("div.empty", "Nothing was deployed from this machine yet. Declare [deploy.NAME] and run genii deploy."));
    if (key) content.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
  });
  return {title: "Deployments", close};
}

function deploy(name, begun) {
  const branch = h("input", {autocomplete: "off", spellcheck: "false", placeholder: "as declared"});
  form(`Deploy ${name}?`, h("label.field", "Branch, tag or commit (of a git repository)", branch), "Deploy", async () => {
    begun();
    await post("/api/v1/deployments/deploy", {name, branch: branch.value.trim()}, name);
  });
}

function table(rows, busy) {
  const latest = new Set();
  return h("div.scroll", h("table", {"aria-label": "Deployments"}, h("thead", h("tr", ["", "What", "Release", "Revision", "By", "When", "How it ended", "Hosts", ""].map((label, index) =>
    h(`th${WIDE.has(label) ? ".wide" : ""}`, {scope: "col"}, label ? h("span", label) : h("span.hidden-text", index ? "Actions" : "Number"))))),
  h("tbody", rows.map((row) => {
    const newest = !latest.has(row.name);
    latest.add(row.name);
    return h("tr", h("td", h("a", {href: `#/deployments/${row.number}`}, `#${row.number}`)), h("td", clean(row.name), row.action === "rollback" ? h("span.tag", "roll-back") : null),
      h("td.mono.wide", clean(row.release)), h("td.mono.wide", clean(row.revision.slice(0, 12)), row.branch ? h("div.mut", clean(row.branch)) : null), h("td.wide", clean(row.by), h("div.mut", clean(row.control))),
      h("td", clock(row.started), h("div.mut", row.ended ? `took ${duration(row.ended - row.started)}` : "still goes on")), h("td", outcome(row), row.message ? h("div.mut", clean(row.message)) : null),
      h("td.wide", Object.entries(row.hosts).slice(0, 6).map(([host, what]) => h("div", clean(host), " ", h("span.mut", clean(what))))),
      h("td.num", newest ? h("button.danger", {"data-key": `back ${row.name}`, disabled: !mayOperate() || busy, onclick: () => back(row, rows)}, "Roll back…") : null));
  }))));
}

function outcome(row) {
  return h(`span.state.${COLOURS[row.status] || "idle"}`, h("span", {"aria-hidden": "true"}, GLYPHS[row.status] || "?"), row.status);
}

async function back(row, rows) {
  const before = rows.find((one) => one.name === row.name && one.status === "good" && one.release !== row.release);
  const to = before ? `The last good release before is ${before.release} (${before.revision.slice(0, 12)}, ${clock(before.started)} by ${before.by}). ` : "";
  if (await confirmed(`Roll ${row.name} back?`, `${Object.keys(row.hosts).join(", ")} run ${row.release}. ${to}Each host goes to the newest good release before its own.`, "Roll back")) {
    await post("/api/v1/deployments/rollback", {name: row.name}, row.name);
  }
}

function deployment(main, number) {
  const head = h("div.facts");
  const log = h("div.log", {role: "log", "aria-live": "off", "aria-label": "Log of the deployment", tabindex: "0"});
  log.classList.add("wrap");
  main.classList.add("fixed");
  replace(main, h("div.bar", h("a", {href: "#/deployments", "aria-label": "Back to all deployments"}, "←"), h("h1", `Deployment #${number}`)), head, log);
  let after = 0;
  let ended = false;
  const close = repeat(async () => {
    if (ended) return;
    const row = (await ask("/api/v1/deployments")).deployments.find((one) => one.number === number);
    const {lines} = await ask(`/api/v1/deployments/lines?number=${number}&after=${after}`);
    if (row) replace(head, h("b", clean(row.name)), outcome(row), h("span", `release ${clean(row.release)}`), h("span", `by ${clean(row.by)} at ${clock(row.started)}`), row.message ? h("span.bad", clean(row.message)) : null);
    const follow = log.scrollTop + log.clientHeight > log.scrollHeight - 40;
    log.append(...lines.filter(telling).map(line));
    while (log.children.length > LINES) log.firstChild.remove();
    if (lines.length) after = lines[lines.length - 1].id;
    else if (row && row.ended) ended = true;
    if (follow) log.scrollTop = log.scrollHeight;
  });
  return {title: `Deployment ${number}`, close};
}

// What is asked of a host first interests nobody unless it fails.
const QUIET = new Set(["ask", "lock", "unlock", "log"]);

function telling({step, kind, status}) {
  return !QUIET.has(step) || (kind === "end" && status !== 0);
}

function line({host, step, kind, text: words, status, seconds}) {
  const where = h("span.who", `${clean(host)} ${clean(step)} │ `);
  if (kind === "begin") return h("div.line", where, h("b", plain(words) || "begins"));
  if (kind === "end") return h("div.line", where, h(`span.${status ? "bad" : "ok"}`, `${status ? `failed with ${status}` : "done"} in ${seconds.toFixed(1)} s`));
  return h("div.line", where, plain(words));
}

export function hosts(main) {
  const content = h("div", {style: {display: "flex", flexDirection: "column", gap: "12px"}}, "Loading…");
  replace(main, h("h1", "Hosts"), content);
  Promise.all([ask("/api/v1/fleet"), ask("/api/v1/deployments")]).then(([fleet, {deployments: rows}]) => {
    const last = new Map();
    for (const row of [...rows].reverse()) for (const [host, what] of Object.entries(row.hosts)) last.set(host, [row, what]);
    const names = new Map(fleet.hosts.map((host) => [host.name, host]));
    for (const name of last.keys()) if (!names.has(name)) names.set(name, {name, address: "", user: "", port: 0});
    replace(content, fleet.problem ? h("p.bad", clean(fleet.problem)) : null, names.size ? h("div.scroll", h("table", {"aria-label": "Hosts"},
      h("thead", h("tr", ["Host", "Address", "Groups", "Last deployment", "What became of it"].map((label) => h("th", {scope: "col"}, h("span", label))))),
      h("tbody", [...names.values()].map((host) => hostRow(host, fleet, last.get(host.name))))))
      : h("div.empty", "No host is declared. Add [hosts] or [groups], or an inventory in [fleet]."));
  }, (error) => replace(content, h("p.bad", clean(error.message))));
  return {title: "Hosts", close() {}};
}

function hostRow(host, fleet, last) {
  const groups = Object.entries(fleet.groups).filter(([, terms]) => terms.includes(host.name)).map(([name]) => name);
  const address = [host.user && `${host.user}@`, host.address, host.port && `:${host.port}`].filter(Boolean).join("");
  return h("tr", h("td", h("b", clean(host.name))), h("td.mono", clean(address)), h("td", groups.map((name) => [h("span.tag", clean(name)), " "])),
    h("td", last ? [h("a", {href: `#/deployments/${last[0].number}`}, `#${last[0].number} ${clean(last[0].name)}`), h("span.mut", ` ${clock(last[0].started)}`)] : "–"), h("td", last ? clean(last[1]) : ""));
}

// The job servers: functions with what waits and runs, the jobs themselves, the workers.

import {confirmed, open, post} from "./actions.js";
import {ask, Problem} from "./api.js";
import {clean, h, replace} from "./dom.js";
import {number, seconds, size} from "./format.js";
import {mayOperate, rate} from "./store.js";

const EVERY = 2000;

export function jobs(main) {
  const content = h("div", {style: {display: "flex", flexDirection: "column", gap: "12px"}});
  replace(main, h("h1", "Jobs"), content);
  let closed = false;
  let timer = 0;
  const load = async () => {
    try {
      if (!document.hidden) draw((await ask("/api/v1/jobs")).servers);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    } finally {
      if (!closed) timer = setTimeout(load, EVERY);
    }
  };
  const draw = (servers) => {
    const at = content.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    replace(content, servers.length ? servers.map(server) : h("div.empty", "No job server is declared. Add [jobs] with listen = \"127.0.0.1:4730\"."));
    if (at) content.querySelector(`[data-key="${CSS.escape(at)}"]`)?.focus();
  };
  load();
  return {title: "Jobs", close() { closed = true; clearTimeout(timer); }};
}

function server({address, version, error, functions, workers}) {
  const idle = functions.filter((one) => one.waiting && !one.workers);
  return h("section.panel", {"aria-label": `Job server ${address}`},
    h("div.bar", h("h2", clean(address)), error ? h("span.bad", clean(error)) : h("span.mut", clean(version)), h("div.grow"),
      error || counts(functions) || !functions.length ? null : h("button", {"data-key": `peek ${address}`, onclick: () => peek(address, "")}, "Jobs…"),
      error ? null : h("button.danger", {"data-key": `drain ${address}`, disabled: !mayOperate(), onclick: () => drain(address)}, "Drain…")),
    idle.length ? h("p.warn", `▲ No worker takes ${idle.map((one) => clean(one.name)).join(", ")}.`) : null,
    error ? null : functions.length ? functionTable(address, functions) : h("p.mut", "No function is known yet: neither a worker nor a job has come."),
    error || !workers.length ? null : [h("h2", {style: {marginTop: "14px"}}, "Workers"), workerTable(workers)]);
}

/** gearmand tells neither what it did nor which jobs are of one function. */
function counts(functions) {
  return functions.some((one) => one.completed !== null);
}

function functionTable(address, functions) {
  return h("div.scroll", h("table", {"aria-label": "Functions"},
    h("thead", h("tr", ["Function", "Waiting", "high", "normal", "low", "Running", "Workers", "Jobs/s", "Median", "p95", "Failed", ""].map((label, index) =>
      h(`th${index && label ? ".num" : ""}${/^(high|normal|low)$/.test(label) ? ".wide" : ""}`, {scope: "col"}, label ? h("span", label) : h("span.hidden-text", "Actions"))))),
    h("tbody", functions.map((one) => h("tr", h("td", clean(one.name)), num(one.waiting, one.waiting && !one.workers ? "bad" : ""), num(one.high, "wide"), num(one.normal, "wide"), num(one.low, "wide"),
      num(one.running), num(one.workers), figures(address, one), h("td.num", one.completed === null ? null
        : h("button", {"data-key": `peek ${address} ${one.name}`, onclick: () => peek(address, one.name)}, "Look")))))));
}

function figures(address, {name, completed, failed, median, late}) {
  if (completed === null) return ["–", "–", "–", "–"].map((text) => h("td.num.mut", text));
  const times = completed ? [seconds(median), seconds(late)] : ["–", "–"];
  return [h("td.num", rate(`${address} ${name}`, Date.now() / 1000, completed).toFixed(1)), ...times.map((text) => h("td.num", text)), num(failed, failed ? "warn" : "")];
}

function num(value, colour = "") {
  return h(`td.num${colour ? `.${colour}` : ""}`, number(value));
}

function workerTable(workers) {
  return h("div.scroll", h("table", {"aria-label": "Workers"}, h("thead", h("tr", ["Address", "Id", "Functions"].map((label) => h("th", {scope: "col"}, h("span", label))))),
    h("tbody", workers.slice(0, 500).map((one) => h("tr", h("td", clean(one.address)), h("td", clean(one.id)), h("td", clean(one.functions.join(" "))))))));
}

async function drain(address) {
  const sure = await confirmed(`Drain ${address}?`, "It takes no new jobs, ends when those that run are done, and is then started again if genii runs it. Background jobs that wait stay in its journal.", "Drain");
  if (sure) await post("/api/v1/jobs/drain", {server: address}, address);
}

/** Show the jobs of a function, to look into and to cancel. */
async function peek(address, name) {
  const body = h("div", "Loading…");
  const title = `Jobs of ${clean(name || address)}`;
  const dialog = h("dialog", {"aria-label": title, style: {maxWidth: "min(900px, 94vw)"}}, h("h2", title), body,
    h("div.bar", {style: {marginTop: "12px"}}, h("button", {onclick: load}, "Again"), h("button", {onclick: () => dialog.close()}, "Close")));
  async function load() {
    try {
      const query = new URLSearchParams({server: address, function: name, limit: "100"});
      const found = (await ask(`/api/v1/jobs/peek?${query}`)).jobs;
      const note = found.some((job) => job.state === "?") ? h("p.mut", "gearmand tells no more than this, and lists a cancelled job until a worker would have taken it.") : null;
      replace(body, found.length ? [jobTable(found), note] : h("p.mut", "None waits and none runs just now."));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      replace(body, h("p.bad", clean(error.message)));
    }
  }
  const jobTable = (found) => h("div.scroll", {style: {maxHeight: "55vh"}}, h("table", h("thead", h("tr", ["Handle", "State", "Priority", "Tries", "Size", "Payload", ""].map((label) =>
    h("th", {scope: "col"}, label ? h("span", label) : h("span.hidden-text", "Actions"))))),
  h("tbody", found.map((job) => h("tr", h("td.mono", clean(job.handle)), h("td", job.state), h("td", job.priority), h("td.num", String(job.retries)), h("td.num", size(job.size)),
    h("td.mono", {style: {maxWidth: "320px", overflowWrap: "anywhere"}}, clean(job.payload)),
    h("td", job.state === "running" ? null : h("button.danger", {disabled: !mayOperate(), onclick: async () => {
      await post("/api/v1/jobs/cancel", {server: address, handle: job.handle}, job.handle);
      load();
    }}, "Cancel")))))));
  open(dialog);
  await load();
}

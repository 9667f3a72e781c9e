// Programs with several processes, or with a number that changes: who is busy, and how many there are.

import {act, askScale, confirmed, post} from "./actions.js";
import {ask, Problem} from "./api.js";
import {clean, h, replace} from "./dom.js";
import {duration, size} from "./format.js";
import {listen, look, mayOperate, store} from "./store.js";

export function pools(main) {
  const content = h("div.cards");
  replace(main, h("h1", "Pools"), content);
  let known = new Map(); // program -> what the supervisor says of its slots
  let closed = false;
  let next = 0;
  const load = async () => {
    try {
      if (!document.hidden) known = new Map((await ask("/api/v1/pools")).pools.map((pool) => [pool.program, pool]));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
    if (!closed) next = setTimeout(load, 2000);
  };
  const declared = () => [...store.programs.values()].filter((program) => program.worker || program.maximum > 1 || members(program.name).length > 1);
  const draw = () => {
    const at = content.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    const found = declared();
    replace(content, found.length ? found.map((program) => pool(program, known.get(program.name))) : h("div.empty", "No program has several processes. Write processes = 4, or worker = \"module:Class\" with processes = { min = 2, max = 8 }."));
    if (at) content.querySelector(`[data-key="${CSS.escape(at)}"]`)?.focus();
  };
  draw();
  load();
  const timer = setInterval(draw, 1000);
  const ended = listen((what) => { if (what === "programs") draw(); });
  return {title: "Pools", close() { closed = true; clearTimeout(next); ended(); clearInterval(timer); }};
}

function members(name) {
  return [...store.rows.values()].filter((row) => row.program === name);
}

function pool(program, told) {
  const rows = members(program.name);
  const running = rows.filter((row) => row.state === "RUNNING");
  const busy = running.filter((row) => row.busy);
  const memory = rows.reduce((sum, row) => sum + (row.pid ? store.usage.get(row.name)?.[1] || 0 : 0), 0);
  const knows = rows.some((row) => row.busy !== null);
  const {minimum, maximum} = told || program;
  const bounds = minimum !== maximum ? `${minimum} to ${maximum}` : String(told ? maximum : rows.length); // it may have been scaled
  const names = rows.map((row) => row.name);
  const button = (key, label, run) => h("button", {"data-key": `${key} ${program.name}`, disabled: !mayOperate(), onclick: run}, label);
  return h("section.panel", {"aria-label": clean(program.name)},
    h("div.bar", h("h2", clean(program.name)), program.worker ? h("span.tag", "worker") : null, h("div.grow"),
      program.worker ? [button("pause", told?.paused ? "Resume" : "Pause", () => post(`/api/v1/${told?.paused ? "resume" : "pause"}`, {names: [program.name]}, program.name)),
        button("drain", "Drain…", () => drain(program.name))] : null,
      button("scale", "Scale…", () => askScale(program.name)),
      button("rolling", "Rolling restart", () => act("restart", names, {rolling: true}))),
    h("div.facts", fact("running", `${running.length} of ${bounds}`), knows ? fact("busy", busy.length) : null,
      store.rates.has(program.name) ? fact("jobs/s", store.rates.get(program.name).toFixed(1)) : null, told?.waiting ? fact("jobs waiting", told.waiting) : null,
      told?.starting ? fact("starting", told.starting) : null, told?.leaving ? fact("leaving", told.leaving) : null, told?.paused ? h("b.warn", "paused") : null, memory ? fact("memory", size(memory)) : null,
      program.recycle.jobs ? fact("replaced after", `${program.recycle.jobs} jobs`) : null, program.worker ? fact("class", clean(program.worker)) : null),
    knows ? h("div.load", {role: "img", "aria-label": `${busy.length} of ${running.length} busy`, style: {margin: "8px 0"}},
      h("div", {style: {width: `${running.length ? (100 * busy.length) / running.length : 0}%`}})) : null,
    h("div.slots", {style: {marginTop: "8px"}}, rows.map(slot)));
}

async function drain(name) {
  if (await confirmed(`Drain ${name}?`, "Its workers stop when each has done its job, however long that takes.", "Drain")) {
    await post("/api/v1/drain", {names: [name], wait: false}, name);
  }
}

function fact(label, value) {
  return h("span", `${label} `, h("b", String(value)));
}

function slot(row) {
  const {colour, word} = look(row);
  const kind = colour === "bad" ? "bad" : row.busy ? "busy" : row.state === "RUNNING" ? "idle" : "";
  const job = [row.busy ? "busy" : word, row.paused ? "paused" : "", row.leaving ? "leaving" : "", row.job ? clean(row.job) : "",
    row.busy_since ? `for ${duration(Date.now() / 1000 - row.busy_since)}` : "", row.jobs_done !== null && row.jobs_done !== undefined ? `${row.jobs_done} jobs done` : "",
    row.jobs_left !== null && row.jobs_left !== undefined ? `${row.jobs_left} left` : "",
    row.pid && row.started ? `up ${duration(Date.now() / 1000 - row.started)}` : "", clean(row.note)].filter(Boolean).join(", ");
  const number = row.name.includes(":") ? row.name.split(":").pop() : row.name;
  return h(`a.slot${kind ? `.${kind}` : ""}`, {href: `#/program/${encodeURIComponent(row.name)}`, title: `${clean(row.name)}: ${job}`,
    "aria-label": `${clean(row.name)}: ${job}`}, clean(number));
}

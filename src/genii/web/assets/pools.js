// Programs with several processes, or with a number that changes: who is busy, and how many there are.

import {act, askScale} from "./actions.js";
import {clean, h, replace} from "./dom.js";
import {duration, size} from "./format.js";
import {listen, look, mayOperate, store} from "./store.js";

export function pools(main) {
  const content = h("div.cards");
  replace(main, h("h1", "Pools"), content);
  const draw = () => {
    const found = [...store.programs.values()].filter((program) => program.worker || program.maximum > 1 || members(program.name).length > 1);
    replace(content, found.length ? found.map(pool) : h("div.empty", "No program has several processes. Write processes = 4, or worker = \"module:Class\" with processes = { min = 2, max = 8 }."));
  };
  draw();
  const timer = setInterval(draw, 1000);
  const ended = listen((what) => { if (what === "programs") draw(); });
  return {title: "Pools", close() { ended(); clearInterval(timer); }};
}

function members(name) {
  return [...store.rows.values()].filter((row) => row.program === name);
}

function pool(program) {
  const rows = members(program.name);
  const running = rows.filter((row) => row.state === "RUNNING");
  const busy = running.filter((row) => row.busy);
  const memory = rows.reduce((sum, row) => sum + (row.pid ? store.usage.get(row.name)?.[1] || 0 : 0), 0);
  const knows = rows.some((row) => row.busy !== null);
  const bounds = program.minimum === program.maximum ? `${program.maximum}` : `${program.minimum} to ${program.maximum}`;
  const names = rows.map((row) => row.name);
  return h("section.panel", {"aria-label": clean(program.name)},
    h("div.bar", h("h2", clean(program.name)), program.worker ? h("span.tag", "worker") : null, h("div.grow"),
      h("button", {disabled: !mayOperate(), onclick: () => askScale(program.name)}, "Scale…"),
      h("button", {disabled: !mayOperate(), onclick: () => act("restart", names, {rolling: true})}, "Rolling restart")),
    h("div.facts", fact("running", `${running.length} of ${bounds}`), knows ? fact("busy", busy.length) : null, memory ? fact("memory", size(memory)) : null,
      program.recycle.jobs ? fact("replaced after", `${program.recycle.jobs} jobs`) : null, program.worker ? fact("class", clean(program.worker)) : null),
    knows ? h("div.load", {role: "img", "aria-label": `${busy.length} of ${running.length} busy`, style: {margin: "8px 0"}},
      h("div", {style: {width: `${running.length ? (100 * busy.length) / running.length : 0}%`}})) : null,
    h("div.slots", {style: {marginTop: "8px"}}, rows.map(slot)));
}

function fact(label, value) {
  return h("span", `${label} `, h("b", String(value)));
}

function slot(row) {
  const {colour, word} = look(row);
  const kind = colour === "bad" ? "bad" : row.busy ? "busy" : row.state === "RUNNING" ? "idle" : "";
  const job = [row.busy ? "busy" : word, row.job ? clean(row.job) : "", row.jobs_left ? `${row.jobs_left} jobs left` : "",
    row.pid && row.started ? `up ${duration(Date.now() / 1000 - row.started)}` : "", clean(row.note)].filter(Boolean).join(", ");
  const number = row.name.includes(":") ? row.name.split(":").pop() : row.name;
  return h(`a.slot${kind ? `.${kind}` : ""}`, {href: `#/program/${encodeURIComponent(row.name)}`, title: `${clean(row.name)}: ${job}`,
    "aria-label": `${clean(row.name)}: ${job}`}, clean(number));
}

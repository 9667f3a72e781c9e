// The page of one process: what it is, how it does, what it prints, and what was done to it.

import {act, askScale, askSignal, notice} from "./actions.js";
import {ask, Problem, send} from "./api.js";
import {chart} from "./chart.js";
import {clean, h, replace, text} from "./dom.js";
import {clock, count, duration, ending, number, percent, size} from "./format.js";
import {logPane} from "./log.js";
import {listen, look, mayOperate, store, why} from "./store.js";
import {go, here} from "./route.js";

const TABS = [["", "Overview"], ["log", "Log"], ["events", "Events"], ["environment", "Environment"], ["declaration", "Declaration"]];

export function program(main, [name = "", tab = ""]) {
  main.classList.toggle("fixed", tab === "log");
  const path = `/program/${encodeURIComponent(name)}`;
  const state = h("span.state");
  const reason = h("div.mut");
  const facts = h("div.facts");
  const toggle = h("button", {onclick: () => act(toggle.dataset.action, [name])});
  const restart = h("button", {onclick: () => act("restart", [name])}, "Restart");
  const scale = () => { const row = store.rows.get(name); if (row) askScale(row.program); };
  const buttons = h("div.bar", toggle, restart, h("button", {onclick: () => act("reload", [name])}, "Reload"),
    h("button", {onclick: () => askSignal([name])}, "Signal…"),
    h("button", {onclick: scale}, "Scale…"));
  const siblings = h("nav.slots", {"aria-label": "Processes of this program", hidden: true});
  let drawn = "";
  const content = h("div", {style: {display: "flex", flexDirection: "column", gap: "12px", flex: "1", minHeight: "0"}});
  replace(main,
    h("div.bar", h("a", {href: "#/", "aria-label": "Back to all processes"}, "←"), h("h1", clean(name)), state, h("div.grow"), buttons), siblings, reason, facts,
    h("nav.tabs", {"aria-label": "Parts of this page"}, TABS.map(([key, label]) =>
      h("a", {href: `#${path}${key ? `/${key}` : ""}`, "aria-current": key === tab ? "page" : null}, label))), content);

  function head() {
    const row = store.rows.get(name);
    drawSiblings(row);
    if (!row) {
      const member = [...store.rows.values()].find((one) => one.program === name);
      if (member) { // the address names a program
        history.replaceState(null, "", `#/program/${encodeURIComponent(member.name)}${tab ? `/${tab}` : ""}`);
        dispatchEvent(new HashChangeEvent("hashchange"));
        return;
      }
      replace(state, store.supervisor ? h("span.bad", "there is no such process now") : "");
      replace(facts);
      buttons.hidden = true;
      return;
    }
    const now = Date.now() / 1000;
    const {glyph, colour, word} = look(row);
    state.className = `state ${colour}`;
    replace(state, h("span", {"aria-hidden": "true"}, glyph), word);
    text(reason, clean(why(row, now)));
    reason.hidden = !reason.textContent;
    const used = row.pid ? store.usage.get(name) : null;
    replace(facts, fact("since", clock(row.since)), row.pid ? fact("pid", row.pid) : fact("last end", ending(row.exit_status) || "none"),
      row.pid ? fact("up", duration(now - row.started)) : null, fact("restarts", row.restarts), used ? fact("CPU", percent(used[0])) : null,
      used ? fact("memory", size(used[1])) : null, row.trigger ? fact("trigger", clean(row.trigger)) : null,
      row.next_run ? fact("next run", clock(row.next_run)) : null);
    const running = Boolean(row.pid) || row.state === "BACKOFF";
    buttons.hidden = false;
    toggle.dataset.action = running ? "stop" : "start";
    text(toggle, running ? "Stop" : "Start");
    for (const button of buttons.children) button.disabled = !mayOperate();
  }

  /** A program with several processes has a page for each: the way to the others. */
  function drawSiblings(row) {
    const all = row ? [...store.rows.values()].filter((one) => one.program === row.program) : [];
    const now = all.map((one) => one.name + look(one).word).join();
    if (now === drawn) return;
    drawn = now;
    siblings.hidden = all.length < 2;
    replace(siblings, all.map((one) => h("a.slot", {href: `#/program/${encodeURIComponent(one.name)}${tab ? `/${tab}` : ""}`, "aria-current": one.name === name ? "page" : null},
      h(`span.${look(one).colour}`, {"aria-hidden": "true"}, `${look(one).glyph} `), clean(one.name), h("span.hidden-text", ` ${look(one).word}`))));
  }

  const part = PARTS[tab] || overview;
  const inner = part(content, name) || {};
  head();
  const timer = setInterval(head, 1000);
  const ended = listen((what, names) => {
    if (what === "rows" || what === "usage") head();
    inner.changed?.(what, names);
  });
  const keys = {r: () => act("restart", [name]), R: () => act("reload", [name]), s: () => act(toggle.dataset.action, [name]),
    x: () => askSignal([name]), l: () => go(`${path}/log`), a: () => go(`${path}/log?attach=1`), "+": scale, "-": scale, ...inner.keys};
  return {title: name, keys, close() { ended(); clearInterval(timer); inner.close?.(); }};
}

function fact(label, value) {
  return h("span", `${label} `, h("b", String(value)));
}

/** Fetch all about a process and show it by draw(details); again whenever it changes. */
function detailed(content, name, draw) {
  let last = 0;
  const load = async () => {
    last = Date.now();
    try {
      const {processes} = await ask(`/api/v1/processes/${encodeURIComponent(name)}`);
      const found = processes.find((one) => one.status.name === name);
      if (found) draw(found); // the name of a program leads to its first process, see head()
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      replace(content, h("div.empty", clean(error.message)));
    }
  };
  load();
  return (what, names) => {
    if (what === "rows" && (!names || names.includes(name))) load();
    else if (what === "usage" && Date.now() - last > 5000) load();
  };
}

function overview(content, name) {
  const cpu = chart(`CPU of ${name} over time`, "cpu", percent, 5);
  const mem = chart(`Memory of ${name} over time`, "mem", size, 1);
  const info = h("div.panel");
  const limits = h("div.panel");
  const recent = h("ul.list");
  replace(content, h("div.cards", h("div.panel", h("h2", "CPU"), cpu.element), h("div.panel", h("h2", "Memory"), mem.element)),
    h("div.cards", info, limits, h("div.panel", h("h2", "Last events"), recent)));
  let curve = {time: [], cpu: [], memory: []};
  const loadCurve = () => ask(`/api/v1/history?points=300&name=${encodeURIComponent(name)}`).then(({series}) => {
    const [time, used, memory] = series[name] || [[], [], []];
    curve = {time, cpu: used, memory};
    drawCurve();
  }).catch(() => {});
  const drawCurve = () => {
    const marks = eventsOf(name).filter((event) => event.kind === "process.state" && /^(RUNNING|BACKOFF|FATAL|EXITED)$/.test(event.data.state))
      .map((event) => ({time: event.time, text: event.data.state.toLowerCase()}));
    cpu.draw(curve.time, curve.cpu, marks);
    mem.draw(curve.time, curve.memory, marks);
  };
  const events = () => replace(recent, eventRows(eventsOf(name).slice(-8).reverse()));
  loadCurve();
  pastEvents().then(() => { events(); drawCurve(); });
  const changed = detailed(content, name, (found) => {
    replace(info, h("h2", "Process"), table([
      ["Command", h("code", clean(found.command.join(" ")))], ["Directory", h("code", clean(found.directory))], ["User", clean(found.user) || "the supervisor's"],
      ["Memory", found.memory ? size(found.memory) : "–"], ["CPU time", found.cpu ? `${found.cpu.toFixed(1)} s` : "–"],
      ["Threads", found.threads || "–"], ["Open files", found.files || "–"], ["Needs", found.depends_on.join(", ") || "nothing"],
      ...Object.entries(found.sockets).map(([key, url]) => [`Socket ${clean(key)}`, clean(url)]),
      ["Log", h("code", clean([...new Set([found.stdout, found.stderr])].filter(Boolean).join(", ")) || "not kept")],
      found.lost_bytes ? ["Lost output", size(found.lost_bytes)] : null,
    ]));
    const all = {...found.limits};
    replace(limits, h("h2", "Limits in force"), Object.keys(all).length ? table(Object.entries(all).map(([key, [soft, hard]]) =>
      [key, `${limit(soft)}${soft === hard ? "" : ` (up to ${limit(hard)})`}${found.declared_limits[key] ? "  declared" : ""}`])) : h("div.mut", "It does not run."));
  });
  return {changed(what, names) {
    changed(what, names);
    if (what === "events") events();
    if (what === "usage" && names.includes(name)) {
      const point = store.usage.get(name);
      if (!point) return;
      curve.time.push(Date.now() / 1000);
      curve.cpu.push(point[0]);
      curve.memory.push(point[1]);
      for (const key of ["time", "cpu", "memory"]) if (curve[key].length > 300) curve[key].shift();
      drawCurve();
    }
  }};
}

function limit(value) {
  return value < 0 ? "unlimited" : number(value);
}

function table(rows) {
  return h("table.info", h("tbody", rows.filter(Boolean).map(([label, value]) => h("tr", h("th", {scope: "row"}, h("span.mut", label)), h("td", value)))));
}

function log(content, name) {
  const pane = logPane([name]);
  const line = h("input", {"aria-label": `Send a line to ${clean(name)}`, placeholder: "Send a line  a", autocomplete: "off", spellcheck: "false", style: {flex: "1"}});
  const form = h("form.bar", {hidden: true, onsubmit: (event) => { event.preventDefault(); tell(name, line); }}, line,
    h("button", {type: "submit", disabled: !mayOperate()}, "Send"));
  const draw = () => { form.hidden = store.programs.get(store.rows.get(name)?.program)?.stdin !== "pipe"; };
  replace(content, pane.element, form);
  draw();
  const attach = () => {
    if (form.hidden) notice(`${name} reads nothing; with stdin = "pipe" in its section it would.`, {bad: true});
    else line.focus();
  };
  if (here().query.has("attach")) setTimeout(attach);
  return {keys: {...pane.keys, a: attach}, close: pane.close, changed(what) { if (what === "programs" || what === "rows") draw(); }};
}

async function tell(name, line) {
  try {
    await send("/api/v1/input", {name, text: `${line.value}\n`});
    line.value = "";
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    notice(`${name}: ${error.message}`, {bad: true});
  }
}

let asked = false;
/** Fetch what happened before this page was opened, once. */
export async function pastEvents() {
  if (asked) return;
  asked = true;
  try {
    const {events} = await ask("/api/v1/events");
    const known = new Set(store.events.map((event) => event.serial));
    store.events.unshift(...events.filter((event) => !known.has(event.serial)));
  } catch {
    asked = false;
  }
}

function eventsOf(name) {
  const row = store.rows.get(name);
  return store.events.filter((event) => event.name === name || (row && event.name === row.program));
}

/** Events as rows of a list. */
export function eventRows(events, named = false) {
  if (!events.length) return h("li.mut", "Nothing happened yet.");
  return events.map((event) => h("li", h("time", clock(event.time)), named ? h("b", clean(event.name || "genii")) : null, h("span", describe(event))));
}

function describe(event) {
  const {state, before, reason, pid, processes, waiting} = event.data;
  if (event.kind === "program.scaled") return `scaled from ${before} to ${processes}${waiting ? `, ${count(waiting, "job waits", "jobs wait")}` : ""}`;
  if (event.kind === "process.removed") return "removed";
  if (event.kind !== "process.state") return [event.kind.replace(".", ": "), ...Object.entries(event.data).map(([key, value]) => ` ${key}=${clean(value)}`)].join("");
  return `${String(before || "").toLowerCase()}${before ? " → " : ""}${String(state).toLowerCase()}${reason ? ` (${clean(reason)})` : ""}${pid ? `, pid ${pid}` : ""}`;
}

function events(content, name) {
  const list = h("ul.list");
  replace(content, h("div.panel", list));
  const draw = () => replace(list, eventRows(eventsOf(name).reverse()));
  pastEvents().then(draw);
  return {changed(what) { if (what === "events") draw(); }};
}

function environment(content, name) {
  const changed = detailed(content, name, (found) => {
    const entries = Object.entries(found.environment).sort();
    replace(content, h("div.panel", h("h2", "What genii sets"), entries.length ? table(entries.map(([key, value]) => [h("code", clean(key)), h("code", clean(value))]))
      : h("div.mut", "Nothing beyond what every program gets."), h("p.mut", "Values of variables that look like secrets, and of those named in secret_variables, are not shown.")));
  });
  return {changed};
}

function declaration(content, name) {
  const draw = () => {
    const declared = store.programs.get(store.rows.get(name)?.program);
    replace(content, declared ? h("div.panel", table(Object.entries(declared).filter(([, value]) => !blank(value)).map(([key, value]) =>
      [key.replaceAll("_", " "), h("code", clean(typeof value === "object" ? JSON.stringify(value) : value))]))) : h("div.empty", "Loading…"));
  };
  draw();
  return {changed(what) { if (what === "programs") draw(); }};
}

function blank(value) {
  return value === "" || value === null || (Array.isArray(value) && !value.length) || (typeof value === "object" && !Object.keys(value).length);
}

const PARTS = {log, events, environment, declaration};

// Asking for changes: confirm where it hurts, ask, show what became of it.

import {send, Problem} from "./api.js";
import {announce, clean, h} from "./dom.js";
import {mayOperate, store} from "./store.js";

const SHOWN = 5000;
const MOST = 4;

/** Show a message at the edge; errors stay until they are closed. */
export function notice(message, {bad = false, output = ""} = {}) {
  const box = document.getElementById("notices");
  const element = h(`div.notice${bad ? ".bad" : ""}`, {role: bad ? "alert" : "status"},
    h("div", {style: {flex: "1"}}, clean(message), output ? h("pre", output) : null),
    h("button.plain.icon", {"aria-label": "Close this message", onclick: () => element.remove()}, "✕"));
  box.append(element);
  while (box.children.length > MOST) box.firstChild.remove();
  if (!bad) {
    announce(message);
    setTimeout(() => element.remove(), SHOWN);
  }
}

/** Ask yes or no; the safe answer has the focus. */
export function confirmed(title, text, verb) {
  return new Promise((resolve) => {
    const cancel = h("button", {type: "button", onclick: () => dialog.close("")}, "Cancel");
    const dialog = h("dialog", {"aria-labelledby": "confirm-title"}, h("form", {method: "dialog"},
      h("h2", {id: "confirm-title"}, clean(title)), h("div", clean(text)),
      h("div.bar", cancel, h("button.danger", {type: "button", onclick: () => dialog.close("yes")}, verb))));
    open(dialog, () => resolve(dialog.returnValue === "yes"));
    cancel.focus();
  });
}

/** Show a dialog and take it away when it is closed. */
export function open(dialog, closed = () => {}) {
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed();
  });
  document.body.append(dialog);
  dialog.showModal();
}

const WORDS = {start: "Start", stop: "Stop", restart: "Restart", reload: "Reload"};

/** Start, stop, restart or reload processes, after a question where that ends something that runs. */
export async function act(action, names, more = {}) {
  if (!allowed() || !names.length) return;
  const rows = names.map((name) => store.rows.get(name)).filter(Boolean);
  const running = rows.filter((row) => row.pid);
  const what = names.length === 1 ? names[0] : `${names.length} processes`;
  if (running.length && (action === "stop" || (action === "restart" && names.length > 1))) {
    const leaning = dependents(rows);
    const hint = leaning.length ? `Needed by ${leaning.join(", ")}. ` : "";
    const list = names.length > 1 ? names.slice(0, 12).join(", ") + (names.length > 12 ? "…" : "") : "It runs now.";
    if (!await confirmed(`${WORDS[action]} ${what}?`, hint + list, WORDS[action])) return;
  }
  await post(`/api/v1/${action}`, {names, ...more}, what);
}

function dependents(rows) {
  const programs = new Set(rows.map((row) => row.program));
  return [...store.programs.values()].filter((program) => !programs.has(program.name)
    && program.depends_on.some((name) => programs.has(name))).map((program) => program.name);
}

function allowed() {
  if (mayOperate()) return true;
  notice("You are logged in as a reader: you may look, and change nothing.", {bad: true});
  return false;
}

/** Send a request and show its results; returns the answer, or null when it failed. */
export async function post(path, body, what) {
  if (!allowed()) return null;
  try {
    const answer = await send(path, body);
    for (const group of together(answer.results || [])) {
      notice(`${group.names}: ${group.message}`, {bad: !group.ok, output: group.output});
    }
    return answer;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const problems = (error.details.problems || []).map((one) => `${one.path}:${one.line}:${one.column}: ${one.message}`);
    notice(`${what}: ${error.message}`, {bad: true, output: error.details.output || problems.join("\n")});
    return null;
  }
}

/** Many results of one kind are one message. */
function together(results) {
  const groups = new Map();
  for (const result of results) {
    const key = `${result.ok} ${result.message} ${result.output}`;
    const group = groups.get(key) || {...result, list: []};
    group.list.push(result.name);
    groups.set(key, group);
  }
  return [...groups.values()].map((group) => ({
    ...group, message: group.message || group.code,
    names: group.list.length > 3 ? `${group.list.length} processes` : group.list.join(", "),
  }));
}

const SIGNALS = ["HUP", "USR1", "USR2", "INT", "TERM", "QUIT", "WINCH", "CONT", "STOP", "KILL"];

export function askSignal(names) {
  if (!allowed()) return;
  const select = h("select", {"aria-label": "Signal"}, SIGNALS.map((name) => h("option", {value: name}, name)));
  form(`Send a signal to ${names.length === 1 ? names[0] : `${names.length} processes`}`, h("label.field", "Signal", select), "Send",
    () => post("/api/v1/signal", {names, signal: select.value}, "signal"));
}

export function askScale(program) {
  if (!allowed()) return;
  const have = [...store.rows.values()].filter((row) => row.program === program).length;
  const low = h("input", {type: "number", min: 0, max: 1000, value: have, required: true});
  const high = h("input", {type: "number", min: 0, max: 1000, placeholder: "the same"});
  const elastic = store.programs.get(program)?.worker;
  form(`Scale ${program}`, [h("label.field", "Processes", low), elastic ? h("label.field", "At most", high) : null], "Scale", () => {
    const minimum = Number(low.value);
    return post("/api/v1/scale", {names: [program], minimum, maximum: Number(high.value) || minimum}, program);
  });
}

/** Ask for some fields; done() is called when they are sent. */
export function form(title, fields, verb, done) {
  const dialog = h("dialog", {"aria-labelledby": "form-title"}, h("form", {method: "dialog", onsubmit: () => { done(); }},
    h("h2", {id: "form-title"}, clean(title)), fields,
    h("div.bar", h("button", {type: "button", onclick: () => dialog.close()}, "Cancel"), h("button.primary", {type: "submit"}, verb))));
  open(dialog);
}

/** A menu of less frequent actions. */
export function more(names, program) {
  const row = store.rows.get(names[0]);
  const entries = [
    ["Reload", () => act("reload", names)], ["Send a signal…", () => askSignal(names)],
    [`Scale ${program}…`, () => askScale(program)], ["Rolling restart", () => act("restart", names, {rolling: true})],
  ];
  const dialog = h("dialog", {"aria-label": "More actions"}, h("form", {method: "dialog"},
    h("h2", clean(names.length === 1 ? names[0] : program)),
    entries.map(([label, run]) => h("button", {type: "button", disabled: !mayOperate(), onclick: () => { dialog.close(); run(); }}, clean(label))),
    h("div.bar", h("button", {type: "submit"}, "Close"))));
  if (row) open(dialog);
}


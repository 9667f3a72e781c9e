// What is known of all processes, kept up to date by one stream; pages listen to its changes.

import {ask, Problem, stream} from "./api.js";
import {duration} from "./format.js";

const STALE = 25_000; // the stream says something at least every ten seconds
const POINTS = 60;

export const store = {
  rows: new Map(), // name -> record
  usage: new Map(), // name -> [percent, bytes]
  curves: new Map(), // name -> {cpu: [], memory: []}: the last readings
  programs: new Map(), // name -> declaration
  rates: new Map(), // program -> jobs a second
  jobServers: [],
  supervisor: null,
  session: {user: "", role: "reader", login: false},
  every: 1,
  connected: false,
  heard: 0,
  problem: "",
  events: [],
  events_seen: 0,
};

const listeners = new Set();

/** Call a function with the names of what changed; returns the function that ends it. */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(what, names) {
  for (const listener of [...listeners]) listener(what, names);
}

export function mayOperate() {
  return store.session.role === "operator";
}

let controller = null;
let waiting = 0;
let attempts = 0;

/** Follow the supervisor for as long as the page is looked at. */
export function connect() {
  disconnect();
  controller = new AbortController();
  const {signal} = controller;
  stream("/api/v1/live", signal, receive, () => { attempts = 0; }).catch((error) => {
    if (signal.aborted) return;
    lost(error);
  });
}

export function disconnect() {
  clearTimeout(waiting);
  if (controller) controller.abort();
  controller = null;
}

function lost(error) {
  store.connected = false;
  store.problem = error instanceof Problem ? error.message : "the connection was lost";
  tell("connection");
  if (error.status === 401) return; // the login page takes over
  attempts += 1;
  waiting = setTimeout(connect, Math.min(5000, 250 * 2 ** attempts));
}

// A connection can die without a word: look at the clock as well.
setInterval(() => {
  if (controller && store.connected && Date.now() - store.heard > STALE) {
    connect();
    store.connected = false;
    store.problem = "nothing was heard from the supervisor";
  }
  if (!store.connected) tell("connection");
}, 1000);

document.addEventListener("visibilitychange", () => {
  // Browsers allow six connections to one server: a tab that nobody sees gives its own up.
  if (document.hidden) disconnect();
  else if (store.supervisor) connect();
});

function receive(kind, data) {
  store.heard = Date.now();
  if (!store.connected && kind === "snapshot") {
    store.connected = true;
    tell("connection");
  }
  const handler = HANDLERS[kind];
  if (handler) handler(data);
}

const HANDLERS = {
  snapshot(data) {
    const restarted = store.supervisor && store.supervisor.pid !== data.supervisor.pid;
    store.supervisor = data.supervisor;
    store.every = data.every;
    store.rows = new Map(data.processes.map((row) => [row.name, row]));
    store.usage = new Map(Object.entries(data.usage));
    if (restarted) store.curves.clear();
    tell("rows", null);
    requestAnimationFrame(() => setTimeout(declare)); // the first rows come first
  },
  change(data) {
    for (const row of data.processes) {
      countJobs(store.rows.get(row.name), row);
      store.rows.set(row.name, row);
    }
    for (const name of data.removed) {
      store.rows.delete(name);
      store.usage.delete(name);
      store.curves.delete(name);
    }
    const unknown = data.processes.some((row) => !store.programs.has(row.program));
    if (unknown) declare();
    tell("rows", data.removed.length ? null : data.processes.map((row) => row.name));
  },
  usage(data) {
    for (const [name, point] of Object.entries(data.usage)) store.usage.set(name, point);
    for (const [name, curve] of store.curves) {
      const point = store.rows.get(name)?.pid ? store.usage.get(name) : undefined;
      if (point) add(curve, data.time, point);
    }
    for (const [program, number] of done) store.rates.set(program, rate(program, data.time, number));
    tell("usage", Object.keys(data.usage));
  },
  event(data) {
    store.events.push(...data.events);
    if (store.events.length > 500) store.events.splice(0, 250);
    if (data.events.some((event) => event.kind === "supervisor.updated")) declare();
    tell("events", data.events);
  },
};

const done = new Map(); // program -> jobs that its workers did while we looked

/** Add up the jobs that workers did; one that was replaced did what it had left. */
function countJobs(before, row) {
  if (row.jobs_done === null || before === undefined || before.jobs_done === null) return;
  const more = before.pid === row.pid ? row.jobs_done - before.jobs_done : row.jobs_done + (before.jobs_left || 0);
  done.set(row.program, (done.get(row.program) || 0) + Math.max(0, more));
}

const counts = new Map(); // what is counted -> the last [time, number]

/** How many a second something grows, over the last ten times that it was told. */
export function rate(key, time, number) {
  let points = counts.get(key);
  if (!points || number < points[points.length - 1][1]) counts.set(key, points = []); // it began anew
  points.push([time, number]);
  if (points.length > 10) points.shift();
  const seconds = time - points[0][0];
  return seconds > 0 ? (number - points[0][1]) / seconds : 0;
}

function add(curve, time, [cpu, memory]) {
  curve.time.push(time);
  curve.cpu.push(cpu);
  curve.memory.push(memory);
  if (curve.cpu.length > 2 * POINTS) for (const key of ["time", "cpu", "memory"]) curve[key].splice(0, POINTS);
}

let asked = new Set();

/** Have the last readings of these processes fetched, so that their lines don't begin at nothing. */
export async function wantCurves(names) {
  const missing = names.filter((name) => !store.curves.has(name) && !asked.has(name)).slice(0, 60);
  if (!missing.length) return;
  missing.forEach((name) => asked.add(name));
  try {
    const query = missing.map((name) => `name=${encodeURIComponent(name)}`).join("&");
    const {series} = await ask(`/api/v1/history?points=${POINTS}&${query}`);
    for (const [name, [time, cpu, memory]] of Object.entries(series)) store.curves.set(name, {time, cpu, memory});
    tell("usage", missing);
  } catch {
    // Lines are an ornament: they begin now then.
    missing.forEach((name) => store.curves.set(name, {time: [], cpu: [], memory: []}));
  } finally {
    missing.forEach((name) => asked.delete(name));
  }
}

let declaring = null;

/** Fetch what is declared, at most one request at a time. */
export function declare() {
  declaring ||= ask("/api/v1/programs").then((answer) => {
    store.programs = new Map(answer.programs.map((program) => [program.name, program]));
    store.jobServers = answer.job_servers;
    looks = new WeakMap(); // which exit codes are right is declared
    tell("programs");
  }).catch(() => {}).finally(() => { declaring = null; });
  return declaring;
}

// What a state means to people: glyph, colour, and whether somebody has to do something.
const STATES = {
  RUNNING: ["●", "ok"], STARTING: ["◐", "warn"], STOPPING: ["◑", "warn"], BACKOFF: ["↻", "warn"],
  FATAL: ["✖", "bad"], STOPPED: ["○", "idle"], EXITED: ["◌", "idle"], UNKNOWN: ["?", "bad"],
};

let looks = new WeakMap(); // record -> how it looks: each is asked for several times for each change

export function look(row) {
  let found = looks.get(row);
  if (!found) looks.set(row, found = lookOf(row));
  return found;
}

function lookOf(row) {
  let [glyph, colour] = STATES[row.state] || ["?", "idle"];
  let word = row.state.toLowerCase();
  if (row.state === "RUNNING" && row.healthy === false) [glyph, colour, word] = ["▲", "bad", "unhealthy"];
  if (row.state === "EXITED" && failed(row)) [glyph, colour, word] = ["✖", "bad", "failed"];
  return {glyph, colour, word, alarm: colour === "bad" || row.state === "BACKOFF"};
}

function failed(row) {
  const right = store.programs.get(row.program)?.exit_codes || [0];
  return row.exit_status !== null && !right.includes(row.exit_status);
}

/** Why it is so: reason, next attempt, next run, note. */
export function why(row, now) {
  const parts = [];
  if (row.reason) parts.push(row.reason);
  if (row.healthy === false) parts.push("its health check fails");
  if (row.pid && !row.ready && row.state !== "STOPPING") parts.push("not ready yet");
  if (row.next_attempt > now) parts.push(`next attempt in ${Math.ceil(row.next_attempt - now)} s`);
  if (row.next_run > now) parts.push(`next run in ${duration(row.next_run - now)}`);
  if (row.busy) parts.push("busy");
  if (row.adopted) parts.push("adopted");
  if (row.note) parts.push(row.note);
  return parts.join(", ");
}

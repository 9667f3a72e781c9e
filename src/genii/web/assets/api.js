// Questions and requests to the supervisor; everything else on the page goes through here.

let token = "";
let onLogin = () => {};

/** An error that the supervisor told, or that kept us from asking. */
export class Problem extends Error {
  constructor(message, status = 0, details = {}) {
    super(message);
    this.status = status;
    this.details = details;
  }
}

export function setToken(value) {
  token = value;
}

/** Have a function called when the session is over. */
export function whenLoggedOut(callback) {
  onLogin = callback;
}

export async function ask(path, signal) {
  return answer(await question(path, signal), path);
}

/** Ask, or take the answer to what was asked before this script was there (see begin.js). */
function question(path, signal) {
  const name = path.replace("/api/v1/", "");
  const {begun} = window;
  const early = begun?.[name];
  if (!early) return request(path, {headers: {"X-Genii-Page": "1"}, signal});
  delete begun[name];
  signal?.addEventListener("abort", () => begun.controller.abort());
  return early.catch(unreachable);
}

/** Let go of what was asked early: somebody else may log in now. */
export function forgetEarly() {
  window.begun?.controller.abort();
  delete window.begun;
}

export async function send(path, body) {
  const headers = {"Content-Type": "application/json", "X-Genii-Page": "1"};
  if (token) headers["X-Genii-Token"] = token;
  return answer(await request(path, {method: "POST", headers, body: JSON.stringify(body)}), path);
}

async function request(path, options) {
  try {
    return await fetch(path, {cache: "no-store", credentials: "same-origin", ...options});
  } catch (error) {
    return unreachable(error);
  }
}

function unreachable(error) {
  if (error.name === "AbortError") throw error;
  throw new Problem("the supervisor can't be reached");
}

async function answer(response, path) {
  let content;
  try {
    content = await response.json();
  } catch {
    content = {};
  }
  if (response.ok) return content;
  const error = content.error || {code: "", message: `the supervisor answered ${response.status}`};
  if (response.status === 401 && path !== "/api/v1/login") onLogin();
  throw new Problem(error.message, response.status, error);
}

/**
 * Read a stream of server-sent events until it ends or the signal aborts it; calls receive(kind, data).
 * EventSource could neither send our header nor tell a refused login from a lost connection.
 */
export async function stream(path, signal, receive, opened = () => {}) {
  const response = await question(path, signal);
  if (!response.ok) await answer(response, path);
  opened();
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let parts = []; // of an event that is not complete: a snapshot of many programs comes in dozens
  for (;;) {
    const {done, value} = await reader.read();
    if (done) throw new Problem("the supervisor ended the stream");
    const piece = decoder.decode(value, {stream: true});
    parts.push(piece);
    if (!piece.includes("\n\n") && !piece.startsWith("\n")) continue;
    const blocks = parts.join("").split("\n\n");
    parts = [blocks.pop()];
    for (const block of blocks) event(block, receive);
    receive("alive", null);
  }
}

function event(block, receive) {
  let kind = "message";
  let data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) kind = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (data) receive(kind, JSON.parse(data));
}

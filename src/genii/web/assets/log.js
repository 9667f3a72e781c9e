// A log as it grows: the last 20,000 lines in memory, those in view in the page, one drawing per frame.

import {stream} from "./api.js";
import {clean, h, replace, text} from "./dom.js";
import {count, number, size} from "./format.js";
import {plain, render} from "./ansi.js";

const KEPT = 20_000;
const LINE = 18;
const WRAPPED = 400; // lines that are in the page when they are wrapped, as their heights are not known

/** Make a log pane for some processes; returns {element, keys, close}. */
export function logPane(names) {
  let lines = []; // {text, who, error, note}
  let shown = lines; // those that match the search
  let search = "";
  let follow = true;
  let wrap = localStorage.getItem("wrap") === "1";
  let paused = false;
  let held = [];
  let left = 0; // bytes that were left out
  let pending = false;
  let closed = false;
  let opened = false;
  let controller = new AbortController();
  let retry = 0;
  const several = names.length !== 1;
  const query = names.map((name) => `name=${encodeURIComponent(name)}`).join("&");

  const find = h("input.filter", {type: "search", placeholder: "Search", "aria-label": "Show only lines with this text",
    oninput: () => { search = find.value.toLowerCase(); sift(); }});
  const which = h("select", {"aria-label": "Which output", onchange: restart},
    [["both", "both outputs"], ["stdout", "stdout"], ["stderr", "stderr"]].map(([value, label]) => h("option", {value}, label)));
  const pauseButton = h("button", {"aria-pressed": "false", onclick: () => pause(!paused)}, "Pause");
  const wrapButton = h("button", {"aria-pressed": String(wrap), onclick: () => { wrap = !wrap; localStorage.setItem("wrap", wrap ? "1" : "0");
    wrapButton.setAttribute("aria-pressed", String(wrap)); soon(); }}, "Wrap");
  const endButton = h("button", {hidden: true, onclick: () => { follow = true; soon(); }}, "↓ To the end");
  const status = h("span.mut");
  const save = h("a.button", {href: `/api/v1/logs?text=1&lines=-1&${query}`, download: ""}, "Download");
  const room = h("div.room");
  const view = h("div");
  const pane = h("div.log", {role: "log", "aria-live": "off", "aria-label": "Log", tabindex: "0"}, room, view);
  const element = h("div.logbox", h("div.bar", find, which, pauseButton, wrapButton, endButton, h("div.grow"), status, save), pane);
  pane.addEventListener("scroll", () => {
    follow = pane.scrollTop + pane.clientHeight > pane.scrollHeight - 2 * LINE;
    soon();
  }, {passive: true});
  const resize = new ResizeObserver(soon);
  resize.observe(pane);

  function receive(kind, data) {
    if (kind !== "log") return;
    const fresh = [];
    if (data.skipped) {
      left += data.skipped;
      fresh.push({text: `… ${size(data.skipped)} left out: more is written than can be shown; the download has all of it …`, note: true, who: data.name});
    }
    for (const line of data.lines) fresh.push({text: line, who: data.name, error: data.stream === "stderr"});
    if (paused) {
      held.push(...fresh);
      if (held.length > KEPT) held.splice(0, held.length - KEPT);
    } else add(fresh);
    soon();
  }

  function add(fresh) {
    for (const line of fresh) lines.push(line);
    if (lines.length > KEPT) {
      lines = lines.slice(-KEPT * 0.9);
      sift();
    } else if (search) {
      for (const line of fresh) if (matches(line)) shown.push(line);
    } else shown = lines;
  }

  function matches(line) {
    return plain(line.text).toLowerCase().includes(search);
  }

  function sift() {
    shown = search ? lines.filter(matches) : lines;
    soon();
  }

  function pause(on) {
    paused = on;
    pauseButton.setAttribute("aria-pressed", String(on));
    text(pauseButton, on ? "Go on" : "Pause");
    if (!on) {
      add(held);
      held = [];
      follow = true;
    }
    soon();
  }

  function soon() {
    if (pending || closed) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; draw(); });
  }

  function draw() {
    pane.classList.toggle("wrap", wrap);
    const height = Math.max(LINE, pane.clientHeight);
    if (wrap) {
      room.style.height = "0";
      replace(view, shown.slice(-WRAPPED).map((line) => lineOf(line)));
      if (follow) pane.scrollTop = pane.scrollHeight;
    } else {
      room.style.height = `${shown.length * LINE + 8}px`;
      if (follow) pane.scrollTop = shown.length * LINE + 8 - height;
      const first = Math.max(0, Math.floor(pane.scrollTop / LINE) - 4);
      const last = Math.min(shown.length, first + Math.ceil(height / LINE) + 8);
      const drawn = [];
      for (let i = first; i < last; i++) drawn.push(lineOf(shown[i], i));
      replace(view, drawn);
    }
    if (!shown.length && opened) replace(view, h("div.empty", lines.length ? "No line has this text." : "Nothing was written yet."));
    endButton.hidden = follow;
    const parts = [paused ? `paused, ${count(held.length, "new line")}` : search ? `${number(shown.length)} of ${count(lines.length, "line")}` : count(lines.length, "line")];
    if (left) parts.push(`${size(left)} left out`);
    text(status, parts.join(" · "));
  }

  function lineOf(line, index) {
    const kind = line.note ? ".note" : line.error ? ".err" : "";
    const attributes = index === undefined ? {} : {style: {top: `${index * LINE}px`}};
    return h(`div.line${kind}`, attributes, several && !line.note ? h("span.who", `${clean(line.who)} │ `) : null, render(line.text, search));
  }

  function begin() {
    const {signal} = controller;
    const path = `/api/v1/logs?follow=1&paced=1&lines=${several ? 100 : 1000}&stream=${which.value}&${query}`;
    stream(path, signal, receive, () => { lines = []; opened = true; sift(); }).catch(async (error) => {
      if (signal.aborted || closed) return;
      if (error.status === 409 || error.status === 404) {
        replace(view, h("div.empty", clean(error.message)));
        return;
      }
      text(status, `${error.message}; trying again`);
      clearTimeout(retry);
      retry = setTimeout(begin, 1500);
    });
  }

  function restart() {
    controller.abort();
    controller = new AbortController();
    left = 0;
    begin();
  }

  const seen = () => {
    if (document.hidden) controller.abort();
    else restart();
  };
  document.addEventListener("visibilitychange", seen);
  begin();
  return {
    element,
    keys: {"/": () => find.focus(), f: () => { follow = true; soon(); }, w: () => wrapButton.click(), p: () => pause(!paused)},
    close() {
      closed = true;
      clearTimeout(retry);
      controller.abort();
      resize.disconnect();
      document.removeEventListener("visibilitychange", seen);
    },
  };
}

/** The page of several logs: #/logs?name=a&name=b */
export function logs(main, parts, query) {
  main.classList.add("fixed");
  const names = query.getAll("name");
  const pane = logPane(names);
  replace(main, h("h1", names.length ? `Logs of ${clean(names.join(", "))}` : "Logs of all programs"), pane.element);
  return {title: "Logs", keys: pane.keys, close: pane.close};
}


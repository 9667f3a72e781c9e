// The frame: who is logged in, which page is shown, the keys, the colours.

import {notice, open} from "./actions.js";
import {ask, forgetEarly, Problem, send, setToken, whenLoggedOut} from "./api.js";
import {announce, clean, h, replace, text} from "./dom.js";
import {count} from "./format.js";
import {processes} from "./processes.js";
import {connect, disconnect, listen, look, mayOperate, store} from "./store.js";
import {here} from "./route.js";

// The first page is loaded at once, the others when somebody goes there.
const PAGES = [
  ["", "Processes", () => processes], ["logs", "Logs", () => import("./log.js").then((module) => module.logs)],
  ["pools", "Pools", () => import("./pools.js").then((module) => module.pools)],
  ["jobs", "Jobs", () => import("./jobs.js").then((module) => module.jobs)],
  ["schedules", "Schedules", () => import("./schedules.js").then((module) => module.schedules)],
  ["watches", "Watches", () => import("./schedules.js").then((module) => module.watches)],
  ["deployments", "Deployments", () => import("./deployments.js").then((module) => module.deployments)],
  ["hosts", "Hosts", () => import("./deployments.js").then((module) => module.hosts)],
  ["configuration", "Configuration", () => import("./configuration.js").then((module) => module.configuration)],
  ["activity", "Activity", () => import("./activity.js").then((module) => module.activity)],
];
const HIDDEN = {program: () => import("./program.js").then((module) => module.program)};

const app = document.getElementById("app");
let page = null;
let main = null;

// ---------------------------------------------------------------- colours

const THEMES = {"": "auto", light: "light", dark: "dark"};

function applyTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  localStorage.setItem("theme", theme);
}

applyTheme(localStorage.getItem("theme") || "");

// ---------------------------------------------------------------- login

function loginPage(message = "") {
  forgetEarly();
  disconnect();
  closePage();
  main = null;
  const user = h("input", {name: "user", autocomplete: "username", required: true, autocapitalize: "off"});
  const password = h("input", {name: "password", type: "password", autocomplete: "current-password", required: true});
  const problem = h("div.bad", {role: "alert"}, message);
  const button = h("button.primary", {type: "submit"}, "Log in");
  const form = h("form.panel.login", {onsubmit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      begin(await send("/api/v1/login", {user: user.value, password: password.value}));
    } catch (error) {
      text(problem, error instanceof Problem ? error.message : String(error));
      password.value = "";
      password.focus();
    } finally {
      button.disabled = false;
    }
  }}, h("h1", "genii"), h("label", "User", user), h("label", "Password", password), problem, button);
  replace(app, h("main", {id: "main"}, form));
  document.title = "Log in · genii";
  user.focus();
}

async function logout() {
  try {
    await send("/api/v1/logout", {});
  } catch {
    // whatever it was, we are not logged in any more
  }
  setToken("");
  loginPage("You are logged out.");
}

// ---------------------------------------------------------------- the frame

const live = h("span.live");
const banner = h("div.banner", {role: "status", hidden: true});

function begin(session) {
  store.session = session;
  setToken(session.token);
  const theme = h("select", {"aria-label": "Colours", onchange: () => applyTheme(theme.value)},
    Object.entries(THEMES).map(([value, label]) => h("option", {value, selected: (localStorage.getItem("theme") || "") === value}, label)));
  main = h("main", {id: "main", tabindex: "0"}); // it scrolls: the keyboard has to get there
  replace(app, h("header.top", h("a.brand", {href: "#/"}, h("img", {src: new URL("icon.svg", import.meta.url).href, alt: ""}), "genii"),
    h("nav.main", {"aria-label": "Pages"}, PAGES.map(([key, label]) => h("a", {href: `#/${key}`, "data-page": key}, label))),
    h("div.tools", live, session.user ? h("span", `${clean(session.user)}${mayOperate() ? "" : " (reader)"}`) : null, theme,
      h("button.plain.icon", {"aria-label": "Keys and help", title: "Keys  ?", onclick: help}, "?"),
      session.login ? h("button", {onclick: logout}, "Log out") : null)),
  banner, main, h("div.notices", {id: "notices"}), h("div.hidden-text", {id: "announcements", role: "status", "aria-live": "polite"}));
  connect();
  show();
}

function closePage() {
  if (page) page.close();
  page = null;
}

let turn = 0;

async function show() {
  if (!main) return;
  const mine = ++turn;
  const {parts: [name = "", ...parts], query} = here();
  const entry = PAGES.find(([key]) => key === name);
  const load = HIDDEN[name] || entry?.[2];
  for (const link of document.querySelectorAll("nav.main a")) {
    if (link.dataset.page === (HIDDEN[name] ? "" : name)) {
      link.setAttribute("aria-current", "page");
      const bar = link.parentNode; // on a phone it shows some of the pages only
      if (bar.scrollWidth > bar.clientWidth) bar.scrollLeft = link.offsetLeft - bar.offsetLeft - bar.clientWidth / 3;
    } else link.removeAttribute("aria-current");
  }
  let draw;
  try {
    draw = load ? await load() : null;
  } catch {
    draw = null; // the supervisor is gone, or has other files now
    notice("This page can't be loaded just now; load the dashboard anew.", {bad: true});
  }
  if (mine !== turn) return;
  closePage();
  main.className = "";
  main.scrollTop = 0;
  if (draw) page = draw(main, parts, query);
  else replace(main, h("div.empty", "There is no such page."));
  drawTitle();
}

function drawTitle() {
  const alarms = [...store.rows.values()].filter((row) => look(row).alarm).length;
  const title = `${alarms ? `(${alarms}) ` : ""}${page?.title ? `${page.title} · ` : ""}genii`;
  if (document.title !== title) document.title = title;
}

let wasConnected = true;

function drawConnection() {
  document.body.classList.toggle("stale", !store.connected && Boolean(store.supervisor));
  replace(live, h(`span.${store.connected ? "ok" : "bad"}`, {"aria-hidden": "true"}, store.connected ? "●" : "○"),
    h("span", store.connected ? (store.every > 1 ? `live, figures every ${store.every} s` : "live") : "not connected"));
  if (!store.connected && store.supervisor) {
    const seconds = Math.round((Date.now() - store.heard) / 1000);
    banner.className = "banner bad";
    banner.hidden = false;
    text(banner, `What you see is ${seconds} s old: ${store.problem || "connecting"}. Trying again…`);
  } else drawAlarms();
  if (wasConnected !== store.connected) announce(store.connected ? "connected" : "the connection was lost");
  wasConnected = store.connected;
}

/** Name the first of those that need somebody. */
function drawAlarms() {
  const bad = [...store.rows.values()].filter((row) => look(row).colour === "bad");
  banner.hidden = !bad.length || !store.connected;
  if (!bad.length) return;
  const list = bad.slice(0, 3).map((row) => `${row.name} ${look(row).word}${row.reason ? ` (${row.reason})` : ""}`).join("; ");
  banner.className = "banner bad";
  text(banner, clean(`${count(bad.length, "process needs", "processes need")} attention: ${list}${bad.length > 3 ? "…" : ""}`));
}

listen((what, detail) => {
  if (what === "connection") drawConnection();
  if (what === "rows") {
    drawConnection();
    drawTitle();
  }
  if (what === "events") {
    const failed = detail.filter((event) => event.kind === "process.state" && event.data.state === "FATAL");
    if (failed.length) announce(`${failed.map((event) => event.name).join(", ")}: failed for good`);
  }
});

// ---------------------------------------------------------------- keys

const KEYS = [
  ["j k ↑ ↓", "move"], ["Enter", "open"], ["Esc q", "back"], ["/", "filter or search"], ["l", "log"], ["space", "select"], ["g", "fold the group"],
  ["s", "start or stop"], ["r", "restart"], ["R", "reload"], ["x", "signal, more"], ["a", "attach: send lines to it"], ["+ -", "scale"],
  ["f w p", "log: to the end, wrap, pause"], ["1 – 9 0", "pages"], [":", "find anything (Ctrl K, too)"], ["?", "this help"],
];

function help() {
  const simple = h("input", {type: "checkbox", onchange: () => localStorage.setItem("keys", simple.checked ? "on" : "off")});
  simple.checked = localStorage.getItem("keys") !== "off";
  const dialog = h("dialog", {"aria-labelledby": "help-title"}, h("form", {method: "dialog"}, h("h2", {id: "help-title"}, "Keys"),
    h("dl", KEYS.map(([key, what]) => [h("dt", key.split(" ").map((one) => [h("kbd", one), " "])), h("dd", what)])),
    h("label", simple, " single keys are on"),
    h("div.mut", store.supervisor ? `genii ${store.supervisor.version}, pid ${store.supervisor.pid}, ${store.supervisor.config}` : ""),
    h("div.bar", h("button", {type: "submit"}, "Close"))));
  open(dialog);
}

let palette = null;

/** Open the finder: at once when it was open before, so that no key that follows is lost. */
function find() {
  if (palette) palette(PAGES);
  else import("./palette.js").then((module) => { palette = module.palette; palette(PAGES); }, () => {});
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey && event.key === "k" && main && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    find();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const field = event.target.closest?.("input:not([type=checkbox]), select, textarea");
  if (field) {
    if (event.key === "Escape") field.blur();
    return;
  }
  if (localStorage.getItem("keys") === "off" && event.key.length === 1) return;
  const control = event.target.closest?.("button, a, input, summary");
  if (control && (event.key === "Enter" || event.key === " ")) return;
  const run = page?.keys?.[event.key] || common(event.key);
  if (!run) return;
  event.preventDefault();
  run();
});

function common(key) {
  if (!main) return null;
  if (key === "?") return help;
  if (key === ":") return find;
  if ((key === "Escape" || key === "q") && location.hash.replace(/^#\/?/, "")) return () => history.back();
  const number = key === "0" ? 10 : Number(key === " " ? "" : key);
  if (number >= 1 && number <= PAGES.length) return () => { location.hash = `#/${PAGES[number - 1][0]}`; };
  return null;
}

// ---------------------------------------------------------------- begin

window.addEventListener("hashchange", show);
whenLoggedOut(() => loginPage("Please log in again."));
const slow = setTimeout(() => replace(app, h("main", {id: "main"}, h("div.empty",
  "Waiting for the supervisor… Browsers allow six connections to one server: if many windows with this dashboard are open, close one."))), 5000);
ask("/api/v1/session").finally(() => clearTimeout(slow)).then(begin, (error) => {
  if (error.status === 401) loginPage();
  else replace(app, h("main", {id: "main"}, h("div.empty", `${error.message}. `, h("button", {onclick: () => location.reload()}, "Try again"))));
});


// What the clock starts and what files start: when next, how it ended, run it now.

import {act} from "./actions.js";
import {clean, h, replace} from "./dom.js";
import {clock, duration, ending} from "./format.js";
import {declare, listen, look, mayOperate, store} from "./store.js";

export function schedules(main) {
  const content = h("div");
  replace(main, h("h1", "Schedules"), content);
  const draw = () => {
    const found = [...store.programs.values()].filter((program) => program.schedule);
    replace(content, found.length ? table("Schedules", ["Program", "When", "Next runs", "Last", "If one still runs", ""], found.map(schedule))
      : h("div.empty", "Nothing is started by the clock. Write schedule = \"*/5 * * * *\" into a program."));
  };
  return page("Schedules", draw);
}

export function watches(main) {
  const content = h("div");
  replace(main, h("h1", "Watches"), content);
  const draw = () => {
    const found = [...store.programs.values()].filter((program) => program.watches.length);
    replace(content, found.length ? table("Watches", ["Program", "Paths", "What happens", "Last", ""], found.map(watch))
      : h("div.empty", "Nothing is started by files that change. Write watch = [\"src\"] into a program."));
  };
  return page("Watches", draw);
}

function page(title, draw) {
  draw();
  const timer = setInterval(draw, 1000);
  let next = 0;
  const ended = listen((what) => {
    if (what === "programs") draw();
    // The next runs of all schedules change whenever one has run.
    if (what === "rows" && Date.now() > next) {
      next = Date.now() + 2000;
      declare();
    }
  });
  return {title, close() { ended(); clearInterval(timer); }};
}

function table(label, columns, rows) {
  return h("div.scroll", h("table", {"aria-label": label}, h("thead", h("tr", columns.map((column) =>
    h("th", {scope: "col"}, column ? h("span", column) : h("span.hidden-text", "Actions"))))), h("tbody", rows)));
}

function members(program) {
  return [...store.rows.values()].filter((row) => row.program === program.name);
}

function name(program) {
  return h("td", members(program).slice(0, 1).map((row) => h("a", {href: `#/program/${encodeURIComponent(row.name)}`}, clean(program.name))));
}

function last(program) {
  const rows = members(program);
  const row = rows.find((one) => one.pid) || rows.sort((a, b) => b.since - a.since)[0];
  if (!row) return h("td", "–");
  const {glyph, colour, word} = look(row);
  const words = row.state === "STOPPED" && !row.started ? "not yet" : row.pid ? `runs for ${duration(Date.now() / 1000 - row.started)}`
    : `${ending(row.exit_status) || word} at ${clock(row.since)}${row.started ? `, took ${lasted(row.since - row.started)}` : ""}`;
  return h("td", h(`span.${colour}`, {"aria-hidden": "true"}, `${glyph} `), words);
}

function lasted(seconds) {
  return seconds < 10 ? `${Math.max(0, seconds).toFixed(1)} s` : duration(seconds);
}

function runNow(program) {
  return h("td.num", h("button", {disabled: !mayOperate(), onclick: () => act("start", members(program).map((row) => row.name))}, "Run now"));
}

function schedule(program) {
  const {cron, timezone, words, next, overlap} = program.schedule;
  const now = Date.now() / 1000;
  return h("tr", name(program), h("td", h("code", clean(cron)), timezone ? ` ${clean(timezone)}` : "", h("div.mut", clean(words))),
    h("td", next.filter((time) => time > now).slice(0, 3).map((time, index) =>
      h(`div${index ? ".mut" : ""}`, `${clock(time)}${index ? "" : ` (in ${duration(time - now)})`}`))),
    last(program), h("td", {skip: "left out", queue: "waits for its end", allow: "runs beside it"}[overlap] || overlap), runNow(program));
}

function watch(program) {
  return h("tr", name(program), h("td", program.watches.map((path) => h("div.mono", clean(path)))),
    h("td", program.restart === "never" || program.kind === "watch" ? "it is run" : "it is restarted"), last(program), runNow(program));
}

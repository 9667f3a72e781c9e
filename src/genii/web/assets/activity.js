// What happened, and who did what.

import {ask, Problem} from "./api.js";
import {clean, h, replace} from "./dom.js";
import {clock} from "./format.js";
import {eventRows, pastEvents} from "./program.js";
import {listen, store} from "./store.js";

export function activity(main) {
  const happened = h("ul.list");
  const done = h("div");
  replace(main, h("h1", "Activity"), h("div.cards", h("section.panel", h("h2", "What happened"), happened), h("section.panel", h("h2", "Who did what"), done)));
  const draw = () => replace(happened, eventRows(store.events.slice(-200).reverse(), true));
  const audit = async () => {
    try {
      const {entries} = await ask("/api/v1/audit");
      replace(done, entries.length ? h("div.scroll", h("table", {"aria-label": "Who did what"}, h("thead", h("tr", ["Time", "Who", "What", "About", "Outcome"].map((label) =>
        h("th", {scope: "col"}, h("span", label))))), h("tbody", entries.slice(-200).reverse().map((entry) => h("tr", h("td", clock(entry.time)), h("td", clean(entry.user), h("div.mut", clean(entry.address))),
        h("td", clean(entry.action)), h("td", {style: {overflowWrap: "anywhere"}}, clean(about(entry.about || ""))), h(`td${(entry.outcome || "done") === "done" ? "" : ".bad"}`, clean(entry.outcome || "done"))))))) : h("p.mut", "Nobody asked for a change yet."));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
  };
  pastEvents().then(draw);
  audit();
  const timer = setInterval(() => { if (!document.hidden) audit(); }, 5000);
  const ended = listen((what) => { if (what === "events") draw(); });
  return {title: "Activity", close() { ended(); clearInterval(timer); }};
}

function about(text) {
  try {
    const {names, ...rest} = JSON.parse(text);
    const told = Object.entries(rest).filter(([key]) => key !== "timeout" && key !== "wait");
    return [...(names || []), ...told.map(([key, value]) => `${key}=${value}`)].join(" ");
  } catch {
    return text;
  }
}

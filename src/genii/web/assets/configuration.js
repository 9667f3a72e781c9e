// What was read from the files, and what an update would change now.

import {confirmed, post} from "./actions.js";
import {ask, Problem} from "./api.js";
import {clean, h, replace} from "./dom.js";
import {mayOperate} from "./store.js";

export function configuration(main) {
  const pending = h("div.panel", "Comparing with the files…");
  const settings = h("div.panel", "Loading…");
  replace(main, h("h1", "Configuration"), pending, settings);

  async function compare() {
    try {
      const {difference} = await ask("/api/v1/difference");
      replace(pending, h("div.bar", h("h2", "Not applied yet"), h("div.grow"), h("button", {onclick: compare}, "Compare again")), changes(difference));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const problems = (error.details.problems || []).map((one) => `${one.path}:${one.line}:${one.column}: ${one.message}`);
      replace(pending, h("div.bar", h("h2", "Not applied yet"), h("div.grow"), h("button", {onclick: compare}, "Compare again")),
        h("p.bad", problems.length ? "The files are wrong; what runs is not touched:" : clean(error.message)),
        problems.length ? h("pre.code", {tabindex: "0"}, clean(problems.join("\n")).replaceAll("\ufffd", "\n")) : null);
    }
  }

  function changes(difference) {
    const {added, removed, changed, adjusted, settings: own} = difference;
    const rows = [
      ...added.map((name) => h("li.add.ok", clean(name), " is added")), ...removed.map((name) => h("li.del.bad", clean(name), " is stopped and removed")),
      ...Object.entries(changed).map(([name, keys]) => h("li.mod.warn", clean(name), ` is restarted: ${keys.join(", ")}`)),
      ...Object.entries(adjusted).map(([name, keys]) => h("li.mod", clean(name), ` changes without a restart: ${keys.join(", ")}`)),
      ...(own.length ? [h("li.mod.mut", `at genii's next start: ${own.join(", ")}`)] : []),
    ];
    if (!rows.length) return h("p.mut", "What runs is what the files say.");
    const apply = async () => {
      const count = removed.length + Object.keys(changed).length;
      if (count && !await confirmed("Apply the changes?", `${count === 1 ? "One program is" : `${count} programs are`} stopped or restarted.`, "Apply")) return;
      if (await post("/api/v1/update", {}, "update")) {
        compare();
        load();
      }
    };
    return [h("ul.list.diff", rows), h("div.bar", {style: {marginTop: "10px"}}, h("button.primary", {disabled: !mayOperate(), onclick: apply}, "Apply"))];
  }

  async function load() {
    try {
      const found = await ask("/api/v1/configuration");
      const {programs, ...rest} = found.settings;
      replace(settings, h("h2", "As it was read"), h("p.mut", found.files.map((file) => h("div.mono", clean(file)))), block("Supervisor", rest),
        Object.entries(programs || {}).map(([name, program]) => block(name, program)));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      replace(settings, h("p.bad", clean(error.message)));
    }
  }

  compare();
  load();
  return {title: "Configuration", close() {}};
}

function block(title, value) {
  const code = h("pre.code", {tabindex: "0"});
  const details = h("details", h("summary", {style: {padding: "4px 0", cursor: "pointer"}}, clean(title)), code);
  // A thousand programs are a megabyte of text: made when it is looked at.
  details.addEventListener("toggle", () => { if (details.open && !code.firstChild) code.textContent = JSON.stringify(value, null, 2); });
  return details;
}

// Find anything by its name: pages, processes, and what can be done with them.

import {act, askScale, askSignal, open} from "./actions.js";
import {clean, h, replace} from "./dom.js";
import {mayOperate, store} from "./store.js";
import {go} from "./route.js";

const SHOWN = 12;

/** What can be chosen: [words, what it does]. */
function choices(pages) {
  const found = pages.map(([key, label]) => [`Go to ${label}`, () => go(`/${key}`)]);
  const programs = new Set();
  for (const {name, program, pid} of store.rows.values()) {
    const path = `/program/${encodeURIComponent(name)}`;
    found.push([`Open ${name}`, () => go(path)], [`Log of ${name}`, () => go(`${path}/log`)]);
    if (!mayOperate()) continue;
    found.push(pid ? [`Stop ${name}`, () => act("stop", [name])] : [`Start ${name}`, () => act("start", [name])],
      [`Restart ${name}`, () => act("restart", [name])], [`Reload ${name}`, () => act("reload", [name])], [`Signal ${name}…`, () => askSignal([name])]);
    if (!programs.has(program)) found.push([`Scale ${program}…`, () => askScale(program)]);
    programs.add(program);
  }
  return found;
}

export function palette(pages) {
  const all = choices(pages);
  let found = [];
  let chosen = 0;
  const list = h("ul.choices", {id: "choices", role: "listbox", "aria-label": "What was found"});
  const field = h("input", {type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "choices", "aria-label": "Find a page, a program, something to do",
    placeholder: "Find a page, a program, something to do", autocomplete: "off", spellcheck: "false", oninput: sift, onkeydown: press});
  const dialog = h("dialog.palette", {"aria-label": "Find anything"}, field, list);

  function sift() {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = all.filter(([label]) => words.every((word) => label.toLowerCase().includes(word)));
    const begins = ([label]) => (label.toLowerCase().startsWith(words[0] || "") ? 0 : 1); // what begins so comes first
    found = fits.sort((a, b) => begins(a) - begins(b)).slice(0, SHOWN);
    chosen = 0;
    draw();
  }

  function draw() {
    replace(list, found.length ? found.map(([label], index) => h("li", {id: `choice-${index}`, role: "option", "aria-selected": String(index === chosen), onclick: () => run(index)}, clean(label)))
      : h("li.mut", {role: "option", "aria-disabled": "true", "aria-selected": "false"}, "Nothing has this name."));
    if (found.length) field.setAttribute("aria-activedescendant", `choice-${chosen}`);
    else field.removeAttribute("aria-activedescendant");
  }

  function press(event) {
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (step && found.length) chosen = (chosen + step + found.length) % found.length;
    else if (event.key === "Enter") run(chosen);
    else return;
    event.preventDefault();
    draw();
  }

  function run(index) {
    const choice = found[index];
    if (!choice) return;
    dialog.close();
    choice[1]();
  }

  open(dialog);
  sift();
}

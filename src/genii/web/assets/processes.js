// The first page: all processes, grouped, filtered, sorted, with what they use. Only the rows in view are in the page.

import {act, askScale, more} from "./actions.js";
import {clean, h, replace, text} from "./dom.js";
import {clock, count, duration, number, percent, size} from "./format.js";
import {spark} from "./chart.js";
import {listen, look, mayOperate, store, wantCurves, why} from "./store.js";
import {go, param} from "./route.js";

const ROW = 36;
const MARGIN = 8;

const COLUMNS = [
  ["mark", "", null], ["name", "Name", (row) => row.name], ["state", "State", (row) => row.state],
  ["pid", "PID", (row) => row.pid], ["up", "Up", (row) => (row.pid ? row.started : Infinity)],
  ["re", "Restarts", (row) => -row.restarts], ["cpu", "CPU", (row) => -(store.usage.get(row.name)?.[0] ?? -1)],
  ["mem", "Memory", (row) => -(store.usage.get(row.name)?.[1] ?? -1)], ["why", "Why", (row) => row.reason], ["act", "", null],
];
const NUMBERS = new Set(["pid", "up", "re", "cpu", "mem"]);

const CHIPS = [
  ["all", () => true], ["running", (row) => row.state === "RUNNING"], ["attention", (row) => look(row).alarm],
  ["stopped", (row) => row.state === "STOPPED" || (row.state === "EXITED" && !look(row).alarm)],
];

export function processes(main) {
  main.classList.add("fixed");
  const folded = new Set();
  const selected = new Set();
  const made = new Map(); // name -> row element, of those in view
  let items = [];
  let pending = false;
  let range = "";
  let columns = 0; // those that are shown: narrow pages leave some out

  const chips = h("div.bar", {role: "group", "aria-label": "Filter by state"});
  const filter = h("input.filter", {type: "search", placeholder: "Filter  /", "aria-label": "Filter by name, program or reason",
    value: param("q"), oninput: () => { param("q", filter.value); relist(); }});
  const bulk = h("div.bar");
  const head = h("tr");
  const body = h("tbody");
  const table = h("table.rows", {"aria-label": "Processes"}, h("thead", head), body);
  const scroll = h("div.scroll.fill", {tabindex: "-1"}, table);
  const nothing = h("div.empty", {hidden: true});
  replace(main, h("h1.hidden-text", "Processes"), h("div.bar", chips, h("div.grow"), filter), bulk, scroll, nothing);
  scroll.addEventListener("scroll", soon, {passive: true});
  const resize = new ResizeObserver(() => { columns = 0; range = ""; soon(); });
  resize.observe(scroll);

  function drawHead() {
    const [sorted, down] = sorting();
    replace(head, COLUMNS.map(([key, label, value]) => {
      const cell = h(`th.c-${key}.h-${key}${NUMBERS.has(key) ? ".num" : ""}`, {scope: "col"});
      if (key === "mark") cell.append(h("span.hidden-text", "Selected"));
      else if (!value) cell.append(h("span.hidden-text", "Actions"));
      else {
        const mine = sorted === key;
        if (mine) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        cell.append(h("button", {onclick: () => { param("sort", mine ? (down ? "" : `-${key}`) : key); drawHead(); relist(); }},
          label + (mine ? (down ? " ▾" : " ▴") : "")));
      }
      return cell;
    }));
  }

  function sorting() {
    const raw = param("sort");
    return raw.startsWith("-") ? [raw.slice(1), true] : [raw, false];
  }

  function drawChips(rows) {
    const current = param("show") || "all";
    const labels = {all: "All", running: "Running", attention: "Needs attention", stopped: "Stopped"};
    const numbers = CHIPS.map(() => 0);
    for (const row of rows) CHIPS.forEach(([, test], index) => { if (test(row)) numbers[index] += 1; });
    CHIPS.forEach(([key], index) => {
      const found = numbers[index];
      let chip = chips.children[index];
      if (!chip) {
        chip = h("button.chip", {onclick: () => { param("show", key === "all" ? "" : key); relist(); }});
        chips.append(chip);
      }
      text(chip, `${labels[key]} ${number(found)}`);
      chip.setAttribute("aria-pressed", String(current === key));
      chip.classList.toggle("bad", key === "attention" && found > 0);
    });
  }

  function relist() {
    const rows = [...store.rows.values()];
    drawChips(rows);
    const test = (CHIPS.find(([key]) => key === param("show")) || CHIPS[0])[1];
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = rows.filter((row) => test(row) && matches(row, words));
    items = listed(shown, rows);
    nothing.hidden = items.length > 0;
    scroll.hidden = !items.length;
    text(nothing, !store.supervisor ? "Loading…" : rows.length ? "Nothing matches the filter." : "No program is declared. Add a [program.NAME] section.");
    drawBulk();
    draw();
  }

  function matches(row, words) {
    if (!words.length) return true;
    const hay = `${row.name} ${row.program} ${look(row).word} ${row.reason} ${store.programs.get(row.program)?.group || ""}`.toLowerCase();
    return words.every((word) => hay.includes(word));
  }

  function listed(shown, all) {
    const [key, down] = sorting();
    const column = COLUMNS.find(([name]) => name === key);
    if (column && column[2]) {
      const value = column[2];
      const order = (a, b) => { const x = value(a), y = value(b); return x < y ? -1 : x > y ? 1 : 0; };
      const rows = [...shown].sort(order);
      return (down ? rows.reverse() : rows).map((row) => ({row}));
    }
    return grouped(shown, all);
  }

  function grouped(shown, all) {
    const totals = new Map();
    for (const row of all) {
      const name = groupOf(row);
      const total = totals.get(name) || {all: 0, running: 0};
      total.all += 1;
      if (row.state === "RUNNING") total.running += 1;
      totals.set(name, total);
    }
    const groups = new Map();
    for (const row of shown) {
      const name = groupOf(row);
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(row);
    }
    const found = [];
    for (const [name, rows] of groups) {
      const total = totals.get(name);
      if (total.all > 1) found.push({group: name, rows, total});
      if (total.all === 1 || !folded.has(name)) for (const row of rows) found.push({row, inside: total.all > 1});
    }
    return found;
  }

  function groupOf(row) {
    return store.programs.get(row.program)?.group || row.program;
  }

  function soon() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; draw(); });
  }

  function draw() {
    columns ||= [...head.children].filter((cell) => getComputedStyle(cell).display !== "none").length;
    const first = Math.max(0, Math.floor(scroll.scrollTop / ROW) - MARGIN);
    const last = Math.min(items.length, Math.ceil((scroll.scrollTop + scroll.clientHeight) / ROW) + MARGIN);
    const focused = document.activeElement?.closest?.("tr")?.dataset.key;
    const elements = [];
    const names = [];
    for (let index = first; index < last; index++) {
      const item = items[index];
      const key = item.group !== undefined ? `group ${item.group}` : item.row.name;
      let element = made.get(key);
      if (!element) made.set(key, element = item.group !== undefined ? groupRow(item) : processRow(item.row));
      element.update(item);
      element.tr.setAttribute("aria-rowindex", String(index + 2));
      elements.push([key, element]);
      if (item.row) names.push(item.row.name);
    }
    const kept = new Set(elements.map(([key]) => key));
    for (const key of [...made.keys()]) if (!kept.has(key)) made.delete(key);
    const now = elements.map(([key]) => key).join("\n") + `|${first}|${items.length}`;
    if (now !== range) {
      range = now;
      replace(body, gap(first), elements.map(([, element]) => element.tr), gap(items.length - last));
      table.setAttribute("aria-rowcount", String(items.length + 1));
      if (focused) made.get(focused)?.tr.focus({preventScroll: true});
    }
    if (names.length) wantCurves(names);
  }

  function gap(rows) {
    return rows > 0 ? h("tr.gap", {"aria-hidden": "true"}, h("td", {colspan: columns, style: {height: `${rows * ROW}px`}})) : null;
  }

  function groupRow({group}) {
    const state = h("span.mut");
    const toggle = h("button.plain.icon", {onclick: () => fold(group)});
    const names = () => [...store.rows.values()].filter((row) => groupOf(row) === group).map((row) => row.name);
    const title = h("td", clean(group), " ", state);
    const tr = h("tr.group", {tabindex: "-1", "data-key": `group ${group}`}, h("td.c-mark", toggle),
      title,
      h("td.c-act", h("div.acts",
        groupButton("▶", `Start all of ${group}`, () => act("start", names())), groupButton("■", `Stop all of ${group}`, () => act("stop", names())),
        groupButton("↻", `Restart all of ${group}`, () => act("restart", names())))));
    return {tr, update({total}) {
      title.colSpan = Math.max(1, columns > 5 ? columns - 2 : columns);
      text(state, `${total.running}/${total.all} running`);
      text(toggle, folded.has(group) ? "▸" : "▾");
      toggle.setAttribute("aria-expanded", String(!folded.has(group)));
      toggle.setAttribute("aria-label", `Show the processes of ${clean(group)}`);
    }};
  }

  function fold(group) {
    if (!folded.delete(group)) folded.add(group);
    relist();
  }

  // Rows are copies of one: to make each of its elements anew takes several times as long.
  const model = h("tr", {tabindex: "-1"}, h("td.c-mark", h("input", {type: "checkbox"})), h("td.c-name", h("a"), " ", h("span.tag")),
    h("td.c-state", h("span.state", h("span", {"aria-hidden": "true"}), h("span"))), h("td.num.c-pid"), h("td.num.c-up"), h("td.num.c-re"),
    h("td.num.c-cpu", h("div.meter", h("span"))), h("td.num.c-mem", h("div.meter", h("span"))), h("td.c-why.mut"),
    h("td.c-act", h("div.acts", button("■", "", "toggle"), button("↻", "Restart", "restart"),
      h("a.button.plain.icon", {title: "Log"}, "≡"), button("⋯", "More", "more"))));

  function processRow({name}) {
    const tr = model.cloneNode(true);
    const [marking, naming, stating, pid, up, re, cpu, mem, reason, acting] = tr.children;
    const mark = marking.firstChild;
    const [link, trigger] = naming.children;
    const state = stating.firstChild;
    const [glyph, word] = state.children;
    const [toggle, restart, log, others] = acting.firstChild.children;
    const shown = clean(name);
    const path = `#/program/${encodeURIComponent(name)}`;
    const cpuLine = line(cpu.firstChild, "cpu", 5);
    const memLine = line(mem.firstChild, "mem", 1);
    tr.dataset.key = name;
    text(link, shown);
    link.setAttribute("href", path);
    log.setAttribute("href", `${path}/log`);
    mark.setAttribute("aria-label", `Select ${shown}`);
    restart.setAttribute("aria-label", `Restart ${shown}`);
    log.setAttribute("aria-label", `Log of ${shown}`);
    others.setAttribute("aria-label", `More for ${shown}`);
    return {tr, update({row}) {
      const now = Date.now() / 1000;
      const {glyph: sign, colour, word: state_word} = look(row);
      text(glyph, sign);
      text(word, state_word);
      state.className = `state ${colour}`;
      text(pid, row.pid ? String(row.pid) : "–");
      text(up, row.pid && row.started ? duration(now - row.started) : "–");
      text(re, row.restarts ? number(row.restarts) : "–");
      const used = row.pid ? store.usage.get(row.name) : undefined;
      text(cpu.firstChild.lastChild, used ? percent(used[0]) : "–");
      text(mem.firstChild.lastChild, used ? size(used[1]) : "–");
      const curve = row.pid ? store.curves.get(row.name) : undefined;
      cpuLine(curve?.cpu);
      memLine(curve?.memory);
      const words = clean(why(row, now));
      if (reason.title !== words) reason.title = words;
      text(reason, words);
      text(trigger, row.trigger.split(" ", 1)[0]);
      trigger.hidden = !row.trigger;
      trigger.title = row.trigger;
      const verb = row.pid || row.state === "BACKOFF" ? "Stop" : "Start";
      if (toggle.title !== verb) {
        toggle.title = verb;
        text(toggle, verb === "Stop" ? "■" : "▶");
        toggle.setAttribute("aria-label", `${verb} ${shown}`);
      }
      mark.checked = selected.has(row.name);
      tr.classList.toggle("selected", mark.checked);
    }};
  }

  /** A small line before a figure, made when there is something to draw. */
  function line(place, kind, floor) {
    let drawn = null;
    return (values = []) => {
      if (!drawn && values.length < 2) return;
      if (!drawn) place.prepend((drawn = spark(kind)).element);
      drawn.draw(values, floor);
    };
  }

  function button(sign, title, action) {
    return h("button.plain.icon", {title, "data-do": action, disabled: !mayOperate()}, sign);
  }

  const DO = {
    toggle: (name, control) => act(control.title.toLowerCase(), [name]),
    restart: (name) => act("restart", [name]),
    more: (name) => more([name], store.rows.get(name)?.program),
  };
  body.addEventListener("click", ({target}) => {
    const control = target.closest("[data-do]");
    if (control && DO[control.dataset.do]) DO[control.dataset.do](control.closest("tr").dataset.key, control);
  });
  body.addEventListener("pointerover", ({target}) => {
    const cell = target.closest(".c-up"); // when that was, for who asks: dates take the browser long to write
    const row = cell && store.rows.get(cell.parentNode.dataset.key);
    if (row) cell.title = `${look(row).word} since ${clock(row.since)}${row.pid ? `, started ${clock(row.started)}` : ""}`;
  });
  body.addEventListener("change", ({target}) => {
    const {key} = target.closest("tr").dataset;
    if (target.type === "checkbox") select(key, target.checked);
  });

  function groupButton(sign, label, run) {
    return h("button.plain.icon", {"aria-label": clean(label), title: clean(label), disabled: !mayOperate(), onclick: run}, sign);
  }

  function select(name, on) {
    if (on) selected.add(name);
    else selected.delete(name);
    drawBulk();
    draw();
  }

  function drawBulk() {
    for (const name of [...selected]) if (!store.rows.has(name)) selected.delete(name);
    const names = [...selected];
    replace(bulk, names.length ? [h("b", count(names.length, "selected", "selected")),
      ...["start", "stop", "restart", "reload"].map((verb) => h("button", {disabled: !mayOperate(), onclick: () => act(verb, names)}, verb[0].toUpperCase() + verb.slice(1))),
      h("button.plain", {onclick: () => { selected.clear(); drawBulk(); draw(); }}, "Clear")] : []);
    bulk.hidden = !names.length;
  }

  // The keyboard: one row has the focus.
  function focusRow(step) {
    const current = document.activeElement?.closest?.("tr[data-key]")?.dataset.key;
    let index = items.findIndex((item) => (item.group !== undefined ? `group ${item.group}` : item.row.name) === current);
    index = Math.min(items.length - 1, Math.max(0, index < 0 ? 0 : index + step));
    const top = index * ROW;
    if (top < scroll.scrollTop) scroll.scrollTop = top;
    else if (top + 2 * ROW > scroll.scrollTop + scroll.clientHeight - ROW) scroll.scrollTop = top + 3 * ROW - scroll.clientHeight;
    draw();
    const item = items[index];
    if (item) made.get(item.group !== undefined ? `group ${item.group}` : item.row.name)?.tr.focus({preventScroll: true});
  }

  function current() {
    const key = document.activeElement?.closest?.("tr[data-key]")?.dataset.key;
    return key === undefined ? null : key.startsWith("group ") ? {group: key.slice(6)} : {name: key};
  }

  const withNames = (run) => () => {
    const names = selected.size ? [...selected] : current()?.name ? [current().name] : [];
    if (names.length) run(names);
  };
  const keys = {
    j: () => focusRow(1), ArrowDown: () => focusRow(1), k: () => focusRow(-1), ArrowUp: () => focusRow(-1),
    "/": () => filter.focus(), Enter: () => { const at = current(); if (at?.name) go(`/program/${encodeURIComponent(at.name)}`); else if (at) fold(at.group); },
    l: () => { const at = current(); if (at?.name) go(`/program/${encodeURIComponent(at.name)}/log`); },
    g: () => { const at = current(); if (at) fold(at.group ?? groupOf(store.rows.get(at.name))); },
    " ": () => { const at = current(); if (at?.name) select(at.name, !selected.has(at.name)); },
    a: () => { const at = current(); if (at?.name) go(`/program/${encodeURIComponent(at.name)}/log?attach=1`); },
    "+": withNames((names) => askScale(store.rows.get(names[0]).program)), "-": withNames((names) => askScale(store.rows.get(names[0]).program)),
    r: withNames((names) => act("restart", names)), R: withNames((names) => act("reload", names)),
    s: withNames((names) => act(names.some((name) => store.rows.get(name)?.pid) ? "stop" : "start", names)),
    x: withNames((names) => more(names, store.rows.get(names[0]).program)),
  };

  drawHead();
  relist();
  const timer = setInterval(draw, 1000);
  const ended = listen((what) => {
    if (what === "rows" || what === "programs" || (what === "usage" && /cpu|mem/.test(param("sort")))) relist();
    else if (what === "usage") draw();
  });
  return {keys, title: "Processes", close() { ended(); clearInterval(timer); resize.disconnect(); }};
}

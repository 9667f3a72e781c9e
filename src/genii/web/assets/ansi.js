// The colours of terminals (SGR of ECMA-48) as classes; every other control sequence is left out.

import {h} from "./dom.js";
import {number} from "./format.js";

const LONGEST = 4000;
// eslint-disable-next-line no-control-regex
const ESCAPES = /\u001b(?:\[([0-9;:]*)([@-~])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\^_]?)/g;
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Cut a line into [text, style] pieces. */
export function pieces(line) {
  const found = [];
  let style = {};
  let from = 0;
  const put = (text) => { if (text) found.push([text.replace(CONTROLS, "\u00b7"), style]); };
  for (const match of line.matchAll(ESCAPES)) {
    put(line.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[2] === "m") style = apply(style, (match[1] || "0").split(/[;:]/).map(Number));
  }
  put(line.slice(from));
  return found;
}

/** A line without any control sequence. */
export function plain(line) {
  return line.includes("\u001b") ? pieces(line).map(([text]) => text).join("") : line.replace(CONTROLS, "\u00b7");
}

function apply(before, codes) {
  let style = {...before};
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code === 0) style = {};
    else if ([1, 2, 3, 4, 9].includes(code)) style[`a${code}`] = true;
    else if (code === 22) style.a1 = style.a2 = false;
    else if ([23, 24, 29].includes(code)) style[`a${code - 20}`] = false;
    else if (code === 39 || code === 49) style[code === 39 ? "fg" : "bg"] = undefined;
    else if (code === 38 || code === 48) i += extended(style, code === 38 ? "fg" : "bg", codes.slice(i + 1));
    else if (code >= 30 && code <= 37) style.fg = `f${code - 30}`;
    else if (code >= 90 && code <= 97) style.fg = `f${code - 90}`;
    else if (code >= 40 && code <= 47) style.bg = `g${code - 40}`;
    else if (code >= 100 && code <= 107) style.bg = `g${code - 100}`;
  }
  return style;
}

/** 38;5;N and 38;2;R;G;B; returns how many numbers they took. */
function extended(style, key, rest) {
  if (rest[0] === 2) {
    style[key] = `rgb(${rest.slice(1, 4).map((value) => Math.min(255, value || 0)).join(",")})`;
    return 4;
  }
  if (rest[0] !== 5) return 0;
  const number = rest[1] || 0;
  if (number < 16) style[key] = `${key === "fg" ? "f" : "g"}${number % 8}`;
  else if (number > 231) style[key] = grey(8 + (number - 232) * 10);
  else style[key] = `rgb(${[36, 6, 1].map((base) => [0, 95, 135, 175, 215, 255][Math.floor((number - 16) / base) % 6]).join(",")})`;
  return 2;
}

function grey(level) {
  return `rgb(${level},${level},${level})`;
}

/** Make the nodes of a line; what is searched for is marked, also where its colour changes in the middle. */
export function render(line, search) {
  const cut = line.length > LONGEST;
  const found = pieces(cut ? line.slice(0, LONGEST) : line);
  const hits = search ? places(found.map(([text]) => text).join("").toLowerCase(), search) : [];
  let at = 0;
  const nodes = found.flatMap(([text, style]) => {
    const inner = marked(text, at, hits);
    at += text.length;
    return Object.keys(style).length ? [span(inner, style)] : inner;
  });
  if (cut) nodes.push(h("span.more", ` … ${number(line.length - LONGEST)} more characters (download has them)`));
  return nodes;
}

function places(text, search) {
  const found = [];
  for (let at = text.indexOf(search); at >= 0; at = text.indexOf(search, at + search.length)) found.push([at, at + search.length]);
  return found;
}

function span(inner, style) {
  const element = h("span", ...inner);
  for (const key of ["a1", "a2", "a3", "a4", "a9"]) if (style[key]) element.classList.add(key);
  for (const [key, property] of [["fg", "color"], ["bg", "backgroundColor"]]) {
    const value = style[key];
    if (value && value.startsWith("rgb")) element.style[property] = value;
    else if (value) element.classList.add(value);
  }
  return element;
}

/** Cut a text that begins at an offset of the line where hits begin and end. */
function marked(text, offset, hits) {
  const found = [];
  let from = 0;
  for (const [begin, end] of hits) {
    const first = Math.max(0, begin - offset);
    const last = Math.min(text.length, end - offset);
    if (first >= last) continue;
    found.push(text.slice(from, first), h("mark", text.slice(first, last)));
    from = last;
  }
  found.push(text.slice(from));
  return found;
}

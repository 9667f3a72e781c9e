// The few lines that stand in for a framework: elements, text, and a status region for screen readers.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: h("td.num", {title: "…", onclick: f}, "text", child, …). Text is always a text node. */
export function h(name, ...rest) {
  return fill(document.createElement(tag(name)), name, rest);
}

/** The same for SVG. */
export function s(name, ...rest) {
  return fill(document.createElementNS(SVG, tag(name)), name, rest);
}

function tag(name) {
  return name.split(".", 1)[0];
}

function fill(element, name, rest) {
  const classes = name.split(".").slice(1);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  if (rest.length && isAttributes(rest[0])) attributes(element, rest.shift());
  append(element, rest);
  return element;
}

function isAttributes(value) {
  return value !== null && typeof value === "object" && !(value instanceof Node) && !Array.isArray(value);
}

function attributes(element, values) {
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(element.style, value); // through the CSSOM: the policy allows no other way
    else if (key === "value") element.value = value;
    else if (key === "class") element.classList.add(...value.split(" ").filter(Boolean));
    else element.setAttribute(key, value === true ? "" : value);
  }
}

function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child);
  }
}

/** Put other children into an element. */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** Change a text only if it is another one: an untouched node costs no layout. */
export function text(element, value) {
  if (element.firstChild === null || element.childNodes.length > 1 || element.firstChild.data !== value) {
    element.textContent = value;
  }
}

/** Say something to whoever listens instead of looking. */
export function announce(message) {
  const region = document.getElementById("announcements");
  if (region) region.textContent = message;
}

/** Names, logs and reasons come from programs: nothing but printable characters reaches the page. */
export function clean(value) {
  // eslint-disable-next-line no-control-regex
  return String(value).replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

// The address holds what is shown, so that it can be kept and sent to others: #/page/part?key=value

export function here() {
  const [path, query] = location.hash.replace(/^#/, "").split("?", 2);
  return {parts: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query || "")};
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function go(path) {
  location.hash = path;
}

/** Read one value of the address, or put it there without a new entry in the history. */
export function param(key, value) {
  const {query} = here();
  if (value === undefined) return query.get(key) || "";
  if (value) query.set(key, value);
  else query.delete(key);
  const path = location.hash.replace(/^#/, "").split("?", 1)[0] || "/";
  const rest = query.toString();
  history.replaceState(null, "", `#${path}${rest ? `?${rest}` : ""}`);
  return value;
}

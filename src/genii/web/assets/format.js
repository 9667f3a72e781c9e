// Numbers and times as people read them.

const UNITS = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];

/** 273600 -> "3d 4h" */
export function duration(seconds) {
  let rest = Math.max(0, Math.floor(seconds));
  if (rest === 0) return "0s";
  const parts = [];
  for (const [name, size] of UNITS) {
    const count = Math.floor(rest / size);
    if (count || parts.length) parts.push([name, count]);
    rest -= count * size;
    if (parts.length === 2) break;
  }
  return parts.filter(([, count]) => count).map(([name, count]) => `${count}${name}`).join(" ");
}

/** 1536000 -> "1.5 MB" */
export function size(bytes) {
  if (!bytes) return "0 B";
  let value = bytes;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (value < 1000 || unit === "GiB") return `${value < 10 && unit !== "B" ? value.toFixed(1) : Math.round(value)} ${unit}`;
    value /= 1024;
  }
  return "";
}

/** 0.0123 -> "12.3 ms" */
export function seconds(value) {
  return value < 1 ? `${(1000 * value).toFixed(1)} ms` : `${value.toFixed(1)} s`;
}

export function percent(value) {
  return value < 0.05 ? "0 %" : `${value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

/** Seconds since the epoch as the time here; with the date when it is not today. */
export function clock(seconds) {
  if (!seconds) return "";
  const date = new Date(seconds * 1000);
  const time = date.toLocaleTimeString([], {hour12: false});
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString()} ${time}`;
}

/** 12345 -> "12,345"; the browser's own way loads its tables of languages first, 20 ms. */
export function number(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

export function count(value, one, many) {
  return `${number(value)} ${value === 1 ? one : many || `${one}s`}`;
}

const SIGNALS = {1: "HUP", 2: "INT", 3: "QUIT", 6: "ABRT", 9: "KILL", 10: "USR1", 11: "SEGV", 12: "USR2", 13: "PIPE", 14: "ALRM", 15: "TERM"};

/** How a process ended: "exit 1", "SIGKILL". */
export function ending(status) {
  if (status === null || status === undefined) return "";
  return status < 0 ? `SIG${SIGNALS[-status] || -status}` : `exit ${status}`;
}

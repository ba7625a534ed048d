// Numbers as people read them.

const STEPS = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
const BINARY = [[2 ** 50, "PiB"], [2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];
const TIMES = [[86400 * 365, "y"], [86400, "d"], [3600, "h"], [60, "min"]];

/** A value in its unit, with three digits that count. */
export function format(value, unit) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  switch (unit) {
    case "ratio": return `${Math.abs(value) < 1e-4 ? 0 : digits(value * 100)} %`;
    case "bytes": return bytes(value);
    case "bytes/s": return `${bytes(value)}/s`;
    case "seconds": return seconds(value);
    case "ms": return seconds(value / 1000);
    case "ops": return `${short(value)}/s`;
    case "rows/s": return `${short(value)} rows/s`;
    case "time": return ago(Date.now() / 1000 - value);
    case "up": return value > 0 ? "up" : "down";
    case "yes": return value > 0 ? "yes" : "no";
    default: return short(value);
  }
}

/** A duration in seconds, in the one or two units that say enough. */
export function seconds(value) {
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 1e-3) return `${digits(value * 1e6)} µs`;
  if (size < 1) return `${digits(value * 1e3)} ms`;
  if (size < 60) return `${digits(value)} s`;
  const at = TIMES.findIndex(([many]) => size >= many);
  const [many, name] = TIMES[at];
  const whole = Math.floor(size / many);
  const [next, small] = TIMES[at + 1] ?? [1, "s"];
  const rest = Math.floor((size - whole * many) / next);
  return `${value < 0 ? "-" : ""}${whole} ${name}${rest && whole < 10 ? ` ${rest} ${small}` : ""}`;
}

/** How long ago something was. */
export function ago(value) {
  if (value < 0) return `in ${seconds(-value)}`;
  return value < 1 ? "just now" : `${seconds(Math.max(1, Math.round(value)))} ago`;
}

/** A moment, in the reader's own time. */
export function moment(value) {
  return new Date(value * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

function bytes(value) {
  const [many, name] = BINARY.find(([many]) => Math.abs(value) >= many) ?? [1, "B"];
  return `${digits(value / many)} ${name}`;
}

function short(value) {
  const [many, name] = STEPS.find(([many]) => Math.abs(value) >= many * 10) ?? [1, ""];
  return many === 1 && Math.abs(value) >= 1000 ? String(Math.round(value)) : digits(value / many) + name;
}

function digits(value) {
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return value.toExponential(1);
  const places = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return String(Number(value.toFixed(places)));
}

// The only place that talks to Prometheus, which stands behind the same web server.

const ROOT = "/prometheus/api/v1/";
/** A query that takes longer is given up: somebody is waiting in front of it. */
const PATIENCE = 20000;

/** What Prometheus or the way to it complained of. */
export class Trouble extends Error {}

/** The vector of an expression now: a list of {labels, value}. */
export async function now(expr) {
  const data = await ask("query", { query: expr });
  const rows = data.resultType === "scalar" ? [{ metric: {}, value: data.result }] : data.result;
  return rows.map((row) => ({ labels: row.metric, value: Number(row.value[1]) }));
}

/** An expression over time: a list of {labels, points}, points being [seconds, value]. */
export async function over(expr, start, end, step) {
  const data = await ask("query_range", { query: expr, start, end, step });
  return data.result.map((row) => ({
    labels: row.metric,
    points: row.values.map(([time, value]) => [time, Number(value)]),
  }));
}

/** The values of a label among the series that a selector matches, sorted as people count. */
export async function values(selector, label) {
  const found = await ask(`label/${encodeURIComponent(label)}/values`, { "match[]": selector });
  return found.filter((value) => value !== "").sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}

/** Alerts that fire: {labels, annotations, since}, the worst and newest first. */
export async function alerts() {
  const data = await ask("alerts", {});
  return data.alerts
    .filter((alert) => alert.state === "firing")
    .map((alert) => ({ labels: alert.labels, annotations: alert.annotations, since: Date.parse(alert.activeAt) / 1000 }))
    .sort((a, b) => Number(a.labels.level ?? 9) - Number(b.labels.level ?? 9) || b.since - a.since);
}

/** A file of the portal. */
export async function file(path) {
  const answer = await reach(`/portal/${path}`);
  if (answer.status === 404) throw new Trouble(`There is no ${path}.`);
  if (!answer.ok) throw new Trouble(`The portal answers ${answer.status} to ${path}.`);
  return answer.json();
}

async function ask(path, parameters) {
  const body = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) body.append(name, value);
  // Label values are asked by GET only; expressions may be longer than an address.
  const label = path.startsWith("label/") || path === "alerts";
  const answer = label ? await reach(`${ROOT}${path}?${body}`) : await reach(ROOT + path, { method: "POST", body });
  let said;
  try {
    said = await answer.json();
  } catch {
    throw new Trouble(answer.status === 401 ? "Who are you? The portal asks for a password." : `Prometheus doesn't answer (${answer.status}).`);
  }
  if (said.status !== "success") throw new Trouble(said.error);
  return said.data;
}

async function reach(address, options = {}) {
  try {
    return await fetch(address, { ...options, signal: AbortSignal.timeout(PATIENCE) });
  } catch (error) {
    const slow = error.name === "TimeoutError";
    throw new Trouble(slow ? `No answer within ${PATIENCE / 1000} s.` : "The portal can't be reached.");
  }
}

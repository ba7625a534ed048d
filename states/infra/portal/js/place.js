// Where one is: the page's address holds what was chosen, so that it can be sent to somebody.

export const RANGES = [["15m", 900], ["1h", 3600], ["6h", 21600], ["24h", 86400], ["7d", 604800], ["30d", 2592000]];
export const REFRESHES = [["off", 0], ["10s", 10], ["30s", 30], ["1m", 60], ["5m", 300]];
/** Points of a line: about one for every three pixels of a wide panel. */
const POINTS = 240;
/** Seconds between two looks of Prometheus, below which there is nothing to see. */
export const FINEST = 10;
const FIXED = new Set(["d", "range", "from", "to", "refresh"]);
const FIRST = { range: "1h", refresh: "30s" };

/** What the address says. */
export function here() {
  const said = new URLSearchParams(location.search);
  const chosen = {};
  for (const [name, value] of said) if (!FIXED.has(name)) chosen[name] = value;
  const from = Number(said.get("from"));
  const to = Number(said.get("to"));
  return {
    page: said.get("d") ?? "overview",
    range: pick(RANGES, said.get("range"), FIRST.range),
    refresh: pick(REFRESHES, said.get("refresh"), FIRST.refresh),
    window: from > 0 && to > from ? [from, to] : null,
    chosen,
  };
}

/** Change the address without leaving the page. */
export function move(place) {
  history.replaceState(null, "", `${location.pathname}?${query(place)}`);
  dispatchEvent(new CustomEvent("pigsty-move"));
}

/** The address of another page; time and refresh go along. */
export function address(page, chosen, place) {
  return `/portal/dashboard.html?${query({ ...place, page, chosen })}`;
}

/** The span of time that is looked at, in seconds. */
export function span(place) {
  if (place.window) return place.window;
  const end = Math.floor(Date.now() / 1000);
  return [end - RANGES.find(([name]) => name === place.range)[1], end];
}

/** How many seconds lie between two points of a line. */
export function finest(start, end) {
  return Math.max(FINEST, Math.ceil((end - start) / POINTS));
}

/** Where a link leads for a row's labels: what it carries comes from them, else from the page's own choice. */
export function follow(link, labels, place) {
  const chosen = {};
  for (const [name, source] of Object.entries(link.carry)) {
    const value = labels[source] ?? place.chosen[source];
    if (value !== undefined && value !== null) chosen[name] = value;
  }
  return address(link.to, chosen, place);
}

function query(place) {
  const said = new URLSearchParams({ d: place.page });
  for (const [name, value] of Object.entries(place.chosen)) if (value !== null) said.set(name, value);
  if (place.window) {
    said.set("from", place.window[0]);
    said.set("to", place.window[1]);
  } else if (place.range !== FIRST.range) said.set("range", place.range);
  if (place.refresh !== FIRST.refresh) said.set("refresh", place.refresh);
  return said;
}

function pick(choices, wanted, otherwise) {
  return choices.some(([name]) => name === wanted) ? wanted : otherwise;
}

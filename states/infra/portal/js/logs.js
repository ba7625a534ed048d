// The page that searches logs. What is looked for stands in the address, so that dashboards can link to it:
// cls, ins, ip, unit, level, text, since, until (how long ago or when), limit, follow.

import { Trouble } from "./api.js";
import { el, fill } from "./dom.js";
import { broken, shell } from "./shell.js";

const ROOT = "/logs/api/";
const PATIENCE = 30000;
const AGAIN = 2000;
const SPANS = [["10m", "10 minutes"], ["1h", "1 hour"], ["6h", "6 hours"], ["1d", "1 day"], ["7d", "7 days"], ["15d", "15 days"]];
const LEVELS = [["", "all"], ["notice", "notice or worse"], ["warning", "warning or worse"], ["err", "error or worse"], ["crit", "critical"]];
const LIMITS = ["100", "200", "500", "2000"];
const UNITS = ["postgres", "patroni", "pgbouncer", "pgbackrest", "haproxy", "etcd", "nginx", "vip-manager", "salt-master", "salt-minion", "kernel"];
const COLOURS = { emerg: "bad", alert: "bad", crit: "bad", err: "bad", warning: "warn" };
const FIRST = { since: "1h", limit: "200" };
const NAMES = ["cls", "ins", "ip", "unit", "level", "text", "grep", "since", "until", "limit", "follow"];

const said = new URLSearchParams(location.search);
const place = { ...FIRST };
for (const name of NAMES) if (said.get(name)) place[name] = said.get(name);
const parts = {};
let timer = 0;
let turn = 0;

async function ask(path) {
  let answer;
  try {
    answer = await fetch(ROOT + path, { signal: AbortSignal.timeout(PATIENCE) });
  } catch (error) {
    throw new Trouble(error.name === "TimeoutError" ? `No answer within ${PATIENCE / 1000} s.` : "The portal can't be reached.");
  }
  if (answer.status === 401) throw new Trouble("Who are you? The portal asks for a password.");
  let found;
  try {
    found = await answer.json();
  } catch {
    throw new Trouble(`The search in the logs doesn't answer (${answer.status}).`);
  }
  if (!answer.ok) throw new Trouble(found.error);
  return found;
}

async function search() {
  clearTimeout(timer);
  turn += 1;
  const mine = turn;
  const words = new URLSearchParams();
  for (const name of NAMES) if (place[name] && name !== "follow") words.set(name, place[name]);
  const shown = new URLSearchParams(Object.entries(place).filter(([name, value]) => value && value !== FIRST[name]));
  history.replaceState(null, "", shown.size ? `?${shown}` : location.pathname);
  document.documentElement.dataset.state = "loading";
  try {
    const found = await ask(`search?${words}`);
    if (mine !== turn) return;
    draw(found);
    document.documentElement.dataset.state = "ready";
  } catch (error) {
    if (mine !== turn) return;
    fill(parts.note, error.message);
    parts.note.className = "bad";
    document.documentElement.dataset.state = "broken";
  }
  if (place.follow) timer = setTimeout(search, AGAIN);
}

function draw({ entries, problems }) {
  const count = entries.length;
  const full = count >= Number(place.limit) ? `the newest ${count} entries; narrow it down for others` : `${count} ${count === 1 ? "entry" : "entries"}`;
  parts.note.className = problems.length ? "warn" : "dim";
  fill(parts.note, count || problems.length ? [full, ...problems].join(" · ") : "Nothing was found.");
  // The newest stands first: that is what one looks for.
  fill(parts.rows, [...entries].reverse().map(row));
}

function row(entry) {
  const narrow = (name, value) => el("button", { type: "button", title: `Only ${value}`, onclick: () => choose({ [name]: value }) }, value);
  const [day, time] = entry.time.split(" ");
  return el("tr", { class: COLOURS[entry.level] ?? "", data: { ins: entry.ins, unit: entry.unit } },
    el("td", {}, el("time", { dateTime: `${day}T${time}Z`, title: `${day} ${time} UTC` }, new Date(entry.stamp / 1000).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" }))),
    el("td", {}, narrow("ins", entry.ins)), el("td", {}, narrow("unit", entry.unit)), el("td", {}, entry.level),
    el("td", { class: "said" }, entry.text));
}

/** Take a choice over; a finer one replaces those that it lies within. */
function choose(changes) {
  Object.assign(place, changes);
  for (const [name, control] of Object.entries(parts.controls)) if (control.type === "checkbox") control.checked = Boolean(place[name]); else control.value = place[name] ?? "";
  search();
}

function pick(name, title, choices) {
  const known = choices.some(([value]) => value === (place[name] ?? ""));
  const all = known ? choices : [...choices, [place[name], place[name]]];
  const control = el("select", { name, onchange: () => choose({ [name]: control.value }) },
    all.map(([value, text]) => el("option", { value, selected: value === (place[name] ?? "") }, text)));
  parts.controls[name] = control;
  return el("label", {}, title, control);
}

function write(name, title, hint, options) {
  const suggestions = options ? el("datalist", { id: `some-${name}` }, options.map((value) => el("option", { value }))) : null;
  const control = el("input", { name, type: "search", placeholder: hint, value: place[name] ?? "", autocomplete: "off", onchange: () => choose({ [name]: control.value.trim() }) });
  if (suggestions) control.setAttribute("list", suggestions.id);
  parts.controls[name] = control;
  return el("label", {}, title, control, suggestions);
}

function form(hosts) {
  const names = (key) => [...new Set(hosts.flatMap((host) => host.names.map((name) => name[key])))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const any = (values) => [["", "all"], ...values.map((value) => [value, value])];
  const follow = el("input", { type: "checkbox", name: "follow", checked: Boolean(place.follow), onchange: () => choose({ follow: follow.checked ? "1" : "" }) });
  parts.controls.follow = follow;
  return el("form", { class: "choices", onsubmit: (event) => { event.preventDefault(); choose({ text: parts.controls.text.value.trim() }); } },
    pick("cls", "Cluster", any(names("cls"))), pick("ins", "Instance", any(names("ins"))), pick("ip", "Address", any(hosts.map((host) => host.ip))),
    write("unit", "Program", "all", UNITS), pick("level", "Level", LEVELS), write("text", "Text", "what it says"),
    pick("since", "Last", SPANS), pick("limit", "At most", LIMITS.map((value) => [value, value])),
    el("label", {}, "Follow", follow), el("button", { type: "submit" }, "Search"));
}

try {
  await shell("logs");
  const hosts = await ask("hosts");
  parts.controls = {};
  parts.note = el("p", { class: "dim", role: "status" });
  parts.rows = el("tbody");
  const head = ["Time", "Instance", "Program", "Level", "Text"];
  fill(document.querySelector("main"), el("h1", {}, "Logs"), form(hosts), parts.note,
    el("section", {}, el("div", { class: "scroll", tabIndex: 0 }, el("table", { class: "logs" },
      el("thead", {}, el("tr", {}, head.map((title) => el("th", { scope: "col" }, title)))), parts.rows))));
  await search();
} catch (error) {
  broken(error);
}

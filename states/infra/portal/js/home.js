// The home page: a few queries, all at once, and what they say on one page.

import { alerts, now } from "./api.js";
import { el, fill } from "./dom.js";
import { list } from "./panels.js";
import { address, here } from "./place.js";
import { broken, shell } from "./shell.js";
import { ago, format } from "./units.js";

const AGAIN = 15000;
const PROGRAMS = { "/prometheus/": ["Prometheus", "Metrics, rules, targets"], "/alertmgr/": ["Alertmanager", "Silences and receivers"], "/blackbox/": ["Prober", "Pings and probes"] };
const DAY = 86400;
/** Alerts beside everything else; all of them have a page. */
const SHOWN = 5;
const place = { ...here(), chosen: {} };
const to = (page, chosen = {}) => address(page, chosen, place);

const STATE = '{__name__=~"pg:cls:(up|count|lag_bytes|backup_age|pressure|size|xact_rate1m)|pg:ins:(up|is_primary|lag_bytes)|node:ins:(cpu_usage_1m|mem_usage|uptime)|node:fs:space_usage"} or up{component=~"node|postgres"}';
const VERSIONS = 'count by (__name__, version, server_version, pretty_name) ({__name__=~"pgbouncer_version_info|etcd_server_version|haproxy_process_build_info|prometheus_build_info|alertmanager_build_info|node_os_info"}) or count_values("version", pg_setting_server_version_num) or count_values("version", patroni_version)';
const ENDS = "min by (ins) (pigsty_certificate_end)";

/** Ask everything at once; a browser has six connections to a server, and the menu needs two. */
async function ask() {
  const [state, programs, ends, fired] = await Promise.all([now(STATE), now(VERSIONS), now(ENDS), alerts()]);
  const of = (begin) => state.filter(({ labels }) => labels.__name__.startsWith(begin));
  return { clusters: of("pg:cls:"), members: of("pg:ins:"), nodes: of("node:"), up: of("up"), programs, ends, fired };
}

/** Vectors by a label, then by the metric's last part. */
function by(rows, label) {
  const found = new Map();
  for (const { labels, value } of rows) {
    const key = labels[label];
    if (key === undefined) continue;
    if (!found.has(key)) found.set(key, { labels });
    const name = (labels.__name__ ?? "value").split(":").pop();
    // Of several file systems, the fullest.
    found.get(key)[name] = name === "space_usage" ? Math.max(value, found.get(key)[name] ?? 0) : value;
  }
  return found;
}

function sorted(map) {
  return [...map].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
}

function tile(title, value, state, target) {
  return el("a", { class: `tile ${state}`, href: target }, el("b", {}, value), el("span", {}, title));
}

function fact(name, value, state = "") {
  return el("div", {}, el("dt", {}, name), el("dd", { class: state }, value));
}

function cluster(name, cls, members, fired) {
  const own = fired.filter(({ labels }) => labels.cls === name && labels.category === "pgsql");
  const leader = members.find(([, member]) => member.is_primary === 1);
  const down = members.filter(([, member]) => member.up !== 1);
  const state = !leader || own.some(({ labels }) => labels.severity === "CRIT") ? "bad" : down.length || own.length ? "warn" : "good";
  const backup = cls.backup_age;
  const chosen = { cls: name };
  return el("article", { class: `card ${state}`, data: { cluster: name } },
    el("h3", {}, el("a", { href: to("pgsql-cluster", chosen) }, name), el("span", { class: `dot ${state}`, title: { good: "well", warn: "look at it", bad: "not well" }[state] })),
    el("dl", {},
      fact("Leader", leader ? el("a", { href: to("pgsql-instance", { cls: name, ins: leader[0] }) }, leader[0]) : "none", leader ? "" : "bad"),
      fact("Lag", format(cls.lag_bytes ?? (members.length > 1 ? undefined : 0), "bytes"), cls.lag_bytes > 2 ** 26 ? "bad" : cls.lag_bytes > 2 ** 20 ? "warn" : ""),
      fact("Last backup", backup === undefined ? "none" : ago(backup), backup === undefined || backup > 2 * DAY ? "bad" : backup > 1.05 * DAY ? "warn" : ""),
      fact("Work", format(cls.xact_rate1m, "ops")),
      fact("Size", format(cls.size, "bytes")),
      fact("Alerts", own.length ? el("a", { href: to("alerts") }, String(own.length)) : "none", own.length ? state : "")),
    el("ul", { class: "members" }, members.map(([ins, member]) => el("li", { class: member.up === 1 ? "" : "down" },
      el("a", { href: to("pgsql-instance", { cls: name, ins }) }, ins),
      el("span", {}, member.up !== 1 ? "down" : member.is_primary === 1 ? "leader" : `replica, ${format(member.lag_bytes, "bytes")} behind`)))),
    el("p", { class: "links" },
      [["pgsql-replication", "Replication"], ["pgsql-service", "Services"], ["pgsql-patroni", "Patroni"], ["pgsql-backup", "Backup"]].map(([page, title]) => el("a", { href: to(page, chosen) }, title))));
}

function machines(rows, found) {
  const head = ["Node", "Address", "", "Processors", "Memory", "Disk", "Running for"];
  const cell = (value, unit, warn = 0.7, bad = 0.9) => el("td", { class: `value ${unit === "ratio" && value >= warn ? (value >= bad ? "bad" : "warn") : ""}` }, format(value, unit));
  return el("div", { class: "scroll", tabIndex: 0 }, el("table", {},
    el("thead", {}, el("tr", {}, head.map((title, at) => el("th", { scope: "col", class: at > 2 ? "value" : "" }, title)))),
    el("tbody", {}, rows.map(([ins, target]) => {
      const node = found.get(ins) ?? {};
      return el("tr", { data: { node: ins } },
        el("th", { scope: "row" }, el("a", { href: to("node-instance", { ins }) }, ins)),
        el("td", {}, target.labels.ip), el("td", { class: target.value ? "good" : "bad" }, target.value ? "up" : "down"),
        cell(node.cpu_usage_1m, "ratio"), cell(node.mem_usage, "ratio"), cell(node.space_usage, "ratio"), cell(node.uptime, "seconds"));
    }))));
}

const NAMES = { pgbouncer_version_info: "PgBouncer", etcd_server_version: "etcd", haproxy_process_build_info: "HAProxy", prometheus_build_info: "Prometheus", alertmanager_build_info: "Alertmanager", node_os_info: "System" };

function versions(programs) {
  const found = programs.map(({ labels, value }) => {
    if (labels.__name__) return [NAMES[labels.__name__], (labels.pretty_name ?? labels.server_version ?? labels.version ?? "").replace(/^PgBouncer /, ""), value];
    const number = Number(labels.version);
    // PostgreSQL counts 170005 for 17.5, Patroni 40005 for 4.0.5.
    const [major, rest] = [Math.floor(number / 10000), number % 10000];
    return number >= 90000 ? ["PostgreSQL", `${major}.${rest}`, value] : ["Patroni", `${major}.${Math.floor(rest / 100)}.${rest % 100}`, value];
  });
  found.sort(([a, x], [b, y]) => a.localeCompare(b) || x.localeCompare(y, "en", { numeric: true }));
  return el("dl", { class: "list" }, found.map(([name, version, count]) => el("div", {}, el("dt", {}, name), el("dd", {}, version, el("small", {}, ` × ${count}`)))));
}

function ways(site) {
  const row = (target, title, meaning) => el("li", {}, el("a", { href: target }, title), meaning ? el("span", {}, meaning) : null);
  return el("ul", { class: "ways" },
    row(to("overview"), "Dashboards", "From the deployment down to a table"),
    site.logs ? row("/portal/logs.html", "Logs", "Search what programs wrote") : null,
    site.grafana ? row(site.grafana, "Grafana", "The same dashboards, and your own") : null,
    site.programs.map(({ path }) => row(path, ...(PROGRAMS[path] ?? [path, ""]))),
    site.repository ? row(site.repository, "Packages", "The deployment's own repository") : null,
    site.sites.map(({ address: target }) => row(target, target, "")),
    site.machines.length ? el("li", {}, el("details", {}, el("summary", {}, "HAProxy's pages"), el("ul", {}, site.machines.map((name) => row(`/haproxy/${encodeURIComponent(name)}/`, name, ""))))) : null);
}

function certificates(ends) {
  const soonest = [...ends].sort((a, b) => a.value - b.value)[0];
  return [
    el("p", {}, el("a", { href: "/ca.crt", download: "pigsty-ca.crt", class: "button" }, "CA certificate")),
    el("p", { class: "dim" }, "Whoever trusts it trusts this portal, and every database by sslmode=verify-full sslrootcert=pigsty-ca.crt."),
    soonest ? el("p", { class: soonest.value * 1000 < Date.now() + 14 * DAY * 1000 ? "warn" : "dim" }, `The first of the machines' certificates ends ${ago(Date.now() / 1000 - soonest.value)}, on ${soonest.labels.ins}.`) : null,
  ];
}

function draw(site, said) {
  const { fired } = said;
  const clusters = by(said.clusters, "cls");
  const members = by(said.members, "ins");
  const targets = said.up.filter(({ labels }) => labels.component === "node").map((row) => [row.labels.ins, row]);
  const servers = said.up.filter(({ labels }) => labels.component === "postgres");
  for (const { labels } of servers) if (!members.has(labels.ins)) members.set(labels.ins, { labels });
  const of = (name) => sorted(members).filter(([, member]) => member.labels.cls === name);
  const nodes = targets.sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  const up = nodes.filter(([, row]) => row.value === 1).length;
  const running = [...members.values()].filter((member) => member.up === 1).length;
  const without = [...clusters.keys()].filter((name) => !of(name).some(([, member]) => member.is_primary === 1)).length;
  const worst = fired.some(({ labels }) => labels.severity === "CRIT") ? "bad" : fired.length ? "warn" : "good";
  const section = (title, ...children) => el("section", {}, el("h2", {}, title), children);
  fill(document.querySelector("main"),
    el("div", { class: "tiles" },
      tile(fired.length === 1 ? "alert" : "alerts", String(fired.length), worst, to("alerts")),
      tile("nodes up", `${up} of ${nodes.length}`, up === nodes.length ? "good" : "bad", to("node-overview")),
      tile("servers up", `${running} of ${members.size}`, running === members.size ? "good" : "bad", to("pgsql-overview")),
      tile(without === 1 ? "cluster without leader" : "clusters without leader", String(without), without ? "bad" : "good", to("pgsql-overview"))),
    section("Clusters", clusters.size
      ? el("div", { class: "cards" }, sorted(clusters).map(([name, cls]) => cluster(name, cls, of(name), fired)))
      : el("p", { class: "note" }, "Prometheus knows no PostgreSQL cluster yet.")),
    fired.length ? section("Alerts", list(fired.slice(0, SHOWN), place), fired.length > SHOWN ? el("p", {}, el("a", { href: to("alerts") }, `All ${fired.length}`)) : null) : null,
    section("Nodes", nodes.length ? machines(nodes, by(said.nodes, "ins")) : el("p", { class: "note" }, "Prometheus knows no node yet.")),
    el("div", { class: "columns" },
      section("Go to", ways(site)),
      section("Versions", versions(said.programs)),
      section("Certificates", certificates(said.ends))));
}

const root = document.documentElement;
try {
  const [site, said] = await Promise.all([shell("home"), ask()]);
  draw(site, said);
  // How long that took since the page was asked for, in ms.
  root.dataset.drawn = String(Math.round(performance.now()));
  root.dataset.state = "ready";
  setInterval(() => { if (!document.hidden) ask().then((fresh) => draw(site, fresh)).catch(broken); }, AGAIN);
} catch (error) {
  broken(error);
}

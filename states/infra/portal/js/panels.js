// Panels of now: numbers, bars, tables, alerts. Each has load(), which says whether there was anything.

import { alerts as firing, now } from "./api.js";
import { el, fill } from "./dom.js";
import { follow } from "./place.js";
import { filled, named } from "./promql.js";
import { ago, format, moment } from "./units.js";

/** The class of a value: "", "warn" or "bad". Low values are the bad ones where `bad` is below `warn`. */
export function level(value, limits) {
  if (!limits || !Number.isFinite(value)) return "";
  const { warn, bad } = limits;
  if (bad < warn) return value <= bad ? "bad" : value < warn ? "warn" : "good";
  return value >= bad ? "bad" : value >= warn ? "warn" : "good";
}

class Panel {
  constructor(panel, body, page) {
    this.panel = panel;
    this.body = body;
    this.page = page;
  }

  async ask(query) {
    return now(filled(query.expr, this.page.place.chosen));
  }

  linked(link, labels, text) {
    return link ? el("a", { href: follow(link, labels, this.page.place), title: link.title }, text) : text;
  }

  draw() {}

  close() {}
}

/** One number, or a name. */
export class Stat extends Panel {
  async load() {
    const { panel } = this;
    const [query] = panel.queries;
    const rows = (await this.ask(query)).filter((row) => !Number.isNaN(row.value));
    if (!rows.length) return false;
    const texts = rows.slice(0, 3).map((row) => query.legend ? named(query.legend, row.labels) : format(row.value, panel.unit));
    const text = texts.join(", ");
    fill(this.body, el("p", { class: `number ${query.legend ? "" : level(rows[0].value, panel.limits)} ${text.length > 12 ? "long" : ""}` },
      this.linked(panel.link, rows[0].labels, text)));
    return true;
  }
}

/** The greatest values, longest first. */
export class Bars extends Panel {
  async load() {
    const { panel } = this;
    const [query] = panel.queries;
    const rows = (await this.ask(query)).filter((row) => Number.isFinite(row.value)).sort((a, b) => b.value - a.value);
    const shown = panel.top ? rows.slice(0, panel.top) : rows;
    if (!shown.length) return false;
    const whole = panel.unit === "ratio" ? 1 : Math.max(...shown.map((row) => row.value)) || 1;
    fill(this.body, el("ol", { class: "bars" }, shown.map((row) => {
      const bar = el("i", { class: level(row.value, panel.limits) });
      bar.style.width = `${Math.max(0.5, Math.min(100, (row.value / whole) * 100))}%`;
      const name = named(query.legend, row.labels);
      return el("li", {}, el("span", { title: name }, this.linked(panel.link, row.labels, name)), el("b", {}, format(row.value, panel.unit)), bar);
    })));
    return true;
  }
}

/** Rows told apart by labels. */
export class Table extends Panel {
  async load() {
    const { panel } = this;
    const answers = await Promise.all(panel.queries.map((query) => this.ask(query)));
    const rows = new Map();
    answers.forEach((found, index) => {
      const { label } = panel.columns[index];
      for (const { labels, value } of found) {
        const keys = panel.keys.map((key) => labels[key.label] ?? "");
        const id = JSON.stringify(keys);
        if (!rows.has(id)) rows.set(id, { keys, labels, cells: [] });
        const row = rows.get(id);
        row.labels = { ...row.labels, ...labels };
        row.cells[index] = label ? labels[label] : value;
      }
    });
    this.rows = [...rows.values()];
    if (panel.top && !this.order) this.order = { at: panel.keys.length, down: true };
    this.draw();
    return this.rows.length > 0;
  }

  draw() {
    if (!this.rows?.length) return;
    const { panel } = this;
    const { at, down } = this.order ?? { at: 0, down: false };
    const cell = (row, place) => (place < panel.keys.length ? row.keys[place] : row.cells[place - panel.keys.length]);
    const sorted = [...this.rows].sort((a, b) => (down ? -1 : 1) * compare(cell(a, at), cell(b, at)) || compare(a.keys.join(" "), b.keys.join(" ")));
    const heads = [...panel.keys, ...panel.columns].map((column, place) =>
      el("th", { scope: "col", "aria-sort": place === at && this.order ? (down ? "descending" : "ascending") : null, class: place < panel.keys.length || column.label ? "" : "value" },
        el("button", { type: "button", onclick: () => this.sort(place) }, column.title)));
    const shown = panel.top ? sorted.slice(0, panel.top) : sorted;
    const body = shown.map((row) => el("tr", {},
      panel.keys.map((key, place) => el("th", { scope: "row" }, this.linked(key.link, row.labels, row.keys[place]))),
      panel.columns.map((column, place) => {
        const value = row.cells[place];
        if (column.label) return el("td", {}, value === undefined ? "–" : this.linked(column.link, row.labels, value));
        const text = format(value, column.unit);
        return el("td", { class: `value ${level(value, column.limits)}`, title: column.unit === "time" && value ? moment(value) : null },
          value === undefined ? "–" : this.linked(column.link, row.labels, text));
      })));
    const where = this.body.querySelector(".scroll")?.scrollLeft ?? 0;
    fill(this.body, el("div", { class: "scroll", tabIndex: 0 }, el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, body))));
    this.body.firstChild.scrollLeft = where;
  }

  sort(at) {
    this.order = { at, down: this.order?.at === at ? !this.order.down : at >= this.panel.keys.length };
    this.draw();
  }
}

/** What fires, with what it means and what to do. */
export class Alerts extends Panel {
  async load() {
    const id = (labels) => JSON.stringify(Object.entries(labels).filter(([name]) => name !== "alertstate" && name !== "__name__").sort());
    const [wanted, all] = await Promise.all([this.ask(this.panel.queries[0]), firing()]);
    const chosen = new Set(wanted.map((row) => id(row.labels)));
    const found = all.filter((alert) => chosen.has(id(alert.labels)));
    if (!found.length) return false;
    fill(this.body, el("div", { class: "scroll" }, list(found, this.page.place)));
    return true;
  }
}

/** Alerts as a list. */
export function list(found, place) {
  return el("ul", { class: "alerts" }, found.map(({ labels, annotations, since }) => {
    const link = target(labels);
    const said = annotations.summary ?? labels.alertname;
    return el("li", { class: (labels.severity ?? "").toLowerCase() },
      el("p", {}, el("b", { class: "chip" }, labels.severity ?? "?"),
        link ? el("a", { href: follow(link, labels, place) }, said) : said,
        el("time", { title: moment(since) }, ago(Date.now() / 1000 - since))),
      annotations.meaning ? el("p", { class: "dim" }, annotations.meaning) : null,
      annotations.command ? el("code", {}, annotations.command) : null);
  }));
}

/** Which page tells more about an alert. */
function target({ category, cls, ins }) {
  const carry = { cls: "cls", ins: "ins" };
  if (category === "pgsql" && ins) return { to: "pgsql-instance", carry };
  if (category === "pgsql" && cls) return { to: "pgsql-cluster", carry: { cls: "cls" } };
  if (category === "node" && ins) return { to: "node-instance", carry: { ins: "ins" } };
  if (category === "etcd") return { to: "etcd", carry: { cls: "cls" } };
  if (category === "infra") return { to: "infra", carry: {} };
  return category === "deployment" ? { to: "salt", carry: {} } : null;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (a === undefined || b === undefined) return (a === undefined) - (b === undefined) || 0;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

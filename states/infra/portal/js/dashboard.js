// A page of panels: reads its definition, lets one choose, and keeps every panel fresh.

import { Trouble, file, values } from "./api.js";
import { Chart } from "./chart.js";
import { el, fill } from "./dom.js";
import { happened } from "./marks.js";
import { Alerts, Bars, Stat, Table } from "./panels.js";
import { RANGES, REFRESHES, follow, here, move } from "./place.js";
import { filled } from "./promql.js";
import { broken, shell } from "./shell.js";
import { why } from "./why.js";

const KINDS = { timeseries: Chart, stat: Stat, bars: Bars, table: Table, alerts: Alerts };
const ALL = "all";

class Page {
  constructor(definition, site) {
    this.definition = definition;
    this.site = site;
    this.place = here();
    this.panels = [];
    this.round = 0;
  }

  async open() {
    const { definition } = this;
    document.title = `${definition.title} · Pigsty`;
    const main = document.querySelector("main");
    this.choices = el("form", { class: "choices", onsubmit: (event) => event.preventDefault() });
    this.links = el("p", { class: "links" });
    this.trouble = el("p", { class: "bad", role: "alert", hidden: true });
    fill(main, el("div", { class: "top" }, el("h1", { title: definition.meaning }, definition.title), this.choices), this.links, this.trouble,
      definition.rows.map((row) => el("section", {}, row.title ? el("h2", {}, row.title) : null,
        el("div", { class: "grid" }, row.panels.map((panel) => this.frame(panel))))));
    this.tools();
    addEventListener("pigsty-theme", () => this.panels.forEach(({ view }) => view.draw()));
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.refresh(); });
    await this.choose();
    await this.refresh();
  }

  /** A panel's frame: title, what it means, and room for what it shows or why it doesn't. */
  frame(panel) {
    const body = el("div", { class: "body" });
    const note = el("p", { class: "note", hidden: true });
    const box = el("article", { class: `panel of-${panel.kind} w${panel.width}`, data: { height: panel.height, state: "loading" } },
      el("h3", { title: panel.meaning }, panel.title, panel.meaning ? el("span", { class: "hint", "aria-label": panel.meaning }, "?") : null), body, note);
    body.style.setProperty("--rows", panel.height);
    this.panels.push({ panel, box, note, body, view: new KINDS[panel.kind](panel, body, this) });
    return box;
  }

  /** Time, refresh, and how long ago this was read, in the bar. */
  tools() {
    const pick = (title, choices, chosen, set) => el("select", { title, "aria-label": title, onchange: (event) => set(event.target.value) },
      choices.map(([name]) => el("option", { value: name, selected: name === chosen }, name)));
    const window = this.place.window ? el("button", { type: "button", onclick: () => this.zoom(null) }, "× zoom") : null;
    fill(document.getElementById("tools"), window,
      pick("Time", RANGES, this.place.range, (range) => { this.place.range = range; this.zoom(null); }),
      pick("Refresh", REFRESHES, this.place.refresh, (refresh) => { this.place.refresh = refresh; move(this.place); this.refresh(); }),
      el("button", { type: "button", title: "Read again", "aria-label": "Read again", onclick: () => this.refresh() }, "↻"));
  }

  zoom(window) {
    this.place.window = window;
    move(this.place);
    this.tools();
    this.refresh();
  }

  /** Find out what can be chosen; what was chosen and isn't there any more gives way to the first. */
  async choose() {
    const fields = [];
    for (const variable of this.definition.variables) {
      const found = await values(filled(variable.metric, this.place.chosen), variable.label);
      const chosen = this.place.chosen[variable.name];
      const otherwise = variable.all ? null : found[0] ?? "";
      this.place.chosen[variable.name] = found.includes(chosen) ? chosen : otherwise;
      const options = [...(variable.all ? [ALL] : []), ...found];
      fields.push(el("label", {}, variable.title, el("select", {
        name: variable.name,
        onchange: (event) => this.chose(variable, event.target.value),
      }, options.map((value, index) => el("option", {
        value, selected: variable.all && index === 0 ? this.place.chosen[variable.name] === null : value === this.place.chosen[variable.name],
      }, value)))));
    }
    fill(this.choices, fields);
    const { links, logged } = this.definition;
    const about = new URLSearchParams(logged.filter((name) => this.place.chosen[name]).map((name) => [name, this.place.chosen[name]]));
    fill(this.links, links.map((link) => el("a", { href: follow(link, {}, this.place) }, link.title)),
      this.site.logs && logged.length ? el("a", { href: `/portal/logs.html?${about}` }, "Logs") : null);
    move(this.place);
  }

  async chose(variable, value) {
    this.place.chosen[variable.name] = variable.all && value === ALL ? null : value;
    try {
      await this.choose();
      await this.refresh();
    } catch (error) {
      broken(error);
    }
  }

  /** Read everything again, and once more after the chosen time. */
  async refresh() {
    clearTimeout(this.timer);
    const round = ++this.round;
    const root = document.documentElement;
    root.dataset.state = "loading";
    this.happened = this.marks();
    await Promise.all(this.panels.map((entry) => this.load(entry)));
    if (round !== this.round) return;
    root.dataset.state = "ready";
    const pause = REFRESHES.find(([name]) => name === this.place.refresh)[1];
    if (pause && !document.hidden) this.timer = setTimeout(() => this.refresh(), pause * 1000);
  }

  /** What charts mark; they are drawn without it where it can't be asked for. */
  async marks() {
    this.trouble.hidden = true;
    try {
      return await happened(this.definition.marks, this.place);
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      this.trouble.hidden = false;
      this.trouble.textContent = `Nothing is marked in the charts: ${error.message}`;
      return [];
    }
  }

  async load({ panel, box, note, body, view }) {
    let state = "data";
    let text = "";
    try {
      if (!(await view.load())) ({ kind: state, text } = await why(panel, this.place.chosen, this.definition.variables));
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      state = "error";
      text = error.message;
    }
    box.dataset.state = state;
    note.textContent = text;
    note.hidden = state === "data";
    body.hidden = state !== "data";
    if (state === "data") view.fit?.();
  }
}

try {
  const { page } = here();
  const site = await shell(page);
  if (!/^[a-z][a-z-]*$/.test(page)) throw new Trouble(`There is no page ${page}.`);
  const opened = new Page(await file(`pages/${page}.json`), site);
  await opened.open();
} catch (error) {
  broken(error);
}

// Lines over time, drawn by uPlot (vendor/); the legend is ours, so that series can lead somewhere.

import { over } from "./api.js";
import { el, fill } from "./dom.js";
import { flag } from "./marks.js";
import { FINEST, finest, follow, span } from "./place.js";
import { filled, named } from "./promql.js";
import { format } from "./units.js";

/** More series than this tell nobody anything; the greatest are shown. */
const MOST = 24;
/** How many points from the end still are "now". */
const RECENT = 4;
/** Steps of an axis of bytes. */
const POWERS = Array.from({ length: 60 }, (_, power) => 2 ** power);
const together = uPlot.sync("page");

/** A chart in a panel's body. */
export class Chart {
  constructor(panel, body, page) {
    this.panel = panel;
    this.page = page;
    this.plot = el("div", { class: "plot" });
    this.legend = el("ul", { class: "legend" });
    this.hidden = new Set();
    fill(body, this.plot, this.legend);
    this.watcher = new ResizeObserver(() => this.fit());
    this.watcher.observe(this.plot);
  }

  /** Ask and draw. Return whether there was anything. */
  async load() {
    const [start, end] = span(this.page.place);
    const step = finest(start, end);
    // The same grid for all panels, so that their cursors meet, and for all looks, so that lines don't jump.
    const [first, last] = [Math.floor(start / step) * step, Math.floor(end / step) * step];
    const found = await Promise.all(this.panel.queries.map(async (query) => {
      const rows = await over(filled(query.expr, this.page.place.chosen), first, last, step);
      return rows.map((row) => ({ ...row, name: named(query.legend, row.labels) || this.panel.title }));
    }));
    const size = (row) => row.points.reduce((sum, [, value]) => sum + (Number.isFinite(value) ? Math.abs(value) : 0), 0);
    this.rows = found.flat();
    if (this.rows.length > MOST) this.rows = this.rows.sort((a, b) => size(b) - size(a)).slice(0, MOST);
    const times = [];
    for (let time = first; time <= last; time += step) times.push(time);
    const at = new Map(times.map((time, index) => [time, index]));
    this.values = this.rows.map((row) => {
      const line = new Array(times.length).fill(null);
      for (const [time, value] of row.points) if (Number.isFinite(value) && at.has(time)) line[at.get(time)] = value;
      return line;
    });
    this.times = times;
    this.happened = await this.page.happened;
    this.draw();
    return this.values.some((line) => line.some((value) => value !== null));
  }

  /** Draw what was asked for; a chart of the same series keeps its frame. */
  draw() {
    if (!this.rows) return;
    const frame = JSON.stringify([this.rows.map((row) => row.name), [...this.hidden], document.documentElement.dataset.theme]);
    const { data, bands } = this.heap();
    if (this.uplot && frame === this.frame) this.uplot.setData(data);
    else {
      this.uplot?.destroy();
      this.frame = frame;
      this.uplot = new uPlot(this.options(bands), data, this.plot);
    }
    this.list(null);
  }

  fit() {
    if (this.uplot && this.plot.clientWidth) this.uplot.setSize({ width: this.plot.clientWidth, height: this.plot.clientHeight });
  }

  close() {
    this.watcher.disconnect();
    this.uplot?.destroy();
  }

  /** Values as they are drawn: one on top of another where the panel says so. */
  heap() {
    if (!this.panel.stack) return { data: [this.times, ...this.values], bands: [] };
    const sum = new Array(this.times.length).fill(0);
    const there = this.times.map((_, at) => this.values.some((line) => line[at] !== null));
    const lines = this.values.map((line, index) => {
      if (this.hidden.has(this.rows[index].name)) return line.map(() => null);
      // What is missing in one series adds nothing; where all are missing, there is a gap.
      return line.map((value, at) => (there[at] ? (sum[at] += value ?? 0) : null));
    });
    const bands = lines.slice(1).map((_, index) => ({ series: [index + 2, index + 1] }));
    return { data: [this.times, ...lines], bands };
  }

  options(bands) {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: color("--dim"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const { unit } = this.panel;
    const binary = unit.startsWith("bytes");
    return {
      width: Math.max(this.plot.clientWidth, 120),
      height: Math.max(this.plot.clientHeight, 80),
      padding: [10, 8, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: together.key }, points: { size: 6 }, drag: { x: true, y: false, setScale: false } },
      scales: { y: { range: (_, low, high) => this.bounds(low, high) } },
      bands,
      axes: [
        { ...axis, size: 26, space: 70, values: (_, ticks, __, ___, step) => ticks.map((tick) => clock(tick, step)) },
        { ...axis, size: 62, space: 32, ...(binary ? { incrs: POWERS } : {}), values: (_, ticks) => ticks.map((tick) => format(tick, unit)) },
      ],
      series: [{}, ...this.rows.map((row, index) => {
        const stroke = color(`--series-${index % 10}`);
        return {
          label: row.name,
          stroke,
          width: 1.5,
          fill: this.panel.stack ? `${stroke}55` : this.rows.length === 1 ? `${stroke}22` : undefined,
          show: !this.hidden.has(row.name),
          spanGaps: false,
          points: { show: this.times.length < 4 },
        };
      })],
      hooks: {
        setCursor: [(plot) => this.list(plot.cursor.idx ?? null)],
        setSelect: [(plot) => this.zoom(plot)],
        draw: [(plot) => this.borders(plot, color), (plot) => flag(plot, this.happened)],
      },
    };
  }

  /** From where to where the axis goes: from nothing, unless there is something below. */
  bounds(low, high) {
    if (low === null || high === null) return [0, 1];
    if (["up", "yes"].includes(this.panel.unit)) return [0, Math.max(1, high)];
    const bottom = Math.min(0, low);
    return [bottom, high > bottom ? high + (high - bottom) * 0.08 : bottom + 1];
  }

  /** Lines where values become a matter of concern, as far as they are in sight. */
  borders(plot, color) {
    const { limits } = this.panel;
    if (!limits) return;
    const { ctx, bbox } = plot;
    for (const [name, at] of [["--warn", limits.warn], ["--bad", limits.bad]]) {
      if (at === 0 || at > plot.scales.y.max || at < plot.scales.y.min) continue;
      const y = plot.valToPos(at, "y", true);
      ctx.save();
      ctx.strokeStyle = color(name);
      ctx.setLineDash([6, 6]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.restore();
    }
  }

  zoom(plot) {
    const { left, width } = plot.select;
    if (width < 8) return;
    const window = [left, left + width].map((x) => Math.round(plot.posToVal(x, "x")));
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    if (window[1] - window[0] >= FINEST) this.page.zoom(window);
  }

  /** The legend: what each series is worth under the cursor, else at its end. */
  list(at) {
    if (this.legend.children.length === this.rows.length && this.listed === this.frame) {
      this.rows.forEach((_, index) => { this.worth[index].textContent = this.value(index, at); });
      return;
    }
    this.listed = this.frame;
    this.worth = [];
    fill(this.legend, this.rows.map((row, index) => {
      const swatch = el("button", {
        type: "button", class: "swatch", title: "Show or hide", "aria-label": `Show or hide ${row.name}`, onclick: () => this.toggle(row.name),
      });
      swatch.style.background = `var(--series-${index % 10})`;
      const { link } = this.panel;
      const name = link ? el("a", { href: follow(link, row.labels, this.page.place), title: link.title }, row.name) : el("span", {}, row.name);
      this.worth[index] = el("b", {}, this.value(index, at));
      return el("li", { class: this.hidden.has(row.name) ? "off" : "" }, swatch, name, this.worth[index]);
    }));
  }

  value(index, at) {
    const line = this.values[index];
    const last = at === null ? line.slice(-RECENT).findLast((value) => value !== null) : line[at];
    return format(last, this.panel.unit);
  }

  toggle(name) {
    if (!this.hidden.delete(name)) this.hidden.add(name);
    this.draw();
  }
}

function clock(seconds, step) {
  const time = new Date(seconds * 1000);
  const two = (number) => String(number).padStart(2, "0");
  if (step >= 86400) return `${time.getMonth() + 1}/${time.getDate()}`;
  const short = `${two(time.getHours())}:${two(time.getMinutes())}`;
  return step < 60 ? `${short}:${two(time.getSeconds())}` : short;
}

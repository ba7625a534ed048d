// What happened while nobody looked: lines from top to bottom, the same in every chart of a page.

import { over } from "./api.js";
import { el, fill } from "./dom.js";
import { finest, span } from "./place.js";
import { filled, named } from "./promql.js";

/** Prometheus answers with no more points than these. */
const MOST = 11000;
/** Pixels below which two words would stand on one another. */
const APART = 13;

/** What happened in the time that is looked at, a list of {time, text, bad}: where a mark's series begins, something did. */
export async function happened(marks, place) {
  const [start, end] = span(place);
  const found = await Promise.all(marks.map(async ({ expr, legend, bad, lasts }) => {
    const step = Math.max(Math.min(finest(start, end), lasts), Math.ceil((end - start) / MOST));
    const first = Math.floor(start / step) * step;
    const rows = await over(filled(expr, place.chosen), first, end, step);
    return rows.flatMap(({ labels, points }) => points
      // What is there at once began before.
      .filter(([time], at) => (at ? time - points[at - 1][0] > step : time > first))
      .map(([time]) => ({ time, text: named(legend, labels), bad })));
  }));
  return found.flat().sort((a, b) => a.time - b.time);
}

/** Mark in a chart what happened; a word that has no room is left out. */
export function flag(plot, found) {
  const box = plot.over.querySelector(".marks") ?? plot.over.appendChild(el("div", { class: "marks" }));
  const width = plot.over.clientWidth;
  let last = -APART;
  fill(box, found.map(({ time, text, bad }) => {
    const at = plot.valToPos(time, "x");
    if (!(at >= 0 && at <= width)) return null;
    const room = at - last >= APART;
    if (room) last = at;
    const line = el("i", { class: bad ? "bad" : "", data: { time, text } }, room ? el("span", { class: at > width - APART ? "left" : "" }, text) : null);
    line.style.left = `${at}px`;
    return line;
  }));
}

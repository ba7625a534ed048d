// A panel without data says why.

import { now } from "./api.js";

/**
 * The reason why a panel has nothing to show: there is nothing to choose from; or its exporter is
 * unknown or down; or what the panel itself says nothing means; or that there is no such series.
 */
export async function why(panel, chosen, variables) {
  const without = variables.find((variable) => chosen[variable.name] === "");
  if (without) return { text: `There is no ${without.title.toLowerCase()} to choose.`, kind: "none" };
  for (const program of panel.programs) {
    const found = await now(`up{component="${program}"}`);
    if (!found.length) return { text: `Nothing publishes this: the inventory has no ${program} that is watched.`, kind: "missing" };
    const own = found.filter((row) => concerns(row.labels, chosen));
    const down = own.filter((row) => row.value === 0);
    if (own.length && down.length === own.length) {
      return { text: `The exporter of ${program} is down on ${down.map((row) => row.labels.ins).join(", ")}.`, kind: "missing" };
    }
  }
  if (panel.empty) return { text: panel.empty, kind: "none" };
  const told = variables.filter(({ name }) => chosen[name]).map(({ name, title }) => `${title.toLowerCase()} ${chosen[name]}`);
  return { text: `There are no such series${told.length ? ` of ${told.join(", ")}` : ""} in this time.`, kind: "none" };
}

/** Whether a target is about what is chosen. */
function concerns(labels, chosen) {
  if (chosen.ins) return labels.ins === chosen.ins;
  return !chosen.cls || labels.cls === chosen.cls;
}

// What every page has around it: the bar, the menu, dark or light.

import { file } from "./api.js";
import { el, fill } from "./dom.js";
import { address, here } from "./place.js";

const OTHER = { dark: "light", light: "dark" };

/** Draw the bar and the menu; return what the portal knows of its infra node. */
export async function shell(current) {
  paint(theme());
  const [groups, site] = await Promise.all([file("menu.json"), file("site.json")]);
  menu(groups, site, current);
  // What is chosen on a page goes along to the next one.
  addEventListener("pigsty-move", () => menu(groups, site, current));
  fill(document.querySelector("header"),
    el("button", { id: "menu", type: "button", "aria-label": "Menu", onclick: () => document.body.classList.toggle("menu") }, "☰"),
    el("a", { href: "/", class: "brand" }, "Pigsty"),
    el("span", { class: "where" }, site.name),
    el("span", { class: "gap" }),
    el("span", { id: "tools" }),
    el("button", { id: "theme", type: "button", title: "Dark or light", "aria-label": "Dark or light", onclick: turn }, "◐"));
  return site;
}

function menu(groups, site, current) {
  const place = here();
  const item = (title, target, meaning, on) =>
    el("a", { href: target, title: meaning, class: on ? "on" : "", "aria-current": on ? "page" : null }, title);
  const first = [item("Home", "/", "Clusters, nodes, alerts at a glance", current === "home")];
  if (site.logs) first.push(item("Logs", "/portal/logs.html", "Search what programs wrote", current === "logs"));
  fill(document.querySelector("nav"), first, groups.map((group) =>
    el("section", {}, el("h2", {}, group.title),
      group.pages.map((page) => item(page.title, address(page.uid, kept(place), place), page.meaning, page.uid === current)))));
}

/** The theme that is in force. */
export function theme() {
  const kept = localStorage.getItem("pigsty-theme");
  if (kept === "dark" || kept === "light") return kept;
  return matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
}

/** Say what went wrong with the whole page. */
export function broken(error) {
  fill(document.querySelector("main"), el("p", { class: "broken", role: "alert" }, error.message));
  document.documentElement.dataset.state = "broken";
}

function turn() {
  const next = OTHER[theme()];
  localStorage.setItem("pigsty-theme", next);
  paint(next);
  dispatchEvent(new CustomEvent("pigsty-theme"));
}

function paint(name) {
  document.documentElement.dataset.theme = name;
}

/** From one page of the menu to the next, the cluster and the instance stay chosen. */
function kept(place) {
  return Object.fromEntries(["cls", "ins"].filter((name) => name in place.chosen).map((name) => [name, place.chosen[name]]));
}

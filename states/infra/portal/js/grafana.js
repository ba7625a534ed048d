// What is shown at Grafana's place while it doesn't answer: why, and where the same is. Both renderers have the same
// pages under the same names, so a link into Grafana leads to the page here that shows what it would have.

import { el, fill } from "./dom.js";
import { address, here } from "./place.js";
import { broken, shell } from "./shell.js";

const PAGE = /^\/ui\/d\/([a-z-]+)/;

/** The page that an address of Grafana asks for, and what is chosen on it. */
function meant(path, search) {
  const chosen = {};
  for (const [name, value] of new URLSearchParams(search)) if (name.startsWith("var-") && !value.startsWith("$")) chosen[name.slice(4)] = value;
  return { page: PAGE.exec(path)?.[1] ?? "overview", chosen };
}

function draw(site) {
  const { page, chosen } = meant(location.pathname, location.search);
  fill(document.querySelector("main"),
    el("h1", {}, site.grafana ? "Grafana doesn't answer" : "There is no Grafana here"),
    site.grafana
      ? el("p", {}, "It is installed, and stopped or just starting. On this machine: ", el("code", {}, "systemctl status grafana-server"))
      : el("p", {}, "The inventory wants it, and no package source of this machine has its package. With a source that has it (repo_upstream), the next apply installs it."),
    el("p", {}, "The portal's own pages show the same."),
    el("p", {}, el("a", { class: "button", href: address(page, chosen, here()) }, "Show it here")));
  document.documentElement.dataset.state = "ready";
}

shell("grafana").then(draw).catch(broken);

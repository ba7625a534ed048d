// Before anything is drawn: no flash of the other theme. It stands alone, so that it can run at once.
(() => {
  const kept = localStorage.getItem("pigsty-theme");
  const light = matchMedia("(prefers-color-scheme: light)").matches;
  document.documentElement.dataset.theme = kept === "dark" || kept === "light" ? kept : light ? "light" : "dark";
})();

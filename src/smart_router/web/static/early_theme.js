// Before the first paint: the look that was chosen here last time. A classic script, as modules wait for the page.
(() => {
  let chosen = "";
  try {
    chosen = localStorage.getItem("smart-router/theme") ?? "";
  } catch {
    // A browser that keeps nothing follows the system.
  }
  document.documentElement.dataset.theme = chosen === "light" || chosen === "dark" ? chosen : "system";
})();

// Light, dark, or as the system says.
const KEY = "smart-router/theme";
export const THEMES = ["system", "light", "dark"];
const dark = matchMedia("(prefers-color-scheme: dark)");

export function theme() {
  return document.documentElement.dataset.theme ?? "system";
}

export function shownTheme() {
  return theme() === "system" ? (dark.matches ? "dark" : "light") : theme();
}

export function setTheme(name) {
  document.documentElement.dataset.theme = name;
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // It holds until the page is closed.
  }
}

/** *heard* is called when the system's own choice changes. */
export function onSystemTheme(heard) {
  dark.addEventListener("change", heard);
}

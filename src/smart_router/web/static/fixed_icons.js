// The icons of buttons that stand in the page from the start: `data-icon` names each.
import { icon } from "./icons.js";

export function drawIcons() {
  for (const place of document.querySelectorAll("[data-icon]")) place.prepend(icon(place.dataset.icon));
}

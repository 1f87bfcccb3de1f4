// Sentences above the conversation about what went wrong, until they are dismissed.
import { byId, el } from "./dom.js";
import { icon } from "./icons.js";

const MOST = 3;

/** One notice for each *topic*: a later one takes its place. *actions*: `{label, run}`. */
export function notify(topic, title, advice = "", actions = []) {
  dismiss(topic);
  const close = el(
    "button",
    { type: "button", class: "quiet icon-only", "aria-label": "Dismiss", on: { click: () => dismiss(topic) } },
    icon("close"),
  );
  const buttons = actions.map(({ label, run }) =>
    el(
      "button",
      {
        type: "button",
        class: "small",
        on: {
          click: () => {
            dismiss(topic);
            run();
          },
        },
      },
      label,
    ),
  );
  const text = el("p", {}, el("strong", {}, title), advice ? ` ${advice}` : "");
  byId("notices").append(
    el(
      "div",
      { class: "notice", role: "alert", "data-topic": topic },
      icon("alert"),
      el("div", {}, text, ...buttons),
      close,
    ),
  );
  while (byId("notices").childElementCount > MOST) byId("notices").firstElementChild.remove();
}

export function dismiss(topic) {
  for (const notice of [...byId("notices").children]) if (notice.dataset.topic === topic) notice.remove();
}

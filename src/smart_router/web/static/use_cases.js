// The use cases that this router knows, and the colour of each one's line.
import { ask } from "./router_calls.js";

export const LINES = 8; // colours, see style/tokens.css

let known = [];
let order = [];

/** Asks anew. Throws Trouble; what was known stays. */
export async function readUseCases() {
  const { use_cases: found } = await ask("GET", "use-cases");
  known = (Array.isArray(found) ? found : []).filter((one) => typeof one?.id === "string").map(told);
  order = known.map(({ id }) => id);
  return known;
}

export function useCases() {
  return known;
}

/** `line-0` … `line-7`: in the registry's order, then as they turn up. */
export function lineOf(id) {
  if (!id) return "line-none";
  if (!order.includes(id)) order.push(id);
  return `line-${order.indexOf(id) % LINES}`;
}

function told({ id, description, available, models, modalities }) {
  return {
    id,
    description: typeof description === "string" ? description : "",
    available: available !== false,
    models: Array.isArray(models) ? models : [],
    modalities: Array.isArray(modalities) ? modalities : [],
  };
}

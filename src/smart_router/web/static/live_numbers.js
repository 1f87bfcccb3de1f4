// What `/stats` and `/health` say, read so that fields which are missing, or of another kind, do no harm. Pure.
import { numberOr0 } from "./format.js";

/** What the panel shows. *health* may be null. */
export function liveNumbers(stats, health) {
  const bypassed = numberOr0(stats.bypass_requests);
  const routed = numberOr0(stats.full_routing_requests);
  return {
    scope: stats.scope === "replica" ? "this router" : "all routers",
    total: numberOr0(stats.total_requests),
    failed: numberOr0(stats.failed_requests),
    sessions: numberOr0(stats.session_creations),
    changes: numberOr0(stats.context_changes),
    bypassed,
    routed,
    bypassRate: bypassed + routed > 0 ? bypassed / (bypassed + routed) : null,
    routing: timeOf(stats.average_routing_time),
    bypass: timeOf(stats.average_bypass_time),
    inference: timeOf(stats.average_inference_time),
    whole: timeOf(stats.average_total_time),
    useCases: useCaseRows(stats.use_cases),
    models: modelRows(stats, health),
    status: typeof health?.status === "string" ? health.status : null,
  };
}

function useCaseRows(found) {
  const rows = Object.entries(objectOf(found)).map(([id, part]) => ({
    id,
    requests: numberOr0(part?.requests),
    errors: numberOr0(part?.errors),
    inference: timeOf(part?.average_inference_time),
  }));
  return rows.sort((a, b) => b.requests - a.requests);
}

/** As the statistics say, where they do; but a model whose servers are unwell by `/health` is that. */
function modelRows(stats, health) {
  const seen = healthRows(objectOf(health?.model_endpoints));
  const told = Object.entries(objectOf(stats.model_states));
  if (!told.length) return seen;
  return told.map(([id, { state, in_flight: inFlight, waiting } = {}]) => {
    const row = {
      id,
      state: textOf(state) || "unknown",
      inFlight: numberOr0(inFlight),
      waiting: numberOr0(waiting),
      trouble: "",
    };
    const unwell = seen.find((one) => one.id === id && moodOf(one.state) === "bad");
    return unwell ? { ...row, state: unwell.state, trouble: unwell.trouble } : row;
  });
}

/** A model's best replica speaks for it. */
function healthRows(groups) {
  const rows = new Map();
  for (const replica of Object.values(groups).flatMap((group) =>
    Array.isArray(group?.replicas) ? group.replicas : [],
  )) {
    if (typeof replica?.model !== "string") continue;
    const state =
      replica.resting === true && replica.status === "healthy" ? "resting" : textOf(replica.status) || "unknown";
    const row = {
      id: replica.model,
      state,
      inFlight: numberOr0(replica.in_flight),
      waiting: 0,
      trouble: textOf(replica.trouble),
    };
    const known = rows.get(row.id);
    rows.set(row.id, known ? better(known, row) : row);
  }
  return [...rows.values()];
}

function better(a, b) {
  const best = rank(a.state) <= rank(b.state) ? a : b;
  return { ...best, inFlight: a.inFlight + b.inFlight };
}

const RANKS = ["healthy", "resting", "asleep", "unknown"];
const rank = (state) => (RANKS.includes(state) ? RANKS.indexOf(state) : RANKS.length);

/** `good`, `rest` (it will come when it is needed), `bad` or `unknown`. */
export function moodOf(state) {
  if (["healthy", "awake"].includes(state)) return "good";
  if (["asleep", "sleeping", "waking", "loading", "draining", "resting"].includes(state)) return "rest";
  if (["unhealthy", "failed"].includes(state)) return "bad";
  return "unknown";
}

const objectOf = (value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? value : {});
const textOf = (value) => (typeof value === "string" ? value : "");
const timeOf = (value) => (typeof value === "number" && value > 0 ? value : null);

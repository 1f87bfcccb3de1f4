// Numbers and names as people read them. Pure.

/** "6.2 ms", "410 ms", "1.24 s", "—" for what is no number. */
export function duration(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds) || seconds < 0) return "—";
  if (seconds >= 60) return `${Math.floor(seconds / 60)}\u00a0min ${Math.round(seconds % 60)}\u00a0s`;
  if (seconds >= 1) return `${seconds.toFixed(seconds >= 10 ? 1 : 2)}\u00a0s`;
  const ms = seconds * 1000;
  if (ms >= 100) return `${Math.round(ms)}\u00a0ms`;
  return `${ms.toFixed(ms >= 1 ? 1 : 2)}\u00a0ms`;
}

export function percent(probability) {
  if (typeof probability !== "number" || !Number.isFinite(probability)) return "—";
  if (probability > 0 && probability < 0.005) return "<\u202f1\u00a0%";
  return `${Math.round(probability * 100)}\u00a0%`;
}

export function count(number) {
  return typeof number === "number" && Number.isFinite(number)
    ? number.toLocaleString("en").replaceAll(",", "\u202f")
    : "—";
}

/** A number, or 0. */
export function numberOr0(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

export function fileSize(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${Math.round(bytes / 1024)} KB`;
  return `${(bytes / (1024 * 1024)).toFixed(1)} MB`;
}

/** A model without its maker: `Qwen2.5-7B-Instruct`. */
export function shortModel(id) {
  return id.slice(id.lastIndexOf("/") + 1) || id;
}

/** "just now", "4 min", "3 h", then the date. */
export function ago(then, now) {
  const minutes = Math.floor((now - then) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h`;
  return new Date(then).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

/** "0:07" */
export function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

/** The first words of *text*, at most *most* characters of them. */
export function firstWords(text, most) {
  const line = text.replace(/\s+/g, " ").trim();
  if ([...line].length <= most) return line;
  const cut = [...line].slice(0, most).join("");
  const space = cut.lastIndexOf(" ");
  return `${space > most / 2 ? cut.slice(0, space) : cut}…`;
}

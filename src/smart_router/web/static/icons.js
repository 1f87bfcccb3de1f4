// Line drawings on a grid of 20, in the colour of the text around them.
const SVG = "http://www.w3.org/2000/svg";

const LINES = {
  plus: ["M10 4v12", "M4 10h12"],
  menu: ["M3 6h14", "M3 10h14", "M3 14h14"],
  close: ["M5 5l10 10", "M15 5L5 15"],
  send: ["M10 16V4", "M5 9l5-5 5 5"],
  stop: ["M6 6h8v8H6z"],
  clip: ["M15.5 9.5l-5.8 5.8a3.5 3.5 0 0 1-5-5l6.2-6.1a2.3 2.3 0 0 1 3.3 3.3l-6.1 6a1.1 1.1 0 0 1-1.6-1.5l5.4-5.3"],
  mic: [
    "M10 3a2.3 2.3 0 0 1 2.3 2.3v4.4a2.3 2.3 0 0 1-4.6 0V5.3A2.3 2.3 0 0 1 10 3z",
    "M4.8 9.5a5.2 5.2 0 0 0 10.4 0",
    "M10 14.7V17",
  ],
  link: [
    "M8.3 11.7a3 3 0 0 0 4.3 0l2.6-2.6a3 3 0 0 0-4.3-4.3l-1 1",
    "M11.7 8.3a3 3 0 0 0-4.3 0l-2.6 2.6a3 3 0 0 0 4.3 4.3l1-1",
  ],
  pin: ["M7.5 3.5h5l-.6 4.6 2.6 2.9h-9l2.6-2.9z", "M10 11v6"],
  pencil: ["M13.6 3.9l2.5 2.5L7 15.5l-3.2.7.7-3.2z"],
  bin: ["M4 6h12", "M8 6V4h4v2", "M5.5 6l.7 10h7.6l.7-10", "M8.5 9v4", "M11.5 9v4"],
  dots: ["M4.5 10h.01", "M10 10h.01", "M15.5 10h.01"],
  sliders: ["M3 6h7", "M14 6h3", "M3 14h3", "M10 14h7", "M12 4v4", "M8 12v4"],
  half: ["M10 3.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13z", "M10 3.5v13", "M12 4v12", "M14 5v10"],
  pulse: ["M2.5 10.5h3.5l2-5.5 3.5 10 2.2-6 .8 1.5h3"],
  fork: [
    "M10 17v-5",
    "M10 12c0-3-4.5-3-4.5-7",
    "M10 12c0-3 4.5-3 4.5-7",
    "M3.5 7l2-2.5 2 2.5",
    "M12.5 7l2-2.5 2 2.5",
  ],
  copy: ["M7.5 7.5h8v8h-8z", "M12.5 7.5v-3h-8v8h3"],
  check: ["M4.5 10.5l3.5 3.5 7.5-8"],
  key: [
    "M12.8 3.8a3.4 3.4 0 1 0 0 6.8 3.4 3.4 0 0 0 0-6.8z",
    "M10.3 9.6L4 16v0",
    "M5.5 14.5l1.8 1.8",
  ],
  again: ["M15.5 8.5a6 6 0 1 0 .2 3.2", "M15.8 4.5v4h-4"],
  image: ["M3.5 4.5h13v11h-13z", "M3.5 13l3.5-3.5 3 3 2.5-2.5 4 4", "M12.7 7.5h.01"],
  audio: ["M3.5 8.5v3", "M6.7 6v8", "M10 3.5v13", "M13.3 6.5v7", "M16.5 8.5v3"],
  video: ["M3 5.5h10v9H3z", "M13 9l4-2.5v7L13 11"],
  alert: ["M10 3.5L17.5 16h-15z", "M10 8v4", "M10 14h.01"],
  bolt: ["M11 2.8L4.8 11h4.4l-.7 6.2L15 9h-4.6z"],
};

/** For decoration: what it means is said in words beside it, or by a label. */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 20 20");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  drawing.setAttribute("focusable", "false");
  for (const line of LINES[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", line);
    drawing.append(path);
  }
  return drawing;
}

/** A line through *values*, the newest at the right; in a box of *width* x *height*. */
export function sparkline(values, width, height) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  drawing.setAttribute("class", "sparkline");
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true");
  const most = Math.max(1, ...values);
  const step = width / Math.max(1, values.length - 1);
  const points = values.map(
    (value, i) => `${(i * step).toFixed(1)},${(height - 2 - (value / most) * (height - 4)).toFixed(1)}`,
  );
  const area = document.createElementNS(SVG, "polygon");
  area.setAttribute("points", `0,${height} ${points.join(" ")} ${width},${height}`);
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", points.join(" "));
  drawing.append(area, line);
  return drawing;
}

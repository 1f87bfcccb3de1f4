// Line drawings on a grid of 20, in the colour of the text around them.
const SVG = "http://www.w3.org/2000/svg";

const LINES = {
  plus: ["M10 4v12", "M4 10h12"],
  menu: ["M3 6h14", "M3 10h14", "M3 14h14"],
  close: ["M5 5l10 10", "M15 5L5 15"],
  send: ["M10 16V4", "M5 9l5-5 5 5"],
  stop: ["M6 6h8v8H6z"],
  clip: ["M15.5 9.5l-5.8 5.8a3.5 3.5 0 0 1-5-5l6.2-6.1a2.3 2.3 0 0 1 3.3 3.3l-6.1 6a1.1 1.1 0 0 1-1.6-1.5l5.4-5.3"],
  mic: ["M10 3a2.3 2.3 0 0 1 2.3 2.3v4.4a2.3 2.3 0 0 1-4.6 0V5.300A2.300 2.300 0 0 1 10 3z", "M4.800 9.500a5.200 5.200 0 0 0 10.400 0", "M10 14.700V17"],
  link: ["M8.300 11.700a3 3 0 0 0 4.300 0l2.600-2.600a3 3 0 0 0-4.300-4.300l-1 1", "M11.700 8.300a3 3 0 0 0-4.300 0l-2.600 2.600a3 3 0 0 0 4.300 4.300l1-1"],
  pin: ["M7.500 3.500h5l-.6 4.600 2.600 2.900h-9l2.600-2.900z", "M10 11v6"],
  pencil: ["M13.600 3.900l2.500 2.500L7 15.500l-3.200.7.7-3.200z"],
  bin: ["M4 6h12", "M8 6V4h4v2", "M5.500 6l.7 10h7.600l.7-10", "M8.500 9v4", "M11.500 9v4"],
  dots: ["M4.500 10h.01", "M10 10h.01", "M15.500 10h.01"],
  sliders: ["M3 6h7", "M14 6h3", "M3 14h3", "M10 14h7", "M12 4v4", "M8 12v4"],
  sun: ["M10 7a3 3 0 1 0 0 6 3 3 0 0 0 0-6z", "M10 2.500v1.500", "M10 16v1.500", "M2.500 10H4", "M16 10h1.500", "M4.700 4.700l1 1", "M14.300 14.300l1 1", "M4.700 15.300l1-1", "M14.300 5.700l1-1"],
  moon: ["M16 11.800A6.500 6.500 0 0 1 8.200 4 6.500 6.500 0 1 0 16 11.800z"],
  half: ["M10 3.500a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13z", "M10 3.500v13", "M12 4v12", "M14 5v10"],
  pulse: ["M2.500 10.500h3.500l2-5.500 3.500 10 2.200-6 .8 1.500h3"],
  fork: ["M10 17v-5", "M10 12c0-3-4.500-3-4.500-7", "M10 12c0-3 4.500-3 4.500-7", "M3.500 7l2-2.500 2 2.500", "M12.500 7l2-2.500 2 2.500"],
  copy: ["M7.500 7.500h8v8h-8z", "M12.500 7.500v-3h-8v8h3"],
  check: ["M4.500 10.500l3.500 3.500 7.500-8"],
  key: ["M12.800 3.800a3.400 3.400 0 1 0 0 6.800 3.400 3.400 0 0 0 0-6.800z", "M10.300 9.600L4 16v0", "M5.500 14.500l1.800 1.800"],
  down: ["M5.500 8l4.500 4.500L14.500 8"],
  again: ["M15.500 8.500a6 6 0 1 0 .2 3.200", "M15.800 4.500v4h-4"],
  image: ["M3.500 4.500h13v11h-13z", "M3.500 13l3.500-3.500 3 3 2.500-2.500 4 4", "M12.700 7.500h.01"],
  audio: ["M3.500 8.500v3", "M6.700 6v8", "M10 3.500v13", "M13.300 6.500v7", "M16.500 8.500v3"],
  video: ["M3 5.500h10v9H3z", "M13 9l4-2.500v7L13 11"],
  alert: ["M10 3.500L17.500 16h-15z", "M10 8v4", "M10 14h.01"],
  bolt: ["M11 2.800L4.800 11h4.400l-.7 6.200L15 9h-4.600z"],
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
  const points = values.map((value, i) => `${(i * step).toFixed(1)},${(height - 2 - (value / most) * (height - 4)).toFixed(1)}`);
  const area = document.createElementNS(SVG, "polygon");
  area.setAttribute("points", `0,${height} ${points.join(" ")} ${width},${height}`);
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", points.join(" "));
  drawing.append(area, line);
  return drawing;
}

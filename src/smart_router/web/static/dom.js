// Builds elements. Text only ever becomes text: nothing here, or anywhere in the page, parses markup.

/**
 * `el("a", {class: "x", href: "…", on: {click: f}}, "text", child)`. A value of null, undefined or false leaves its
 * attribute out; true sets it without a value. Children of null or false are left out.
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, heard] of Object.entries(value)) element.addEventListener(event, heard);
    } else {
      setAttribute(element, name, value);
    }
  }
  element.append(...shown(children));
  return element;
}

export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** *children* in place of all that *element* holds. */
export function fill(element, ...children) {
  element.replaceChildren(...shown(children));
  return element;
}

/** Changes the text only where it differs, so that a reader's selection and a screen reader are left in peace. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  return element;
}

export function byId(id) {
  return document.getElementById(id);
}

function shown(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false);
}

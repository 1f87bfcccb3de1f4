// The router's key: in this module's memory, and nowhere else. It goes with the page.
let key = "";

export function setKey(given) {
  key = given.trim();
}

export function hasKey() {
  return key !== "";
}

export function keyHeaders() {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** A key that no HTTP header can carry was not copied whole. */
export function isSendable(given) {
  return /^[\x21-\x7e]+$/.test(given.trim());
}

// How answers are asked for, kept in this browser.
const KEY = "smart-router/preferences";
const DEFAULTS = { maxTokens: null, temperature: null, remember: true, live: true };

export class Preferences {
  #values = { ...DEFAULTS };

  constructor(storage) {
    this.storage = storage;
    try {
      this.#values = { ...DEFAULTS, ...checked(JSON.parse(storage.getItem(KEY) ?? "{}")) };
    } catch {
      // Damaged, or there is no storage: the defaults.
    }
  }

  get(name) {
    return this.#values[name];
  }

  set(name, value) {
    this.#values[name] = value;
    try {
      this.storage.setItem(KEY, JSON.stringify(this.#values));
    } catch {
      // It holds until the page is closed.
    }
  }

  reset() {
    this.#values = { ...DEFAULTS };
    try {
      this.storage.removeItem(KEY);
    } catch {
      // As above.
    }
  }

  /** The fields of a request that differ from the router's own. */
  get fields() {
    const { maxTokens, temperature, remember } = this.#values;
    return {
      ...(maxTokens === null ? {} : { max_tokens: maxTokens }),
      ...(temperature === null ? {} : { temperature }),
      ...(remember ? {} : { remember: false }),
    };
  }
}

function checked({ maxTokens, temperature, remember, live }) {
  return {
    ...(Number.isInteger(maxTokens) && maxTokens > 0 ? { maxTokens } : {}),
    ...(Number.isFinite(temperature) && temperature >= 0 && temperature <= 2 ? { temperature } : {}),
    ...(typeof remember === "boolean" ? { remember } : {}),
    ...(typeof live === "boolean" ? { live } : {}),
  };
}

// The form beside the stage: what to ask for, as the API takes it, and what the server says is wrong with it.

import { unfold } from "../fault.js";
import { type } from "../on.js";

const LOCAL = new Set(["keep_seed"]); // fields that the API does not know

export class Panel {
  #form;
  #reveal;

  /** `reveal(field)` is called before the focus goes to one that is wrong. */
  constructor(form, { changed, send, reveal }) {
    this.#form = form;
    this.#reveal = reveal;
    form.addEventListener("input", () => changed());
    form.addEventListener("invalid", ({ target }) => reveal(target), { capture: true });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send();
    });
  }

  get busy() {
    return this.#button.disabled;
  }

  set busy(busy) {
    this.#button.disabled = busy;
    this.#button.setAttribute("aria-busy", String(busy));
  }

  get #button() {
    return this.#form.querySelector("[data-generate]");
  }

  /** All that is filled in, as text, to be kept with the canvas. */
  get fields() {
    return Object.fromEntries(this.#named.map((field) => [field.name, field.type === "checkbox" ? field.checked : field.value]));
  }

  set fields(fields) {
    for (const field of this.#form.elements) {
      if (!field.name || !(field.name in fields)) continue;
      if (field.type === "checkbox") field.checked = fields[field.name] === true;
      else if (field.type === "radio") field.checked = field.value === fields[field.name];
      else if (field.value !== fields[field.name] && !misses(field, fields[field.name])) type(field, fields[field.name]);
    }
  }

  /** The same as a request: numbers as numbers, what is empty left out. */
  get request() {
    const request = {};
    for (const field of this.#named) {
      if (LOCAL.has(field.name) || (field.value === "" && field.type !== "checkbox")) continue;
      request[field.name] = valueOf(field);
    }
    return request;
  }

  /** Every field once; of radio buttons the one that is chosen. */
  get #named() {
    return [...this.#form.elements].filter((field) => field.name && (field.type !== "radio" || field.checked));
  }

  /** Show what is wrong beside each field, and go to the first. Returns what belongs to no field here. */
  showFaults(faults) {
    for (const old of this.#form.querySelectorAll(".fault")) old.remove();
    for (const field of this.#form.querySelectorAll("[aria-invalid]")) clear(field);
    const others = [];
    let first = null;
    for (const { field: name, message } of faults) {
      const field = this.#form.elements[name];
      if (!(field instanceof HTMLElement)) others.push(`${name}: ${message}`);
      else {
        mark(field, message);
        first ??= field;
      }
    }
    if (first) {
      unfold(first);
      this.#reveal(first);
      first.focus();
    }
    return others;
  }
}

/** Whether a list of choices lacks this one, such as a checkpoint that is no longer there. */
function misses(field, value) {
  return field instanceof HTMLSelectElement && ![...field.options].some((option) => option.value === value);
}

function valueOf(field) {
  if (field.type === "checkbox") return field.checked;
  return field.type === "number" || field.name === "count" ? Number(field.value) : field.value;
}

function mark(field, message) {
  const note = document.createElement("p");
  note.className = "fault";
  note.id = `${field.id}-fault`;
  note.textContent = message;
  field.closest(".field").append(note);
  field.setAttribute("aria-invalid", "true");
  field.dataset.described = field.getAttribute("aria-describedby") ?? "";
  field.setAttribute("aria-describedby", `${field.dataset.described} ${note.id}`.trim());
}

function clear(field) {
  field.removeAttribute("aria-invalid");
  const described = field.dataset.described;
  if (described) field.setAttribute("aria-describedby", described);
  else field.removeAttribute("aria-describedby");
}

// Delegated events: `on("click", "[data-copy]", (element, event) => ...)`.

export function on(type, selector, listener) {
  document.addEventListener(type, (event) => {
    const element = event.target instanceof Element ? event.target.closest(selector) : null;
    if (element) listener(element, event);
  });
}

/** Set a field as if the user had typed it. */
export function type(field, value) {
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Call back now and after each time that htmx has changed the page. */
export function always(callback) {
  callback();
  document.addEventListener("htmx:after:settle", callback);
}

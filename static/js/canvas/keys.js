// The keyboard: `[data-key]` buttons are pressed by their key, and `actions` by theirs. Keys that are typed into a field
// are left to it. A key with Ctrl (or Cmd) is written `ctrl+z`, with Shift as well `ctrl+shift+z`.

const FIELDS = "input:not([type=range], [type=checkbox], [type=radio]), textarea, select";
const REPEATED = new Set(["[", "]", "+", "-", "ArrowLeft", "ArrowRight", "ctrl+z", "ctrl+shift+z", "ctrl+y"]); // by holding them

export class Keys {
  #actions;
  #held;

  /** `held` is `{key: (isDown) => ...}` for keys that count while they are down. */
  constructor(actions, held) {
    this.#actions = actions;
    this.#held = held;
    document.addEventListener("keydown", (event) => this.#down(event));
    document.addEventListener("keyup", (event) => this.#held[event.key]?.(false));
    window.addEventListener("blur", () => Object.values(this.#held).forEach((act) => act(false)));
    document.addEventListener("click", giveUpFocus, { capture: true });
  }

  #down(event) {
    if (event.defaultPrevented || (event.altKey && !isAltGraph(event)) || document.querySelector("dialog[open]")) return;
    if (isMeant(event)) return;
    const name = nameOf(event);
    const action = this.#held[name] ? () => this.#held[name](true) : this.#find(name);
    if (!action) return;
    event.preventDefault();
    if (!event.repeat || REPEATED.has(name)) action();
  }

  #find(name) {
    if (this.#actions[name]) return this.#actions[name];
    const button = document.querySelector(`[data-key="${CSS.escape(name)}"]`);
    return button && !button.disabled && button.checkVisibility() ? () => button.click() : null;
  }
}

function nameOf(event) {
  const isLetter = /^[a-z]$/i.test(event.key);
  const key = isLetter ? event.key.toLowerCase() : event.key;
  const isCtrl = (event.ctrlKey || event.metaKey) && !isAltGraph(event);
  return [isCtrl && "ctrl", event.shiftKey && isLetter && "shift", key].filter(Boolean).join("+");
}

/** A button that a pointer has pressed leaves the keys to the canvas; one that the keyboard has found keeps them. */
function giveUpFocus({ target, detail }) {
  if (detail) target.closest("button:not([data-handle])")?.blur();
}

/** AltGr, by which many keyboards have their brackets; Windows says that Ctrl and Alt are down as well. */
function isAltGraph(event) {
  return event.getModifierState("AltGraph");
}

/** Whether what has the focus has a use of its own for a key. */
function isMeant({ target, key }) {
  if (!(target instanceof Element)) return false;
  if (target.closest(FIELDS)) return true;
  if (target.closest("button, a, summary")) return key === " " || key === "Enter";
  return Boolean(target.closest("input")) && (key === " " || key.startsWith("Arrow"));
}

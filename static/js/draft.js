// What is typed into the form of the studio is kept in this browser, and is there again after a reload or on the way back
// to the studio; each tab has its own, a new one begins with the last. A link that says what to make wins. The page is
// not painted before this has run, so it takes no other script along; `catch-up.js` tells those what the form holds.

const KEY = "studio-draft";
const recipe = () => document.getElementById("recipe");
let isAskedFor = false; // the form of the checkpoint that the draft is for

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY));
  } catch {
    return null; // no storage, or something else's
  }
}

function write(text) {
  try {
    for (const storage of [sessionStorage, localStorage]) text === null ? storage.removeItem(KEY) : storage.setItem(KEY, text);
  } catch {
    // nothing is kept, as this browser was told
  }
}

/** A form that begins from a picture is not kept: without that picture it would make another one. */
function save() {
  const form = recipe();
  if (!form || form.elements.image) return;
  const fields = [...form.elements].filter(({ name, type, checked }) => name && (type !== "radio" || checked));
  const values = fields.map((field) => [field.name, field.type === "checkbox" ? field.checked : field.value]);
  write(JSON.stringify({ of: location.search, fields: Object.fromEntries(values) }));
}

function fill(fields) {
  const form = recipe();
  const isOther = fields.checkpoint !== form.elements.checkpoint.value;
  for (const [name, value] of Object.entries(fields)) {
    if (isOther && !["prompt", "negative_prompt", "count"].includes(name)) continue; // the rest suits its checkpoint
    const field = form.elements[name];
    if (!field || field.type === "hidden" || field.value === value || misses(field, value)) continue;
    if (field.type === "checkbox") field.checked = value;
    else field.value = value;
    const slider = form.querySelector(`[data-mirrors="${CSS.escape(name)}"]`);
    if (slider) slider.value = value;
    const folded = field.closest?.(".advanced");
    if (folded && (field.type !== "checkbox" || value)) folded.open = true;
  }
}

/** Whether a list of choices lacks this one, or does not let it be chosen. */
function misses(field, value) {
  return field instanceof HTMLSelectElement && ![...field.options].some((option) => option.value === value && !option.disabled);
}

function restore() {
  const kept = read();
  const { type } = performance.getEntriesByType("navigation")[0];
  const isMeant = location.search ? type !== "navigate" && kept?.of === location.search : location.pathname === "/";
  const form = recipe();
  if (!form || !kept?.fields || !isMeant || form.elements.image) return;
  const { checkpoint } = form.elements;
  if (checkpoint.type !== "hidden" && checkpoint.value !== kept.fields.checkpoint && !misses(checkpoint, kept.fields.checkpoint)) {
    checkpoint.value = kept.fields.checkpoint;
    isAskedFor = true;
    document.addEventListener("DOMContentLoaded", () => checkpoint.dispatchEvent(new Event("change", { bubbles: true })));
  }
  fill(kept.fields);
}

restore();
document.addEventListener("input", ({ target }) => target.form === recipe() && save());
document.addEventListener("htmx:after:swap", ({ target }) => {
  if (target.id !== "recipe") return;
  if (isAskedFor) fill(read().fields);
  isAskedFor = false;
  save();
});
document.addEventListener("click", ({ target }) => target.closest("[data-forget-draft]") && write(null));
addEventListener("storage", ({ key, newValue }) => key === KEY && newValue === null && sessionStorage.removeItem(KEY));

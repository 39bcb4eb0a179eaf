// Puts the canvas together: stage, panel, strip, steps and server, and which button or key does what.

import { openPicture } from "./api.js";
import { Bin } from "./bin.js";
import { awaitPictures } from "./incoming.js";
import { Keys } from "./keys.js";
import { Numbers } from "./numbers.js";
import { Panel } from "./panel.js";
import { picture } from "./png.js";
import { isLost, isStale } from "./saver.js";
import { Session } from "./session.js";
import { Staging } from "./staging.js";
import { Status } from "./status.js";
import { Walk } from "./walk.js";
import { Workbench } from "./workbench.js";

const KEPT_BYTES = 16 * 1024; // of JSON, as the server takes
const ZOOM_STEP = 1.25;
const root = document.querySelector("[data-canvas]");
const status = new Status(root);
const bin = new Bin(root.querySelector("[data-bin]"));
const workbench = new Workbench(root, {
  maskChanged() {
    bin.isNewest = false;
    lookAtPicture();
    session.touch("mask");
    describe({ aloud: true });
  },
  frameChanged({ final }) {
    if (isOpen) lookAtPicture();
    if (final) session.touch("frame");
    if (final) bin.isNewest = false;
    describe({ aloud: final });
  },
  settingsChanged() {
    showBrush();
    session.touch("settings");
  },
  drawingBegan: lookAtPicture,
});
const staging = new Staging(root.querySelector("[data-strip-root]"), { onLook: look, act: decide });
const panel = new Panel(root.querySelector("form[data-panel]"), {
  changed: () => session.touch("settings"),
  send: generate,
  reveal: (field) => field.closest(".canvas-more") && openSheet(),
});
const walk = new Walk(root.querySelector("[data-walk]"), { go: (id) => attempt(() => session.checkout(id), "Went to another step.") });
const numbers = new Numbers(root.querySelector("[data-numbers]"), workbench);
const session = new Session(root.dataset.canvas, {
  staging,
  parts: {
    frame: () => workbench.frame,
    settings: kept,
  },
  adopt,
  changed: ({ image, history, discarded }) => {
    walk.show([...history].reverse(), image.id);
    status.links(image);
    bin.show(discarded);
    describe();
  },
  isBusy: () => workbench.isBusy,
  saved: (state, refusal) => status.saved(state, refusal),
});

let isOpen = false;

/** What is to be found again: form and brush; prompts that are too long for that are left out. */
function kept() {
  const { size, hardness } = workbench.settings;
  const all = { form: panel.fields, brush: { size, hardness } };
  if (new Blob([JSON.stringify(all)]).size <= KEPT_BYTES) return all;
  const { prompt, negative_prompt, ...form } = all.form;
  return { ...all, form };
}

function adopt({ picture: taken, mask, frame, canvas }) {
  const { view, frame: before } = workbench;
  const isSamePlane = isOpen && (taken.width === before.width && taken.height === before.height);
  if (isSamePlane) view.pan(before.x * view.scale, before.y * view.scale); // what was at a place stays there
  workbench.open({ picture: taken, mask, frame, grain: Number(root.dataset.grain) });
  if (!isSamePlane) workbench.fit();
  else workbench.viewChanged();
  if (!isOpen) restore(canvas.settings);
  isOpen = true;
  root.dataset.state = "ready";
  numbers.update();
}

function restore({ form = {}, brush = {} }) {
  panel.fields = form;
  workbench.brush = brush;
  session.forget();
}

/** What is drawn concerns the picture, so it is shown instead of a candidate. */
function lookAtPicture() {
  if (staging.chosen) staging.choose(null);
}

function describe({ aloud = false } = {}) {
  if (!workbench.mask) return;
  status.describe(workbench, { aloud, canUndo: workbench.history.canUndo || bin.last !== null });
  numbers.update();
}

let looks = 0;

async function look() {
  const candidate = staging.seen;
  const turn = ++looks;
  root.toggleAttribute("data-comparing", Boolean(staging.chosen && !candidate));
  status.candidate(staging.inWords);
  const url = candidate?.image?.url ?? candidate?.preview_url;
  if (!candidate || !url) return workbench.look(staging.chosen ? { frame: staging.chosen.frame } : null);
  const image = await picture(url).catch(() => null);
  if (turn === looks && image) workbench.look({ image, frame: candidate.frame, isFinal: Boolean(candidate.image) });
}

/** Do something with the server, and say when it does not work. Returns whether it did. */
async function attempt(act, done) {
  try {
    await act();
    status.refuse(null);
    if (done) status.say(done);
    return true;
  } catch (refusal) {
    if (isLost(refusal)) session.refresh(); // perhaps the canvas itself
    if (!isStale(refusal)) status.refuse(refusal, refusal.fields ? panel.showFaults(refusal.fields) : []);
    return false;
  }
}

async function generate() {
  if (panel.busy) return;
  panel.showFaults([]);
  panel.busy = true;
  status.refuse(null);
  await attempt(() => session.generate(panel.request), "Asked for candidates.");
  panel.busy = false;
}

const underWay = new Set(); // jobs of candidates of which something is becoming

/** Let one thing become of a candidate: until that is done it may still be the one that is chosen. */
async function decide(what) {
  const { chosen } = staging;
  const about = what === "keep" ? "all" : chosen?.job;
  if (!about || underWay.has(about)) return;
  underWay.add(about);
  if (what === "accept" && chosen?.image) await attempt(() => session.accept(chosen.image.id), "Accepted. It is the picture now.");
  if (what === "discard" && chosen) {
    const hadFocus = staging.hasFocus;
    if ((await attempt(() => session.discard(about), "Discarded. Undo brings it back.")) && hadFocus && !staging.count) bin.focus();
  }
  if (what === "retry" && chosen) await attempt(() => session.retry(chosen), "It is being made again.");
  if (what === "keep") await attempt(() => session.keep(), "All candidates are kept in the gallery.");
  underWay.delete(about);
}

/** Bring back what was discarded last. */
async function bringBack() {
  const { last, hasFocus } = bin;
  if (!last || underWay.has(last)) return;
  underWay.add(last);
  await attempt(() => session.restore(last), "It is back.");
  underWay.delete(last);
  if (hasFocus && !bin.last) staging.focus();
}

/** Take back what was done last: what was discarded, or something on the stage. */
function undo() {
  if (bin.last && (bin.isNewest || !workbench.history.canUndo)) bringBack();
  else workbench.undo();
}

const MASK_ACTS = { invert: (mask) => mask.invert(), fill: (mask) => mask.fill(), clear: (mask) => mask.clear() };
const ACTS = {
  undo,
  redo: () => workbench.redo(),
  "bring-back": bringBack,
  "zoom-in": () => workbench.zoom(ZOOM_STEP),
  "zoom-out": () => workbench.zoom(1 / ZOOM_STEP),
  "zoom-all": () => workbench.zoomTo(1),
  fit: () => workbench.fit(),
  keys: () => root.querySelector("[data-keys]").showModal(),
  reload: () => attempt(() => session.reload(), "Loaded what was saved elsewhere."),
  insist: () => attempt(() => session.insist(), "Kept what is here."),
};

root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-tool-name], [data-mask-act], [data-act], [data-sheet]");
  if (!button) return;
  if (button.dataset.toolName) workbench.choose(button.dataset.toolName);
  else if (button.dataset.maskAct) workbench.change(MASK_ACTS[button.dataset.maskAct]);
  else if (button.dataset.act) ACTS[button.dataset.act]();
  else toggleSheet(button);
});

function toggleSheet(button) {
  const isOpenNow = root.toggleAttribute("data-sheet-open");
  button.setAttribute("aria-expanded", String(isOpenNow));
}

/** Open the sheet of settings, where it is one: what is on it can have the focus then. */
function openSheet() {
  const button = root.querySelector("[data-sheet]");
  if (!root.hasAttribute("data-sheet-open") && button.checkVisibility()) toggleSheet(button);
}

/** Close the sheet of settings that covers the stage of a phone. Returns whether there was one. */
function closeSheet() {
  const button = root.querySelector("[data-sheet]");
  const isCovered = root.hasAttribute("data-sheet-open") && button.checkVisibility();
  if (isCovered) toggleSheet(button);
  return isCovered;
}

const stage = root.querySelector("[data-stage]");
stage.addEventListener("pointerdown", (event) => closeSheet() && event.stopImmediatePropagation(), { capture: true });

root.addEventListener("input", ({ target }) => {
  if (target.dataset.brush === "size" && Number(target.value)) workbench.brush = { size: Number(target.value) };
  if (target.dataset.brush === "hardness") workbench.brush = { hardness: Number(target.value) / 100 };
  if (target.dataset.brush === "remove") workbench.settings.remove = target.checked;
});

root.addEventListener("focusout", ({ target }) => target.dataset.brush && showBrush()); // what it has become

function showBrush() {
  for (const field of root.querySelectorAll("[data-brush=size]")) {
    if (field !== document.activeElement || field.type === "range") field.value = workbench.settings.size;
  }
  root.querySelector("[data-brush=hardness]").value = Math.round(workbench.settings.hardness * 100);
}

new Keys(
  {
    "[": () => workbench.resizeBrush(-1),
    "]": () => workbench.resizeBrush(1),
    "ctrl+z": undo,
    "ctrl+shift+z": () => workbench.redo(),
    "ctrl+y": () => workbench.redo(),
    "ctrl+Enter": () => root.querySelector("form[data-panel]").requestSubmit(),
    Escape: () => closeSheet() || workbench.abandon(),
    Backspace: () => workbench.change(MASK_ACTS.clear), // small keyboards have no Delete
    "?": ACTS.keys,
    ArrowLeft: () => staging.step(-1),
    ArrowRight: () => staging.step(1),
  },
  { " ": (isDown) => (workbench.holdsPan = isDown), c: (isDown) => staging.compare(isDown) },
);

awaitPictures(root, { take: (file) => attempt(() => openPicture(file)), refuse: (words) => status.refuse(new Error(words)) });
workbench.choose("brush");
showBrush();
if (!(await attempt(() => session.start()))) root.dataset.state = "failed";

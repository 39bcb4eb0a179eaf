// The server's canvas, over its JSON API. A refusal is a `Refusal` with its code and the fields that are wrong.

import { shrunk } from "./shrink.js";

export class Refusal extends Error {
  constructor({ code = "", message, fields = [] }) {
    super(message);
    this.code = code;
    this.fields = fields;
  }
}

const UNREACHABLE = "The server does not answer.";

/** Ask and return the JSON that is answered, null if there is none. */
export async function ask(method, path, { json, body, headers = {}, ...options } = {}) {
  const type = json === undefined ? {} : { "Content-Type": "application/json" };
  const sent = { method, body: json === undefined ? body : JSON.stringify(json), headers: { ...type, ...headers }, ...options };
  const response = await fetch(path, sent).catch(() => {
    throw new Refusal({ message: UNREACHABLE });
  });
  const text = await response.text();
  const answer = parse(text);
  if (!response.ok) throw new Refusal(answer?.error ?? { message: `The server answered ${response.status}.` });
  return answer;
}

/** Send a file and go to a canvas that holds it. */
export async function openPicture(file) {
  const body = new FormData();
  body.append("file", await shrunk(file));
  const { id } = await ask("POST", "/api/images", { body });
  const canvas = await ask("POST", "/api/canvases", { json: { image_id: id } });
  location.assign(`/canvas/${canvas.id}`);
}

function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

// The mask as a PNG file, white where it repaints, and back. Grey pixels are opaque, so no byte is lost on the way.

let worker = null; // begun with the first file

/** A PNG of what the mask holds now; it is made beside the page, which a large one would hold up for a quarter of a second. */
export function encode(mask) {
  const thread = (worker ??= new Worker(new URL("./png-worker.js", import.meta.url), { type: "module" }));
  const { width, height } = mask;
  const { port1: here, port2: there } = new MessageChannel();
  const bytes = mask.bytes.slice();
  return new Promise((resolve, reject) => {
    const fail = () => {
      worker = null; // the next file begins another
      reject(new Error("A part of this page could not be loaded."));
    };
    thread.addEventListener("error", fail);
    here.onmessage = ({ data: png }) => {
      here.close();
      thread.removeEventListener("error", fail);
      if (png) resolve(png);
      else reject(new Error("The mask could not be turned into a file."));
    };
    thread.postMessage({ width, height, bytes, answer: there }, [bytes.buffer, there]);
  });
}

/** Fill `mask` with what the file at `url` holds. */
export async function load(mask, url) {
  const image = await picture(url);
  const canvas = document.createElement("canvas");
  canvas.width = mask.width;
  canvas.height = mask.height;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  const { data } = pen.getImageData(0, 0, mask.width, mask.height);
  for (let at = 0; at < mask.bytes.length; at++) mask.bytes[at] = data[4 * at];
}

/** The decoded picture at `url`. Raises where there is none. */
export async function picture(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`There is no picture at ${url}.`);
  return createImageBitmap(await response.blob(), { colorSpaceConversion: "none" });
}

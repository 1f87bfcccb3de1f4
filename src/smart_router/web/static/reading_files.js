// A file, or an address, as an attachment; what cannot be one is a Trouble.
import { Trouble, tooLarge } from "./trouble.js";

const BY_ENDING = {
  __proto__: null, // "constructor" is no ending
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  bmp: "image/bmp",
  wav: "audio/wav",
  mp3: "audio/mpeg",
  ogg: "audio/ogg",
  opus: "audio/ogg",
  flac: "audio/flac",
  m4a: "audio/mp4",
  aac: "audio/aac",
  mp4: "video/mp4",
  webm: "video/webm",
  mov: "video/quicktime",
  mkv: "video/x-matroska",
  avi: "video/x-msvideo",
};
const PLAIN_TYPE = /^(image|audio|video)\/[A-Za-z0-9.+-]+$/;

/** `{kind, name, size, data, mediaType, preview}`; *preview* is an address within this page. Throws Trouble. */
export async function readFile(file, mostBytes) {
  const mediaType = typeOf(file);
  if (mediaType === null) {
    throw new Trouble(
      "files",
      `“${file.name || "This file"}” is not a picture, a sound or a video.`,
      "Attach one of those, or paste the text itself.",
    );
  }
  if (file.size === 0) throw new Trouble("files", `“${file.name}” is empty.`, "Attach another file.");
  const asText = Math.ceil(file.size / 3) * 4; // in base64
  if (asText > mostBytes) throw tooLarge(asText, mostBytes);
  const data = await base64(file);
  return {
    kind: mediaType.split("/")[0],
    name: file.name || "pasted",
    size: file.size,
    data,
    mediaType,
    url: null,
    preview: URL.createObjectURL(file),
  };
}

/** Throws Trouble. */
export function fromAddress(given, kind) {
  let url;
  try {
    url = new URL(given.trim());
  } catch {
    throw new Trouble("files", "That is not an address.", "It should look like https://example.org/picture.png.");
  }
  if (!["http:", "https:"].includes(url.protocol)) {
    throw new Trouble(
      "files",
      `An address that begins with ${url.protocol} cannot be attached.`,
      "Use one that begins with https:// or http://, or attach the file itself.",
    );
  }
  if (url.href.length > 4096) throw new Trouble("files", "That address is too long.", "Attach the file itself.");
  return { kind, name: url.pathname.split("/").pop() || url.host, size: null, url: url.href, preview: null };
}

/** By the address's ending; null where it says nothing. */
export function kindOfAddress(given) {
  const ending = /\.([a-z0-9]{2,5})(?:[?#]|$)/i.exec(given.trim())?.[1].toLowerCase();
  return BY_ENDING[ending]?.split("/")[0] ?? null;
}

export function forget(attachment) {
  if (attachment.preview) URL.revokeObjectURL(attachment.preview);
}

function typeOf({ type, name = "" }) {
  const plain = type.split(";")[0].trim().toLowerCase();
  if (PLAIN_TYPE.test(plain)) return plain;
  return plain === "" ? (BY_ENDING[name.split(".").pop().toLowerCase()] ?? null) : null;
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () =>
      reject(
        new Trouble(
          "files",
          `“${file.name}” could not be read.`,
          "It may have been moved or changed: attach it again.",
        ),
      );
    reader.readAsDataURL(file);
  });
}

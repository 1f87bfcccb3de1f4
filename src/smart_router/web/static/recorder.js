// Records from the microphone, and gives a WAV file; what stands in the way is a Trouble.
import { Trouble } from "./trouble.js";
import { wavOf } from "./wav.js";

const RATE = 16_000; // samples a second: what speech models are made for
export const LONGEST_S = 300;

export class Recorder {
  #stream;
  #recorder;
  #pieces = [];
  #sound;
  #analyser;

  /** Throws Trouble: there is no microphone, or it is refused. */
  static async begin() {
    if (!navigator.mediaDevices?.getUserMedia || !globalThis.MediaRecorder) {
      throw new Trouble(
        "files",
        "This page cannot reach a microphone.",
        "Browsers allow it only over https or on localhost: open the page there, or attach a recording as a file.",
      );
    }
    let stream = null;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      return new Recorder(stream);
    } catch (error) {
      for (const track of stream?.getTracks() ?? []) track.stop();
      throw inWords(error);
    }
  }

  constructor(stream) {
    this.#stream = stream;
    this.#recorder = new MediaRecorder(stream);
    this.#recorder.addEventListener("dataavailable", ({ data }) => this.#pieces.push(data));
    this.#recorder.start();
    this.began = performance.now();
    this.#sound = new AudioContext();
    this.#analyser = this.#sound.createAnalyser();
    this.#analyser.fftSize = 512;
    this.#sound.createMediaStreamSource(stream).connect(this.#analyser);
  }

  get seconds() {
    return (performance.now() - this.began) / 1000;
  }

  /** How loud it is just now, 0..1. */
  get level() {
    const samples = new Float32Array(this.#analyser.fftSize);
    this.#analyser.getFloatTimeDomainData(samples);
    return Math.min(1, 3 * Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length));
  }

  /** Ends, where the microphone has not gone before, and gives the recording as a file. Throws Trouble: there is none. */
  async finish() {
    if (this.#recorder.state !== "inactive") {
      const ended = new Promise((resolve) => this.#recorder.addEventListener("stop", resolve, { once: true }));
      this.#recorder.stop();
      await ended;
    }
    const recorded = new Blob(this.#pieces, { type: this.#recorder.mimeType });
    this.#release();
    if (recorded.size === 0) throw nothingHeard();
    return this.#asFile(recorded);
  }

  discard() {
    if (this.#recorder.state !== "inactive") this.#recorder.stop();
    this.#release();
  }

  #release() {
    for (const track of this.#stream.getTracks()) track.stop();
    this.#sound.close().catch(() => {}); // closed already
  }

  /** As WAV; as the browser recorded it where it cannot read that itself. */
  async #asFile(recorded) {
    const name = `recording ${new Date().toLocaleTimeString()}`;
    try {
      const heard = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await recorded.arrayBuffer());
      const mixer = new OfflineAudioContext(1, Math.max(1, Math.ceil(heard.duration * RATE)), RATE);
      const source = mixer.createBufferSource();
      source.buffer = heard;
      source.connect(mixer.destination);
      source.start();
      const mixed = await mixer.startRendering();
      return new File([wavOf(mixed.getChannelData(0), RATE)], `${name}.wav`, { type: "audio/wav" });
    } catch {
      return new File([recorded], name, { type: recorded.type.split(";")[0] || "audio/webm" });
    }
  }
}

function inWords(error) {
  if (error.name === "NotAllowedError" || error.name === "SecurityError") {
    return new Trouble(
      "files",
      "The microphone was refused.",
      "Allow it for this page in the browser's address bar and press the microphone again, " +
        "or attach a recording as a file.",
    );
  }
  if (error.name === "NotFoundError" || error.name === "OverconstrainedError") {
    return new Trouble(
      "files",
      "No microphone was found.",
      "Connect one and try again, or attach a recording as a file.",
    );
  }
  return new Trouble(
    "files",
    "The microphone does not work.",
    "Another program may be using it: close that and try again, or attach a recording as a file.",
  );
}

function nothingHeard() {
  return new Trouble("files", "Nothing was recorded.", "Check that the right microphone is chosen, and try again.");
}

// The ways in for files: the picker, dropping, pasting, an address, the microphone.
import { byId, fill, say } from "./dom.js";
import { clock } from "./format.js";
import { icon } from "./icons.js";
import { dismiss, notify } from "./notices.js";
import { fromAddress, kindOfAddress } from "./reading_files.js";
import { LONGEST_S, Recorder } from "./recorder.js";
import { Trouble } from "./trouble.js";

export function installAttaching(composer) {
  installPicker(composer);
  installDropping(composer);
  installPasting(composer);
  installAddress(composer);
  installMicrophone(composer);
}

function installPicker(composer) {
  const input = byId("files");
  byId("attach").addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    const files = [...input.files];
    input.value = "";
    await composer.attach(files);
  });
}

function installDropping(composer) {
  let depth = 0; // each element under the pointer tells of its own entering and leaving
  const show = (shown) => {
    byId("drop").hidden = !shown;
    if (!shown) depth = 0;
  };
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    show(true);
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth -= 1;
    if (depth <= 0) show(false);
  });
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    show(false);
    await composer.attach([...event.dataTransfer.files]);
  });
}

function installPasting(composer) {
  composer.box.addEventListener("paste", async (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || isOfWords(event.clipboardData)) return;
    event.preventDefault();
    await composer.attach(files);
  });
}

/** Word processors and spreadsheets add a picture of what was copied. */
function isOfWords({ types }) {
  return types.includes("text/plain") && types.includes("text/html");
}

function installAddress(composer) {
  const dialog = byId("address-dialog");
  const address = byId("address");
  const kind = byId("address-kind");
  byId("attach-address").addEventListener("click", () => {
    address.value = "";
    say(byId("address-error"), "");
    dialog.showModal();
  });
  address.addEventListener("input", () => {
    const guessed = kindOfAddress(address.value);
    if (guessed) kind.value = guessed;
  });
  byId("address-form").addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      composer.add(fromAddress(address.value, kind.value));
      dialog.close();
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      say(byId("address-error"), `${error.title} ${error.advice}`);
      address.focus();
    }
  });
}

function installMicrophone(composer) {
  const strip = byId("recording");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let recorder = null;
  let asked = false; // the browser asks the user whether it may
  let ticking = 0;

  const show = (recording) => {
    strip.hidden = !recording;
    composer.form.classList.toggle("recording", recording);
    clearInterval(ticking);
  };
  const tick = () => {
    say(byId("recording-time"), clock(recorder.seconds));
    if (!still.matches) byId("recording-level").style.setProperty("--share", recorder.level.toFixed(2));
    if (recorder.seconds >= LONGEST_S) told(finish);
  };
  const begin = async () => {
    if (recorder || asked) return;
    dismiss("composer");
    asked = true;
    try {
      recorder = await Recorder.begin();
    } finally {
      asked = false;
    }
    show(true);
    tick();
    ticking = setInterval(tick, 100);
    byId("recording-stop").focus();
  };
  const finish = async () => {
    const finished = recorder;
    recorder = null;
    show(false);
    if (finished) await composer.attach([await finished.finish()]);
  };
  const discard = () => {
    recorder?.discard();
    recorder = null;
    show(false);
    byId("record").focus();
  };
  byId("record").addEventListener("click", () => told(begin));
  byId("recording-stop").addEventListener("click", () => told(finish));
  byId("recording-discard").addEventListener("click", discard);
  strip.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    discard();
  });
  fill(byId("recording-stop"), icon("check"), "Keep");
  fill(byId("recording-discard"), icon("bin"), "Discard");
}

async function told(run) {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    notify("composer", error.title, error.advice);
  }
}

// Sound as a WAV file of 16 bits and one channel, which every speech model reads. Pure.

/** *samples* in -1..1. */
export function wavOf(samples, rate) {
  const bytes = new DataView(new ArrayBuffer(44 + samples.length * 2));
  const letters = (at, text) => [...text].forEach((letter, i) => bytes.setUint8(at + i, letter.charCodeAt(0)));
  letters(0, "RIFF");
  bytes.setUint32(4, 36 + samples.length * 2, true);
  letters(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true); // uncompressed
  bytes.setUint16(22, 1, true);
  bytes.setUint32(24, rate, true);
  bytes.setUint32(28, rate * 2, true);
  bytes.setUint16(32, 2, true);
  bytes.setUint16(34, 16, true);
  letters(36, "data");
  bytes.setUint32(40, samples.length * 2, true);
  samples.forEach((sample, i) =>
    bytes.setInt16(44 + i * 2, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true),
  );
  return bytes.buffer;
}

// npm's bbqr (Coinkite's own), called by run.mjs.
const hex = (bytes) => Buffer.from(bytes).toString("hex");

// The parts of a payload: {data, type, options} -> version, encoding and parts as they chose them.
export async function split({ data, type, options = {} }, load) {
  const { splitQRs } = await load("bbqr");
  const { version, encoding, parts } = splitQRs(new Uint8Array(Buffer.from(data, "hex")), type, options);
  return { version, encoding, parts };
}

// What they make of parts: {parts} -> type, encoding and data.
export async function join({ parts }, load) {
  const { joinQRs } = await load("bbqr");
  const { fileType, encoding, raw } = joinQRs(parts);
  return { type: fileType, encoding, data: hex(raw) };
}

// npm's @ngraveio/bc-ur and @keystonehq/bc-ur-registry, called by run.mjs.
const bcUr = (load) => load("@ngraveio/bc-ur");
const registry = (load) => load("@keystonehq/bc-ur-registry");
const hex = (bytes) => Buffer.from(bytes).toString("hex");

// The parts of a UR: {type, cbor, fragment, count, first} -> texts, from sequence number `first` (1 unless told) on.
export async function encode({ type, cbor, fragment, count, first = 1 }, load) {
  const { UR, UREncoder } = await bcUr(load);
  const encoder = new UREncoder(new UR(Buffer.from(cbor, "hex"), type), fragment, first - 1);
  return Array.from({ length: count }, () => encoder.nextPart());
}

// What a decoder makes of texts: {texts} -> type, cbor, how many texts it took until it was whole.
export async function decode({ texts }, load) {
  const { URDecoder } = await bcUr(load);
  const decoder = new URDecoder();
  for (const [at, text] of texts.entries()) {
    decoder.receivePart(text);
    if (decoder.isComplete()) {
      if (!decoder.isSuccess()) throw new Error(decoder.resultError());
      const ur = decoder.resultUR();
      return { type: ur.type, cbor: hex(ur.cbor), taken: at + 1 };
    }
  }
  return { taken: null };
}

// The indexes that sequence numbers mix: {numbers, fragments, checksum} -> a sorted list for each number.
export async function indexes({ numbers, fragments, checksum }, load) {
  const { chooseFragments } = await load("@ngraveio/bc-ur/dist/fountainUtils.js");
  return numbers.map((one) => chooseFragments(one, fragments, checksum).sort((a, b) => a - b));
}

export async function psbt({ cbor }, load) {
  const { CryptoPSBT } = await registry(load);
  return hex(CryptoPSBT.fromCBOR(Buffer.from(cbor, "hex")).getPSBT());
}

export async function psbtParts({ psbt, fragment, count }, load) {
  const { CryptoPSBT } = await registry(load);
  const encoder = new CryptoPSBT(Buffer.from(psbt, "hex")).toUREncoder(fragment);
  return Array.from({ length: count }, () => encoder.nextPart());
}

const key = (one) => ({
  key: hex(one.getKey()),
  chainCode: hex(one.getChainCode()),
  path: one.getOrigin().getPath(),
  fingerprint: hex(one.getOrigin().getSourceFingerprint() ?? Buffer.alloc(0)),
  depth: one.getOrigin().getDepth() ?? null,
  parent: hex(one.getParentFingerprint()),
  network: one.getUseInfo()?.getNetwork() ?? 0,
  children: one.getChildren()?.getPath() ?? null,
  xpub: one.getBip32Key(),
});

// A crypto-output as their classes see it, and as they write it again.
export async function output({ cbor }, load) {
  const { CryptoOutput } = await registry(load);
  const read = CryptoOutput.fromCBOR(Buffer.from(cbor, "hex"));
  const multi = read.getMultiKey();
  return {
    scripts: read.getScriptExpressions().map((one) => one.getExpression()),
    threshold: multi?.getThreshold() ?? null,
    keys: multi ? multi.getKeys().map(key) : [key(read.getHDKey())],
    cbor: hex(read.toCBOR()),
  };
}

// A crypto-account as their classes see it, and as they write it again.
export async function account({ cbor }, load) {
  const { CryptoAccount } = await registry(load);
  const read = CryptoAccount.fromCBOR(Buffer.from(cbor, "hex"));
  return {
    fingerprint: hex(read.getMasterFingerprint()),
    outputs: read.getOutputDescriptors().map((one) => ({
      scripts: one.getScriptExpressions().map((each) => each.getExpression()),
      key: key(one.getHDKey()),
    })),
    cbor: hex(read.toCBOR()),
  };
}

const hdKey = (classes, { publicKey, chainCode, parent, path, fingerprint, network, children }) => {
  const steps = path.map(([index, hardened]) => new classes.PathComponent({ index, hardened }));
  return new classes.CryptoHDKey({
    isMaster: false,
    key: Buffer.from(publicKey, "hex"),
    chainCode: Buffer.from(chainCode, "hex"),
    parentFingerprint: Buffer.from(parent, "hex"),
    useInfo: new classes.CryptoCoinInfo(undefined, network),
    origin: new classes.CryptoKeypath(steps, Buffer.from(fingerprint, "hex"), path.length),
    children: children
      ? new classes.CryptoKeypath(children.map(([index, hardened]) => new classes.PathComponent({ index, hardened })))
      : undefined,
  });
};

// A crypto-output wsh(sortedmulti(…)) made by their classes: {threshold, keys} -> cbor.
export async function makeOutput({ threshold, keys }, load) {
  const classes = await registry(load);
  const { CryptoOutput, MultiKey, ScriptExpressions } = classes;
  const multi = new MultiKey(threshold, keys.map((one) => hdKey(classes, one)));
  const scripts = [ScriptExpressions.WITNESS_SCRIPT_HASH, ScriptExpressions.SORTED_MULTISIG];
  return hex(new CryptoOutput(scripts, multi).toCBOR());
}

// A crypto-account with one wsh key made by their classes: {fingerprint, key} -> cbor.
export async function makeAccount({ fingerprint, key: one }, load) {
  const classes = await registry(load);
  const { CryptoAccount, CryptoOutput, ScriptExpressions } = classes;
  const output = new CryptoOutput([ScriptExpressions.WITNESS_SCRIPT_HASH], hdKey(classes, one));
  return hex(new CryptoAccount(Buffer.from(fingerprint, "hex"), [output]).toCBOR());
}

// How long a decoder takes for texts: {texts} -> milliseconds of the longest call and of all, how many it took.
export async function timed({ texts }, load) {
  const { URDecoder } = await bcUr(load);
  const decoder = new URDecoder();
  let longest = 0;
  let total = 0;
  for (const [at, text] of texts.entries()) {
    const start = performance.now();
    decoder.receivePart(text);
    const spent = performance.now() - start;
    longest = Math.max(longest, spent);
    total += spent;
    if (decoder.isComplete()) return { longest, total, taken: at + 1 };
  }
  return { longest, total, taken: null };
}

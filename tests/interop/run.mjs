// Runs other people's UR and BBQr code for the tests: JSON in on stdin, JSON out on stdout.
//
//   node run.mjs FOLDER < calls.json      FOLDER holds node_modules
//
// Input is a list of calls, {"do": "ur.decode", …}: the part before the dot is the module here (ur.mjs, bbqr.mjs),
// the part after it a function that it exports, called with the whole call and with `load`, which imports a package
// from FOLDER. Output is a list of {"result": …} or {"error": "…"}, one for each call. Bytes are hex in both directions.
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const folder = path.resolve(process.argv[2]);
const required = createRequire(path.join(folder, "package.json"));
const loaders = {
  bbqr: () => import(pathToFileURL(path.join(folder, "node_modules/bbqr/dist/bbqr.js"))),
};
const load = async (name) => (loaders[name] ? loaders[name]() : required(name));

let text = "";
for await (const chunk of process.stdin) text += chunk;
const answers = [];
for (const call of JSON.parse(text)) {
  const [module, name] = call.do.split(".");
  try {
    const functions = await import(`./${module}.mjs`);
    answers.push({ result: await functions[name](call, load) });
  } catch (error) {
    answers.push({ error: String(error?.message ?? error) });
  }
}
process.stdout.write(JSON.stringify(answers));

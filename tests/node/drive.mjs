// Drives a server with GitHub's own client: the calls come as JSON on stdin, what each gave goes as JSON to stdout.
//
// A call is [name, parameters], such as ["git.getRef", {...}]; with "paginate:" before the name all pages are read.
// A text "$2.data.sha" in the parameters stands for that part of what call number 2 (from 0) gave.

import { Octokit } from "@octokit/rest";

const { baseUrl, auth, calls } = JSON.parse(await read(process.stdin));
const octokit = new Octokit({ baseUrl, auth, log: { debug() {}, info() {}, warn() {}, error() {} } });
const given = [];
for (const [name, parameters] of calls) {
  given.push(await call(name, filled(parameters)));
}
process.stdout.write(JSON.stringify(given));

async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf-8");
}

function filled(value) {
  if (typeof value === "string" && /^\$\d+\./.test(value)) {
    const [number, ...path] = value.slice(1).split(".");
    return path.reduce((part, key) => part[key], given[Number(number)]);
  }
  if (Array.isArray(value)) return value.map(filled);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, filled(inner)]));
  }
  return value;
}

async function call(name, parameters) {
  const [group, method] = name.replace("paginate:", "").split(".");
  try {
    if (name.startsWith("paginate:")) {
      return { status: 200, data: await octokit.paginate(octokit.rest[group][method], parameters) };
    }
    const { status, data, headers } = await octokit.rest[group][method](parameters);
    return { status, data, headers };
  } catch (error) {
    if (error.status === undefined) throw error;
    return { status: error.status, message: error.message, headers: error.response?.headers ?? {} };
  }
}

// Perfetto's own trace processor, as its UI runs it, for a program that talks to it through pipes.
//
// node trace_processor.js FOLDER: the folder holds the UI's `engine_bundle.js` and the WebAssembly.
// Bytes of its RPC go in through the standard input and come out through the standard output.
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const folder = process.argv[2];

// What the bundle expects of the web worker that it runs in.
console.log = console.warn = console.error;
process.type = "renderer";
globalThis.self = globalThis;
globalThis.WorkerGlobalScope = class {};
globalThis.importScripts = () => {};
globalThis.location = { href: "http://localhost/engine_bundle.js" };
globalThis.XMLHttpRequest = class {
  open(_method, name) {
    this.file = path.join(folder, path.basename(name));
  }
  send() {
    this.response = fs.readFileSync(this.file);
  }
};

const port = {
  postMessage(reply) {
    for (let at = 0; at < reply.length; ) at += fs.writeSync(1, reply, at);
  },
};
vm.runInThisContext(fs.readFileSync(path.join(folder, "engine_bundle.js"), "utf8"));
globalThis.onmessage({ data: port });
setImmediate(() => {
  process.stdin.on("data", (bytes) => port.onmessage({ data: new Uint8Array(bytes) }));
});

// Perfetto's trace processor as its web page runs it: WebAssembly in a worker. Node takes the place of the worker, and
// standard input and output that of the port through which the page sends requests and gets replies.
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const bundle = process.argv[2];
const { stdin } = process;
const beside = (url) => fs.readFileSync(path.join(path.dirname(bundle), path.basename(String(url))));

globalThis.self = globalThis;
globalThis.location = { href: `file://${bundle}` };
globalThis.WorkerGlobalScope = function () {};
globalThis.importScripts = () => {};
globalThis.fetch = async (url) => new Response(beside(url), { headers: { "Content-Type": "application/wasm" } });
globalThis.XMLHttpRequest = class {
  open(_method, url) {
    this.url = url;
  }
  send() {
    this.status = 200;
    this.response = new Uint8Array(beside(this.url)).buffer;
  }
};
console.log = console.warn = console.error = (...words) => fs.writeSync(2, words.join(" ") + "\n");
delete globalThis.process; // else the bundle takes this for a page under Node, and refuses
vm.runInThisContext(fs.readFileSync(bundle, "utf8"), { filename: bundle });

const port = {
  postMessage(bytes) {
    for (let at = 0; at < bytes.length; ) at += fs.writeSync(1, bytes, at);
  },
};
globalThis.onmessage({ data: port });
stdin.on("data", (bytes) => port.onmessage({ data: new Uint8Array(bytes) }));

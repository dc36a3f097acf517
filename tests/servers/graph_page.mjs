// Runs the graph's page in a small stand-in for a browser, with a host that answers it, and prints what came
// of it as JSON:  node graph_page.mjs PAGE ANSWER
import { readFileSync } from "node:fs";
import vm from "node:vm";

const [page, answer] = process.argv.slice(2).map((path) => readFileSync(path, "utf-8"));
const script = page.match(/<script>([\s\S]*)<\/script>/)[1];

class Element {
  constructor(name) {
    Object.assign(this, { name, attributes: {}, children: [], heard: {}, textContent: "", focused: false });
    Object.assign(this, { scrollWidth: 900, scrollHeight: 600 });
  }
  setAttribute(key, value) { this.attributes[key] = String(value); }
  appendChild(child) { this.children.push(child); return child; }
  replaceChildren() { this.children = []; }
  addEventListener(what, listener) { this.heard[what] = listener; }
  focus() { this.focused = true; }
  all() { return this.children.flatMap((child) => [child, ...child.all()]); }
  querySelectorAll() {
    return this.all().filter((one) => one.name === "g" && one.attributes.class.startsWith("node"));
  }
  texts() { return [this.textContent, ...this.all().map((one) => one.textContent)].filter(Boolean); }
}

const parts = Object.fromEntries(["said", "picture", "about", "list"].map((id) => [id, new Element(id)]));
const root = new Element("html");
const document = {
  documentElement: root,
  getElementById: (id) => parts[id],
  createElement: (name) => new Element(name),
  createElementNS: (_, name) => new Element(name),
};
const posted = [];
const listeners = [];
const parent = { postMessage: (message) => posted.push(message) };
const window = { parent, addEventListener: (_, listener) => listeners.push(listener) };
const context = vm.createContext({ document, window, console });
const receive = (data, source = parent) => listeners.forEach((listener) => listener({ data, source }));
const settled = () => new Promise((done) => setImmediate(done));

vm.runInContext(script, context);
const hello = posted[0];
receive({
  jsonrpc: "2.0", id: hello.id,
  result: {
    hostCapabilities: { serverTools: {} },
    hostContext: { theme: "dark", toolInfo: { tool: { name: "memory__graph_subgraph" } } },
  },
});
await settled();
receive({ jsonrpc: "2.0", method: "ui/notifications/tool-input", params: { arguments: { space: "mine" } } });
const result = { structuredContent: JSON.parse(answer), content: [] };
receive({ jsonrpc: "2.0", method: "ui/notifications/tool-result", params: result }, { stranger: true });
const strangers = parts.picture.querySelectorAll().length;
receive({ jsonrpc: "2.0", method: "ui/notifications/tool-result", params: result });
const drawn = parts.picture.querySelectorAll().map((group) => ({
  label: group.attributes["aria-label"], kind: group.attributes.class, tabindex: group.attributes.tabindex,
  x: Number(group.children[0].attributes.cx), y: Number(group.children[0].attributes.cy),
}));
const lines = parts.picture.all().filter((one) => one.name === "line").length;
const said = parts.said.textContent;
const list = parts.list.texts();

const key = { key: "Enter", preventDefault() {} };
parts.picture.querySelectorAll()[0].heard.keydown(key);
const about = parts.about.texts();
const button = parts.about.all().find((one) => one.name === "button");
button.heard.click();
const asked = posted.at(-1);
receive({
  jsonrpc: "2.0", id: asked.id,
  result: { structuredContent: { entities: [{ name: "New", entityType: "x", observations: [] }], relations: [] } },
});
await settled();
const grown = parts.picture.querySelectorAll().length;
const before = parts.picture.attributes.viewBox;
parts.picture.heard.keydown({ key: "+", preventDefault() {} });
const zoomed = parts.picture.attributes.viewBox !== before;
receive({ jsonrpc: "2.0", id: 77, method: "ui/resource-teardown", params: {} });
const farewell = posted.at(-1);
receive({ jsonrpc: "2.0", method: "ui/notifications/tool-result", params: { isError: true, content: [{ text: "No." }] } });
console.log(JSON.stringify({
  hello, initialized: posted[1].method, theme: root.attributes["data-theme"], strangers, drawn, lines, said, list,
  about, asked, grown, zoomed, farewell, refused: parts.said.textContent,
  resized: posted.some((message) => message.method === "ui/notifications/size-changed"),
}));

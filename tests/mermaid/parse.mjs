// What Mermaid's own parser makes of flowcharts.
//
// Reads a JSON list of texts from stdin, and writes a list of {error} or {nodes, edges} to stdout:
// nodes by id with their labels, edges as [from, to, label]. Its neighbour is ../test_pictures.py.

import { JSDOM } from "jsdom";

const { window } = new JSDOM("<!doctype html><body></body>");
globalThis.window = window;
globalThis.document = window.document;

const mermaid = (await import("mermaid")).default;
mermaid.initialize({ startOnLoad: false, maxEdges: 100000, maxTextSize: 10000000 });

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const texts = JSON.parse(Buffer.concat(chunks).toString());

const answers = [];
for (const text of texts) {
  try {
    await mermaid.parse(text);
    const { db } = await mermaid.mermaidAPI.getDiagramFromText(text);
    const nodes = Object.fromEntries([...db.getVertices()].map(([id, node]) => [id, node.text]));
    answers.push({ nodes, edges: db.getEdges().map((edge) => [edge.start, edge.end, edge.text]) });
  } catch (error) {
    answers.push({ error: String(error.message ?? error) });
  }
}
process.stdout.write(JSON.stringify(answers));

// A radix tree over the tokens of sequences: who begins like this prompt, and for how long. It knows no KV cells: what
// is in the cache, and what is only promised by a prompt that is being read, is its caller's business.

import { assert } from "../../lib/assert.ts";

interface Node {
  /** The tokens between the parent and here. */
  label: Int32Array;
  parent: Node | null;
  /** By the first token of their labels. */
  children: Map<number, Node>;
  /** Sequences that end here. */
  ends: Set<number>;
}

export interface PrefixMatch {
  key: number;
  /** Leading tokens that the sequence and the prompt share. */
  length: number;
}

export class PrefixIndex {
  readonly #root: Node = makeNode(new Int32Array(0), null);
  readonly #places = new Map<number, Node>();
  #version = 0;

  /** Changes with every insert and remove: an answer of the same version still holds. */
  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#places.size;
  }

  /** The tokens must not change afterwards. */
  insert(key: number, tokens: Int32Array): void {
    assert(!this.#places.has(key), `sequence ${key} is in the index already`);
    this.#version++;
    let node = this.#root;
    let at = 0;
    while (at < tokens.length) {
      const child = node.children.get(tokens[at] ?? -1);
      if (child === undefined) {
        node = addChild(node, tokens.subarray(at));
        break;
      }
      const shared = commonLength(child.label, tokens, at);
      node = shared < child.label.length ? splitNode(child, shared) : child;
      at += shared;
    }
    node.ends.add(key);
    this.#places.set(key, node);
  }

  remove(key: number): void {
    let node = this.#places.get(key);
    if (node === undefined) return;
    this.#version++;
    this.#places.delete(key);
    node.ends.delete(key);
    while (node.parent !== null && node.ends.size === 0 && node.children.size === 0) {
      const parent: Node = node.parent;
      parent.children.delete(node.label[0] ?? -1);
      node = parent;
    }
  }

  /** Every sequence that shares at least one token with the prompt, each once. */
  matches(tokens: Int32Array): PrefixMatch[] {
    const found: PrefixMatch[] = [];
    let node = this.#root;
    let at = 0;
    for (;;) {
      const next: Node | undefined = node.children.get(tokens[at] ?? -1);
      if (at > 0) collectBeside(node, next, at, found);
      if (next === undefined) return found;
      const shared = commonLength(next.label, tokens, at);
      at += shared;
      if (shared < next.label.length) {
        collectBelow(next, at, found);
        return found;
      }
      node = next;
    }
  }
}

function makeNode(label: Int32Array, parent: Node | null): Node {
  return { label, parent, children: new Map(), ends: new Set() };
}

function addChild(parent: Node, label: Int32Array): Node {
  const node = makeNode(label, parent);
  parent.children.set(label[0] ?? -1, node);
  return node;
}

/** Tokens that a label and a prompt from `at` on have in common. */
function commonLength(label: Int32Array, tokens: Int32Array, at: number): number {
  const max = Math.min(label.length, tokens.length - at);
  let length = 0;
  while (length < max && label[length] === tokens[at + length]) length++;
  return length;
}

/** Puts a node in the middle of the way to this one, and returns it. */
function splitNode(node: Node, length: number): Node {
  const { parent } = node;
  assert(parent !== null, "the root has no label to split");
  const middle = addChild(parent, node.label.subarray(0, length));
  node.label = node.label.subarray(length);
  node.parent = middle;
  middle.children.set(node.label[0] ?? -1, node);
  return middle;
}

/** Whoever is in the node's tree, but not on the way that is followed. */
function collectBeside(node: Node, followed: Node | undefined, length: number, found: PrefixMatch[]): void {
  for (const key of node.ends) found.push({ key, length });
  for (const child of node.children.values()) if (child !== followed) collectBelow(child, length, found);
}

function collectBelow(node: Node, length: number, found: PrefixMatch[]): void {
  const open = [node];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const key of next.ends) found.push({ key, length });
    open.push(...next.children.values());
  }
}

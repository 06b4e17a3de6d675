// A folder's folders are listed again when something in them may have changed, and not when nothing has.

import { expect, test } from "bun:test";
import { mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FolderListing } from "../../../src/engine/disk/folder-listing.ts";
import { KvFolder } from "../../support/kv-folder.ts";

test("what is quiet is not read again; what changes, comes or goes is told", () => {
  using root = new KvFolder();
  const [quiet, busy] = [join(root.path, "quiet"), join(root.path, "busy")];
  mkdirSync(quiet);
  writeFileSync(join(quiet, "one"), "");
  utimesSync(quiet, 1000, 1000);
  const listing = new FolderListing(root.path);
  expect(listing.changed()).toEqual([{ path: quiet, names: ["one"] }]);
  expect(listing.changed()).toEqual([]);
  mkdirSync(busy);
  // It may change again within the same step of the file system's clock.
  for (let i = 0; i < 2; i++) expect(listing.changed()).toEqual([{ path: busy, names: [] }]);
  writeFileSync(join(quiet, "two"), "");
  rmSync(busy, { recursive: true });
  const [gone, changed] = listing.changed();
  expect(gone).toEqual({ path: busy, names: [] });
  expect(changed?.names.toSorted()).toEqual(["one", "two"]);
});

test("files beside the folders are nobody's, and a root that is gone is an error", () => {
  using root = new KvFolder();
  writeFileSync(join(root.path, "file"), "");
  expect(new FolderListing(root.path).changed()).toEqual([]);
  expect(() => new FolderListing(join(root.path, "none")).changed()).toThrow("ENOENT");
});

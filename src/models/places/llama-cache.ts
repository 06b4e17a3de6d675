// llama.cpp's download cache: one folder of files named `owner_repo_file.gguf`, with `manifest=owner=repo=tag.json`
// beside them, whose names tell where the repository's name ends.

import { basename } from "node:path";
import { namesByFile, walkFolder } from "../folder-walk.ts";
import type { FoundModels } from "../found.ts";
import { hubNames } from "../pulled.ts";
import { listFolder } from "./list-folder.ts";

export function searchLlamaCache(found: FoundModels, root: string): void {
  const repositories = listFolder(found, root)
    .map((name) => /^manifest=([^=]+)=([^=]+)=[^=]*\.json$/.exec(name))
    .filter((match) => match !== null)
    .map(([, owner, repo]) => ({ prefix: `${owner}_${repo}_`, repo: `${owner}/${repo}` }))
    // `a_b_c_` before `a_b_`: the longer one says more.
    .sort((a, b) => b.prefix.length - a.prefix.length);
  walkFolder(found, {
    root,
    what: "llama.cpp's cache",
    names(path) {
      const base = basename(path);
      const match = repositories.find(({ prefix }) => base.startsWith(prefix));
      if (match === undefined) return namesByFile(path, root);
      const names = hubNames(match.repo, base.slice(match.prefix.length));
      return { ...names, otherNames: [...names.otherNames, ...namesByFile(path, root).otherNames] };
    },
  });
}

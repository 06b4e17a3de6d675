// LM Studio's models folder: `owner/repo/file.gguf`, as on the Hub, and folders of MLX weights.

import { relative } from "node:path";
import { namesByFile, walkFolder } from "../folder-walk.ts";
import type { FoundModels, FoundNames } from "../found.ts";
import { hubNames } from "../pulled.ts";
import { addWeightsFolder } from "./weights.ts";

export function searchLmStudio(found: FoundModels, root: string): void {
  walkFolder(found, {
    root,
    what: "LM Studio's models folder",
    names: nameByFolders,
    onFolder(folder, entries) {
      const name = relative(root, folder).split("\\").join("/");
      const isRepo = name.split("/").length === 2;
      if (isRepo) addWeightsFolder(found, folder, entries, { name, relativeName: name, otherNames: [], repo: name });
    },
  });
}

function nameByFolders(path: string, root: string): FoundNames {
  const [owner, repo, ...rest] = relative(root, path).split(/[\\/]/);
  return rest.length === 0 ? namesByFile(path, root) : hubNames(`${owner}/${repo}`, rest.join("/"));
}

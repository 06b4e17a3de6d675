// Jan's models folder: every model is called `model.gguf`, and its folder has the name.

import { basename, dirname, relative } from "node:path";
import { namesByFile, walkFolder } from "../folder-walk.ts";
import type { FoundModels } from "../found.ts";

export function searchJan(found: FoundModels, root: string): void {
  walkFolder(found, {
    root,
    what: "Jan's models folder",
    names(path) {
      const folder = relative(root, dirname(path)).split("\\").join("/");
      if (folder === "" || !/^model\.gguf$/i.test(basename(path))) return namesByFile(path, root);
      return { name: folder, relativeName: folder, otherNames: [basename(folder)], repo: null };
    },
  });
}

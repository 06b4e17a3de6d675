// Names of models that were downloaded: the record beside the file tells from which repository of the Hub it came.

import { basename, dirname, join } from "node:path";
import { decodeRecord, hubTag, RECORD_BYTES_MAX, recordName } from "../protocol/hub-name.ts";
import { namesByFile } from "./folder-walk.ts";
import type { FoundNames } from "./found.ts";
import { idFromFileName, stripExtension } from "./name.ts";
import { readSmallText } from "./small-file.ts";

/** `owner/repo:tag` of a file that a record lies beside, else the file's own name. */
export function namesByRecord(path: string, root: string): FoundNames {
  const names = namesByFile(path, root);
  const text = readSmallText(join(dirname(path), recordName(basename(path))), RECORD_BYTES_MAX);
  const record = text === null ? null : decodeRecord(text);
  if (record === null) return names;
  if (record.repo === null) return { ...names, isChecked: true };
  const tag = record.tag ?? hubTag(basename(path));
  return {
    ...names,
    isChecked: true,
    name: `${record.repo}:${tag}`,
    otherNames: [...names.otherNames, names.name],
    repo: record.repo,
  };
}

/** Of a file of a repository; `path` is that inside of the repository. */
export function hubNames(repo: string, path: string): FoundNames {
  const base = basename(path);
  return {
    name: `${repo}:${hubTag(path)}`,
    relativeName: `${repo}/${idFromFileName(path)}`,
    otherNames: [base, stripExtension(base), idFromFileName(base)],
    repo,
  };
}

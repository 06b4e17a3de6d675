// Names of models that were downloaded: the record beside the file tells from which repository of the Hub it came.

import { basename, dirname, join } from "node:path";
import { decodeRecord, hubTag, type PullRecord, RECORD_BYTES_MAX, recordName } from "../protocol/hub-name.ts";
import { namesByFile } from "./folder-walk.ts";
import type { FoundNames } from "./found.ts";
import { idFromFileName, stripExtension } from "./name.ts";
import { namesByFolder, WEIGHTS_CONFIG } from "./places/weights.ts";
import { readSmallText } from "./small-file.ts";

/** `owner/repo:tag` of a file that a record lies beside, else the file's own name. */
export function namesByRecord(path: string, root: string): FoundNames {
  const names = namesByFile(path, root);
  const record = readRecordOf(path);
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

/** `owner/repo:tag` of a folder of weights that was downloaded, else the folder's own name. */
export function namesByFolderRecord(folder: string, root: string): FoundNames {
  const names = namesByFolder(folder, root);
  const record = readRecordOf(join(folder, WEIGHTS_CONFIG));
  if (record === null || record.repo === null || record.tag === null) return names;
  const { repo, tag } = record;
  // It got its place when all of it was there and checked.
  return { ...names, isChecked: true, name: `${repo}:${tag}`, otherNames: [...names.otherNames, names.name], repo };
}

function readRecordOf(path: string): PullRecord | null {
  const text = readSmallText(join(dirname(path), recordName(basename(path))), RECORD_BYTES_MAX);
  return text === null ? null : decodeRecord(text);
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

// A path as a person can type it into a shell: commands in messages and guidance are to work as they stand. Pure.

export function quotePath(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

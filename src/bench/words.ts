// Texts for prompts: English words drawn by a seed, so that a run can be repeated word for word. Each word is one token
// in nearly every tokenizer, so counts of words stand for counts of tokens; what a server counted is reported.

const WORDS = (
  "time year people way day man thing woman life child world school state family student group country problem hand " +
  "part place case week company system program question work government number night point home water room mother " +
  "area money story fact month lot right study book eye job word business issue side kind head house service friend " +
  "father power hour game line end member law car city name president team minute idea body information back parent " +
  "face others level office door health person art war history party result change morning reason research girl guy " +
  "moment air teacher force education foot boy age policy process music market sense nation plan college interest " +
  "death experience effect use class control care field development role effort rate heart drug show leader light " +
  "voice wife police mind price report decision son view town road form matter"
).split(" ");

/** `count` words, separated by spaces; the same for the same seed. */
export function makeText(seed: string, count: number): string {
  const next = makeRandom(seed);
  const words: string[] = [];
  for (let i = 0; i < count; i++) words.push(WORDS[Math.floor(next() * WORDS.length)] ?? "time");
  return words.join(" ");
}

/** Numbers from 0 to 1 (mulberry32), seeded with the FNV-1a hash of the text. */
function makeRandom(seed: string): () => number {
  let state = 0x811c9dc5;
  for (let i = 0; i < seed.length; i++) state = Math.imul(state ^ seed.charCodeAt(i), 0x01000193);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// Whether a text has the format that a schema names: what the usual validators check, in bounded time. Pure.

import { parseExpression } from "./matcher.ts";

/** Longer ones are not looked at by expressions: real ones are short. */
const LENGTH_MAX = 4096;

const DATE = /^(\d{4})-(\d\d)-(\d\d)$/;
const TIME = /^([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)$/i;
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;
const LOCAL_PART = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+$/i;

const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  date: isDate,
  time: (text) => TIME.test(text),
  "date-time": (text) => {
    const [date = "", time = "", ...more] = text.split(/[t\s]/i);
    return more.length === 0 && isDate(date) && TIME.test(time);
  },
  uuid: (text) => /^(urn:uuid:)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text),
  ipv4: (text) => text.split(".").length === 4 && text.split(".").every(isByte),
  email: isEmail,
  hostname: isHostname,
  uri: (text) => /^[a-z][a-z0-9+.-]*:[^\s<>"{}|\\^`]+$/i.test(text),
  duration: (text) => /^P(?!$)((\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?|(\d+W)?)$/.test(text),
  "json-pointer": (text) => /^(\/([^~/]|~0|~1)*)*$/.test(text),
  regex: (text) => parseExpression(text) !== null,
};

/** Null: nobody here knows the format, or the text is too long to tell. */
export function isOfFormat(format: string, text: string): boolean | null {
  const check = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
  return check === undefined || text.length > LENGTH_MAX ? null : check(text);
}

function isDate(text: string): boolean {
  const [, year, month, day] = DATE.exec(text) ?? [];
  if (year === undefined) return false;
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  // The years 0 to 99 stand for others there; their months are as long but for leap years.
  return Number(month) === date.getUTCMonth() + 1 && Number(day) === date.getUTCDate();
}

function isByte(text: string): boolean {
  return /^(0|[1-9]\d{0,2})$/.test(text) && Number(text) <= 255;
}

function isEmail(text: string): boolean {
  const at = text.lastIndexOf("@");
  if (at <= 0) return false;
  return (
    text
      .slice(0, at)
      .split(".")
      .every((part) => LOCAL_PART.test(part)) &&
    isHostname(text.slice(at + 1)) &&
    text.slice(at + 1).includes(".")
  );
}

function isHostname(text: string): boolean {
  return text.length <= 253 && text.split(".").every((label) => LABEL.test(label));
}

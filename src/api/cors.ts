// Which web pages may call us, and the headers that tell a browser so. Pure.
// A request with a foreign Origin is refused, not only left without headers: a "simple" POST needs no
// preflight, and would run a generation although the page can't read the answer.

/** Browsers ask again after this time; Chromium takes at most two hours. */
const PREFLIGHT_SECONDS = 7200;

/** Header names that a preflight may ask for; a longer list is not a real client's. */
const REQUEST_HEADERS_CHARS_MAX = 1024;

const METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const EXPOSED_HEADERS =
  "X-Request-Id, request-id, Retry-After, X-MLO-Cache, X-MLO-Relaxed, X-MLO-Truncated, X-MLO-Stream, " +
  "Location, Upload-Offset, Upload-Length, Upload-Expires, Tus-Resumable, Tus-Version, Tus-Extension";

/** `host` is the request's Host header: a page that we served ourselves is always welcome. */
export function isOriginAllowed(origin: string, patterns: readonly string[], host: string): boolean {
  if (patterns.includes("*") || isSameHost(origin, host)) return true;
  return patterns.some((pattern) => matchesOrigin(origin, pattern));
}

/** Headers of every response to an allowed origin. */
export function buildCorsHeaders(origin: string, patterns: readonly string[]): Record<string, string> {
  return {
    "Access-Control-Allow-Origin": patterns.includes("*") ? "*" : origin,
    "Access-Control-Expose-Headers": EXPOSED_HEADERS,
    Vary: "Origin",
  };
}

/** The answer to a preflight from an allowed origin. */
export function answerPreflight(request: Request): Response {
  const headers = new Headers({
    "Access-Control-Allow-Methods": METHODS,
    "Access-Control-Max-Age": String(PREFLIGHT_SECONDS),
  });
  const wanted = request.headers.get("Access-Control-Request-Headers");
  if (wanted !== null && wanted.length <= REQUEST_HEADERS_CHARS_MAX && /^[\w\-, ]+$/.test(wanted)) {
    headers.set("Access-Control-Allow-Headers", wanted);
  }
  // Chromium asks this before it lets a public page reach a private address.
  if (request.headers.get("Access-Control-Request-Private-Network") === "true") {
    headers.set("Access-Control-Allow-Private-Network", "true");
  }
  return new Response(null, { status: 204, headers });
}

export function isPreflight(request: Request): boolean {
  return (
    request.method === "OPTIONS" &&
    request.headers.has("Origin") &&
    request.headers.has("Access-Control-Request-Method")
  );
}

function isSameHost(origin: string, host: string): boolean {
  return origin === `http://${host}` || origin === `https://${host}`;
}

/** `:*` at the end is any port or none; another `*` is anything but a slash, a colon or an at sign. */
function matchesOrigin(origin: string, pattern: string): boolean {
  const anyPort = pattern.endsWith(":*");
  const body = anyPort ? pattern.slice(0, -2) : pattern;
  const source = body
    .split("*")
    .map((piece) => piece.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
    .join("[^/:@]*");
  return new RegExp(`^${source}${anyPort ? "(?::\\d{1,5})?" : ""}$`, "i").test(origin);
}

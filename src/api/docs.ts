// GET /swagger and what its page needs, all from our own files: it must work offline, and a page of a
// local server must not tell anybody else that it was opened. GET /swagger/json is the document itself.

import type { Elysia } from "elysia";
import faviconPath from "swagger-ui-dist/favicon-32x32.png" with { type: "file" };
import stylePath from "swagger-ui-dist/swagger-ui.css" with { type: "file" };
import bundlePath from "swagger-ui-dist/swagger-ui-bundle.js" with { type: "file" };
import { AppError } from "../protocol/errors.ts";
import { buildOpenApi, type DocumentedRoute } from "./openapi.ts";
import { describeRoute } from "./route-docs.ts";
import { PROJECT_NAME } from "./version.ts";

const ASSETS = "/swagger/assets/";

const PAGE = `<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${PROJECT_NAME} API</title>
    <link rel="stylesheet" href="${ASSETS}swagger-ui.css">
    <link rel="icon" type="image/png" href="${ASSETS}favicon.png">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="${ASSETS}swagger-ui-bundle.js"></script>
    <script src="${ASSETS}start.js"></script>
  </body>
</html>
`;

// Without \`validatorUrl: null\` the page would send the document's address to a validator on the internet.
const START_SCRIPT = `window.ui = SwaggerUIBundle({
  url: "/swagger/json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
`;

/** The browser itself keeps the page from reaching any other server. */
const PAGE_POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";

const FILES: Record<string, { contentType: string; read: () => Blob | string }> = {
  "swagger-ui.css": { contentType: "text/css; charset=utf-8", read: () => Bun.file(stylePath) },
  "swagger-ui-bundle.js": { contentType: "text/javascript; charset=utf-8", read: () => Bun.file(bundlePath) },
  "start.js": { contentType: "text/javascript; charset=utf-8", read: () => START_SCRIPT },
  "favicon.png": { contentType: "image/png", read: () => Bun.file(faviconPath) },
};

/** `listRoutes` is asked at the first request, when all routes are known. */
export function addDocsRoutes(app: Elysia, listRoutes: () => DocumentedRoute[]): void {
  let document: string | null = null;
  app.get(
    "/swagger",
    () => {
      const headers = { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": PAGE_POLICY };
      return new Response(PAGE, { headers });
    },
    { detail: PAGE_DOCS },
  );
  app.get(
    "/swagger/json",
    async () => {
      document ??= JSON.stringify(await buildOpenApi(listRoutes()));
      return new Response(document, { headers: { "Content-Type": "application/json; charset=utf-8" } });
    },
    { detail: JSON_DOCS },
  );
  app.get(`${ASSETS}*`, ({ path }) => serveAsset(path.slice(ASSETS.length)), { detail: ASSET_DOCS });
}

function serveAsset(name: string): Response {
  const file = Object.hasOwn(FILES, name) ? FILES[name] : undefined;
  if (file === undefined) throw new AppError({ code: "not_found", message: `there is no file ${ASSETS}${name}` });
  const headers = {
    "Content-Type": file.contentType,
    // Another version of the binary may bring other files under the same names.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
  };
  return new Response(file.read(), { headers });
}

const PAGE_DOCS = describeRoute({
  operationId: "getSwaggerPage",
  tag: "Documentation",
  summary: "This page",
  reply: { description: "Swagger UI.", mediaType: "text/html" },
  errors: [],
});

const JSON_DOCS = describeRoute({
  operationId: "getOpenApi",
  tag: "Documentation",
  summary: "The OpenAPI document",
  reply: { description: "OpenAPI 3.1 as JSON." },
  errors: [],
});

const ASSET_DOCS = describeRoute({
  operationId: "getSwaggerAsset",
  tag: "Documentation",
  summary: "A file of the documentation page",
  pathParameter: { name: "file", description: "The file's name.", example: "swagger-ui.css" },
  reply: { description: "The file.", mediaType: ["text/css", "text/javascript", "image/png"] },
  errors: ["not_found"],
});

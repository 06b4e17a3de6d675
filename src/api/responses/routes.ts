// All routes of responses, over one archive and one set of responses in the background.

import type { Elysia } from "elysia";
import type { ApiContext } from "../options.ts";
import { ResponseArchive } from "./archive.ts";
import { BackgroundRuns } from "./background.ts";
import { addCompactRoute } from "./compact.ts";
import { addCreateRoute } from "./create.ts";
import { addInputTokensRoute } from "./input-tokens.ts";
import { addStoredRoutes } from "./stored.ts";

export function addResponseRoutes(app: Elysia, api: ApiContext): void {
  const archive = new ResponseArchive(api.state, api.log);
  const background = new BackgroundRuns(api, archive);
  addCreateRoute(app, api, archive, background);
  addInputTokensRoute(app, api);
  addCompactRoute(app, api);
  addStoredRoutes(app, api, archive, background);
}

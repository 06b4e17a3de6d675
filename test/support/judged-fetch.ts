// A `fetch` for clients of a real server, official ones too: an answer that the server's own OpenAPI document does not
// allow throws, and a stream breaks off at the first such frame. What it gives is otherwise what came.

import { DocumentJudge } from "./document-judge.ts";

type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** The document of the server at `url` is what judges. */
export async function judgeFetch(url: string): Promise<Fetch> {
  const judge = new DocumentJudge((await (await fetch(`${url}/swagger/json`)).json()) as object);
  return async (input, init) => {
    const response = await fetch(input, init);
    const { method, url, headers } = input instanceof Request ? input : new Request(input, describe(init));
    return await judge.check({ method, url, headers }, response);
  };
}

/** Without the body, which may be read once only. */
function describe(init: RequestInit = {}): RequestInit {
  const { method, headers } = init;
  return { ...(method === undefined ? {} : { method }), ...(headers === undefined ? {} : { headers }) };
}

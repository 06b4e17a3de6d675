// The project's name and version as the API shows them, taken from package.json at build time.

import packageJson from "../../package.json" with { type: "json" };

export const PROJECT_NAME: string = packageJson.name;
export const PROJECT_VERSION: string = packageJson.version;

/** OpenAI's mark of a backend configuration: it changes when the answers of a fixed seed may. */
export const SYSTEM_FINGERPRINT = `${PROJECT_NAME}-${PROJECT_VERSION}`;

